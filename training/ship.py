"""Makes a run's result what ships: python training/ship.py RUN --judged PAIRS

PAIRS holds `hq` and `lq_NAME` folders of aligned faces that training never saw. Written are, under the name that the
recipe gives, gpen_core/weights/bundled/NAME.safetensors (float16, its card complete, with what open_model/NAME.json
says of it) and .md (the card to read), and beside this file, in open_model/: the loss curves, the discriminator
(float16) where the recipe trains one, and samples of the prior where one was trained anew. Nothing is written unless
float16 does no harm.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpen_core.errors import GPENError
from gpen_core.measures.metrics import FIGURES, psnr
from gpen_core.measures.perceptual import DetectorFeatures, feature_distance
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.weights import GPEN, checkpoint, load_model
from gpen_core.weights.hub_card import model_index
from gpen_core.weights.tensors import read_tensors, save_tensors

HERE = Path(__file__).parent
BUNDLED = HERE.parent / "gpen_core" / "weights" / "bundled"
LARGEST = 17_000_000  # bytes
LEAST_PSNR = 55.0  # dB, float16 to float32


def read_faces(folder: Path) -> Tensor:
    """(N, 3, S, S) in [0, 1], in the order of the names."""
    pictures = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as picture:
            pictures.append(np.array(picture.convert("RGB")))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def restore(model: GPEN, faces: Tensor) -> Tensor:
    """Restored faces in [0, 1], not rounded."""
    return torch.cat([(model(part * 2 - 1) + 1) / 2 for part in torch.split(faces, 8)])


def figures(result: Tensor, clean: Tensor) -> dict[str, float]:
    """Mean figures of faces (N, 3, S, S), a few at a time: they are computed in double precision."""
    parts = list(zip(torch.split(result, 4), torch.split(clean, 4), strict=True))
    asked = {**FIGURES, "perceptual": feature_distance(DetectorFeatures())}
    return {name: float(torch.cat([figure(a, b) for a, b in parts]).mean()) for name, figure in asked.items()}


def judge(model: GPEN, pairs: Path, sharpen: float) -> dict[str, dict[str, float]]:
    """For each kind of damage the mean figures of the results, 8 bits deep, and of the input (`input_…`).

    sharpen: as in `RestoreOptions`; 0 judges the network alone.
    """
    restorer, options = FaceRestorer(model), RestoreOptions(sharpen=sharpen, batch_size=8)
    clean = read_faces(pairs / "hq")
    table = {}
    for folder in sorted(pairs.glob("lq_*")):
        damaged = read_faces(folder)
        result = (restorer.run(damaged, options) * 255).round() / 255
        row = figures(result, clean) | {f"input_{name}": value for name, value in figures(damaged, clean).items()}
        table[folder.name.removeprefix("lq_")] = {name: round(value, 4) for name, value in row.items()}
    return table


def card_text(name: str, details: Mapping[str, Any], licence: str) -> str:
    """The card to read of the model `name`, as Markdown."""
    data = details["data"]
    lines = [
        "---",
        f"license: {licence.lower()}",
        "library_name: gpen",
        "tags: [face-restoration, gpen]",
        *model_index(
            name, details["judged_on"], {f"{damage} damage": _own(row) for damage, row in details["figures"].items()}
        ),
        "---",
        "",
        f"# {name}",
        "",
        details["summary"],
        "",
    ]
    lines += [
        "## What it was trained on",
        "",
        data["description"],
        "",
        "| source | faces | licence | attribution |",
        "|---|---|---|---|",
    ]
    lines += [f"| {s['source']} | {s['faces']} | {s['licence']} | {s['attribution']} |" for s in data["sources"]]
    size = details["recipe"]["network"]["size"]
    seen = ", ".join(f"{stage_name(stage, size)} {count:,}" for stage, count in details["images_seen"].items())
    lines += ["", "## How", "", f"Images seen: {seen}. Hours: {details['hours']}. {details['how']}", ""]
    lines += [
        "The recipes, the loss curves and samples of the prior are in `training/open_model/`.",
        "",
    ]
    lines += ["## Figures", "", f"On {details['judged_on']}; in brackets the damaged input.", ""]
    measures = list(_own(next(iter(details["figures"].values()))))
    lines += ["| damage | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    sharpened = details["sharpen"] > 0
    alone = [(", the network alone", details["figures_of_the_network"])] if sharpened else []
    for kind, table in (("", details["figures"]), *alone):
        for damage, row in table.items():
            values = " | ".join(f"{row[n]:.3f} ({row['input_' + n]:.3f})" for n in measures)
            lines.append(f"| {damage}{kind} | {values} |")
    own = "Results are the network's own, not sharpened; `sharpen` (`RestoreOptions`) adds it."
    asked = f"Results are sharpened (`sharpen = {details['sharpen']:g}`, see `RestoreOptions`) unless 0 is asked for."
    lines += ["", asked if sharpened else own]
    lines += ["", f"float16 against the float32 weights: {details['half_psnr']} dB.", "", "## Limits and bias", ""]
    lines += [f"- {line}" for line in details["limits"]]
    return "\n".join(lines) + "\n"


def _own(row: Mapping[str, float]) -> dict[str, float]:
    """The figures of the results, without the inputs'."""
    return {name: value for name, value in row.items() if not name.startswith("input_")}


def stage_name(stage: str, size: int) -> str:
    """`prior at a smaller size` for `prior, smaller`: the card of a grown network does not say how small it began."""
    name, *smaller = stage.split(", ")
    return f"{name} at {size} px" if not smaller else f"{name} at {'an even' * (len(smaller) > 1) or 'a'} smaller size"


def ship(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Writes the files; the figures. Raises SystemExit when the file would be too large or too coarse."""
    stored = checkpoint.read(options.run / "model.safetensors")
    half = {name: tensor.half() for name, tensor in stored.state_dict().items()}
    full, coarse = GPEN(stored.config, stored.card).eval(), GPEN(stored.config, stored.card).eval()
    full.load_state_dict(stored.state_dict())
    coarse.load_state_dict({name: tensor.float() for name, tensor in half.items()})
    damaged = torch.cat([read_faces(folder)[:8] for folder in sorted(options.judged.glob("lq_*"))])
    fidelity = float(psnr(restore(coarse, damaged), restore(full, damaged)).min())
    size = sum(tensor.numel() * 2 for tensor in half.values())
    if fidelity < LEAST_PSNR or size > LARGEST:
        raise SystemExit(f"float16 keeps {fidelity:.1f} dB (least {LEAST_PSNR}) in {size / 1e6:.1f} MB; not shipped")
    name = stored.card.name
    about = json.loads((HERE / "open_model" / f"{name}.json").read_text(encoding="utf-8"))
    table = judge(coarse, options.judged, about["sharpen"])
    hours = sum(float(checkpoint_hours(run)) for run in [options.run, *options.earlier])
    details = {
        **about,
        **stored.card.details,
        "hours": round(hours, 2),
        "figures": table,
        "half_psnr": round(fidelity, 1),
    }
    if about["sharpen"]:
        details["figures_of_the_network"] = judge(coarse, options.judged, 0)
    details.pop("sha256", None)
    details.pop("validation", None)
    card = replace(stored.card, details=details, **{key: about[key] for key in ("licence", "origin", "sharpen")})
    BUNDLED.mkdir(exist_ok=True)
    checkpoint.write(BUNDLED / f"{name}.safetensors", half, stored.config, card)
    (BUNDLED / f"{name}.md").write_text(card_text(name, details, card.licence), encoding="utf-8")
    if details["recipe"]["losses"]["adversarial"]:
        discriminator = read_tensors(options.run / "discriminator.safetensors")
        save_tensors(
            HERE / "open_model" / "discriminator.safetensors",
            {n: t.half().contiguous() for n, t in discriminator.tensors.items()},
            discriminator.metadata,
        )
    shutil.copyfile(options.run / "curves.png", HERE / "open_model" / f"curves-{name}.png")
    if options.prior is not None:
        shutil.copyfile(options.prior / "grid.png", HERE / "open_model" / "prior-samples.png")
    load_model(BUNDLED / f"{name}.safetensors", device="cpu")
    return table


def checkpoint_hours(run: Path) -> float:
    """Hours that a run's finished file states."""
    file = next(path for path in (run / "model.safetensors", run / "prior.safetensors") if path.exists())
    card = json.loads(read_tensors(file).metadata["gpen.card"])
    return float(card["details"]["hours"])


def main() -> None:
    """Reads the command line, ships, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the finished fine-tune")
    parser.add_argument("--judged", type=Path, required=True, help="folder with hq and lq_… faces to judge by")
    parser.add_argument("--prior", type=Path, help="folder of the prior's run, for its samples, where it is a new one")
    parser.add_argument(
        "--earlier", type=Path, nargs="*", default=[], help="runs that this one grew from, for the hours"
    )
    try:
        table = ship(parser.parse_args())
    except (GPENError, OSError) as error:
        raise SystemExit(str(error)) from error
    for damage, row in table.items():
        sys.stdout.write(
            damage + ": " + ", ".join(f"{n} {v:.3f} ({row['input_' + n]:.3f})" for n, v in _own(row).items()) + "\n"
        )


if __name__ == "__main__":
    main()
