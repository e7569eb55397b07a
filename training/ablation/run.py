"""The paper's ablation in small: python training/ablation/run.py FACES/train FACES/val RUNS --images 4000

Trains a prior of 64 px, the same with added instead of concatenated noise, and four restorers on equally many images:
`with prior`, `without prior` (all weights fresh), `frozen prior` (the decoder is not fine-tuned) and `added noise`.
Writes docs/ablation.md, and docs/ablation.png with a face in the public domain. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from gpen_core.data import Degradation
from gpen_core.faces.geometry import fit_similarity, template
from gpen_core.faces.warp import crop_faces
from gpen_core.trainer import Limits, Places, Sources, read_recipe, train
from gpen_core.weights import GPEN, checkpoint

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
ADDED = {"network.concat": False}
VARIANTS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "with prior": ("prior", {}),
    "without prior": (None, {}),
    "frozen prior": ("prior", {"rates.decoder": 0.0}),
    "added noise": ("prior-added", ADDED),
}
FIGURES = ("psnr", "ssim", "sharpness", "detail")
# Eyes, nose and corners of the mouth of scikit-image's astronaut (NASA, public domain), pixels.
ASTRONAUT = ((203.6, 95.1), (249.3, 102.5), (222.7, 125.1), (201.9, 139.3), (240.1, 144.8))


def finished(recipe: str, changes: Mapping[str, Any], places: Places, sources: Sources, images: int) -> None:
    """Runs a recipe until it has seen that many images; nothing where it has."""
    result = places.out / ("prior.safetensors" if recipe == "prior" else "model.safetensors")
    if not result.exists():
        figures = train(
            read_recipe(HERE / f"{recipe}.toml", changes),
            places,
            sources,
            Limits(images=images),
            lambda *_: None,
            device="cpu",
        )
        (places.out / "figures.json").write_text(json.dumps(figures), encoding="utf-8")
        sys.stdout.write(f"{places.out.name}: done\n")


def astronaut() -> Tensor:
    """The face at 64 px, (1, 3, 64, 64) in [0, 1]."""
    image = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    return crop_faces(image, fit_similarity(torch.tensor(ASTRONAUT)[None], template("ffhq", 64)), 64, "reflect")


@torch.no_grad()
def picture(runs: Path) -> Image.Image:
    """A row for each of three degrees of damage: damaged, each variant, original; four times enlarged."""
    clean = astronaut()
    degradation = Degradation("balanced")
    damaged = torch.cat([degradation.degrade(clean, 11, [index]) for index in (2, 4, 9)])
    columns = [damaged]
    for name in VARIANTS:
        stored = checkpoint.read(runs / name.replace(" ", "-") / "model.safetensors")
        model = GPEN(stored.config, stored.card).eval()
        model.load_state_dict(stored.state_dict())
        columns.append(((model(damaged * 2 - 1) + 1) / 2).clamp(0, 1))
    columns.append(clean.expand(3, -1, -1, -1))
    grid = torch.cat([torch.cat(list(column), 1) for column in columns], 2)
    levels = (grid * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(levels)).resize(
        (levels.shape[1] * 3, levels.shape[0] * 3), Image.Resampling.NEAREST
    )


def table(runs: Path, options: argparse.Namespace) -> str:
    """docs/ablation.md."""
    rows = {name: json.loads((runs / name.replace(" ", "-") / "figures.json").read_text()) for name in VARIANTS}
    damaged = {name: next(iter(rows.values()))[f"input_{name}"] for name in FIGURES}
    body = [f"| {name} | " + " | ".join(f"{row[n]:.3f}" for n in FIGURES) + " |" for name, row in rows.items()]
    return f"""# The ablation of the paper, in small

At 64 px, channel multiplier 1, narrow 0.125: priors that saw {options.prior_images:,} faces, then restorers that saw
{options.images:,} damaged ones each, with the same seed, losses and batches. So short a training tells which variant
learns fastest, not which is best in the end. Means over faces that training never saw, damage `balanced`.

| variant | {" | ".join(FIGURES)} |
|{"---|" * (len(FIGURES) + 1)}
| damaged input | {" | ".join(f"{value:.3f}" for value in damaged.values())} |
{chr(10).join(body)}

![Damaged, {", ".join(VARIANTS)}, original](ablation.png)

From left to right: damaged, {", ".join(VARIANTS)}, original. It is repeated by `python training/ablation/run.py
FACES/train FACES/val RUNS --prior-images {options.prior_images} --images {options.images}`.
"""


def main() -> None:
    """Trains what is missing and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--prior-images", type=int, default=8000)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    def places(name: str) -> Places:
        return Places(data=options.data, out=options.runs / name, validation=options.validation)

    finished("prior", {}, places("prior"), Sources(), options.prior_images)
    finished("prior", ADDED, places("prior-added"), Sources(), options.prior_images)
    for name, (prior, changes) in VARIANTS.items():
        files = (
            Sources()
            if prior is None
            else Sources(
                prior=options.runs / prior / "prior.safetensors",
                discriminator=options.runs / prior / "discriminator.safetensors",
            )
        )
        finished("finetune", changes, places(name.replace(" ", "-")), files, options.images)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "ablation.md").write_text(table(options.runs, options), encoding="utf-8")
    picture(options.runs).save(DOCS / "ablation.png")


if __name__ == "__main__":
    main()
