"""The paper's ablation and comparison at 64 px: python -m training.ablation.run FACES/train FACES/val RUNS

Every variant of `variants.py` sees the same faces, damage, batches and number of images, with three seeds; a prior that
several share is trained once a seed. Finished runs are not repeated: a stopped command goes on, and so does one that
asks for more images. Writes docs/ablation.md and its picture (a face in the public domain) from the runs that have seen
as many images as asked for; conclusion.md, which says what the figures in docs/ say, is written by hand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpen_core.data import Degradation
from gpen_core.faces.geometry import fit_similarity, template
from gpen_core.faces.warp import crop_faces
from gpen_core.files import replacing
from gpen_core.trainer import Limits, Places, Sources, read_recipe, train
from gpen_core.weights import GPEN

from .variants import PRIORS, VARIANTS, Variant

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
PICTURE = "ablation.webp"
FIGURES = ("psnr", "ssim", "perceptual", "sharpness", "detail")
# Eyes, nose and corners of the mouth of scikit-image's astronaut (NASA, public domain), pixels.
ASTRONAUT = ((203.6, 95.1), (249.3, 102.5), (222.7, 125.1), (201.9, 139.3), (240.1, 144.8))


@dataclass(frozen=True)
class Job:
    """A run of one recipe, until it has seen so many images."""

    recipe: str
    changes: Mapping[str, Any]
    places: Places
    sources: Sources

    def do(self, threads: int) -> None:
        """Trains and notes the figures; nothing where that was done."""
        images = int(self.changes["run.max_images"])
        if figures_in(self.places.out, images) is not None:
            return
        torch.set_num_threads(threads)
        made = read_recipe(HERE / f"{self.recipe}.toml", self.changes)
        found = train(made, self.places, self.sources, Limits(), lambda *_: None, device="auto")
        with replacing(self.places.out / "figures.json") as part:
            part.write_text(json.dumps({**found, "images": images}), encoding="utf-8")
        sys.stdout.write(f"{self.places.out}: done\n")
        sys.stdout.flush()


def figures_in(run: Path, images: int) -> dict[str, float] | None:
    """The figures of a run that has seen so many images; None where it has not, or is not finished."""
    file = run / "figures.json"
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found if found.get("images") == images else None


def jobs_of(variants: Iterable[Variant], seed: int, options: argparse.Namespace) -> list[tuple[Job, list[Job]]]:
    """Each prior with the variants that start from it, and the others with nothing after them."""

    def places(name: str) -> Places:
        return Places(data=options.data, out=options.runs / f"{name}-{seed}", validation=options.validation)

    alone: list[tuple[Job, list[Job]]] = []
    after: dict[str, tuple[Job, list[Job]]] = {}
    for variant in variants:
        changes = {**variant.changes, "seed": 100 + seed, "run.max_images": options.images}
        if variant.prior is None:
            alone.append((Job("finetune", changes, places(variant.folder), Sources()), []))
            continue
        prior = places(f"prior-{variant.prior}")
        first = {**PRIORS[variant.prior], "seed": seed, "run.max_images": options.prior_images}
        judge = prior.out / "discriminator.safetensors" if variant.judged else None
        sources = Sources(prior=prior.out / "prior.safetensors", discriminator=judge)
        chain = after.setdefault(variant.prior, (Job("prior", first, prior, Sources()), []))
        chain[1].append(Job("finetune", changes, places(variant.folder), sources))
    return [*after.values(), *alone]


def do_all(chains: Iterable[tuple[Job, list[Job]]], at_once: int, threads: int) -> None:
    """So many at once, each in a process of its own where there are several; what comes after a job waits for it."""
    if at_once == 1:
        for first, later in chains:
            for job in (first, *later):
                job.do(threads)
        return
    with ProcessPoolExecutor(at_once, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(first.do, threads): later for first, later in chains}
        while waiting:
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                done.result()
                waiting.update({pool.submit(job.do, threads): [] for job in waiting.pop(done)})


def astronaut() -> Tensor:
    """The face at 64 px, (1, 3, 64, 64) in [0, 1]."""
    import skimage.data

    image = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
    return crop_faces(image, fit_similarity(torch.tensor(ASTRONAUT)[None], template("ffhq", 64)), 64, "reflect")


@torch.no_grad()
def picture(variants: Iterable[Variant], runs: Path) -> Image.Image:
    """A row for each of three degrees of damage: damaged, each variant, original; twice enlarged."""
    clean = astronaut()
    degradation = Degradation("balanced")
    damaged = torch.cat([degradation.degrade(clean, 11, [index]) for index in (2, 4, 9)])
    columns = [damaged]
    for variant in variants:
        model = GPEN.from_pretrained(runs / f"{variant.folder}-0" / "model.safetensors")
        columns.append(((model(damaged * 2 - 1) + 1) / 2).clamp(0, 1))
    columns.append(clean.expand(3, -1, -1, -1))
    grid = torch.cat([torch.cat(list(column), 1) for column in columns], 2)
    levels = (grid * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    size = (levels.shape[1] * 2, levels.shape[0] * 2)
    return Image.fromarray(np.ascontiguousarray(levels)).resize(size, Image.Resampling.NEAREST)


def figures_of(variant: Variant, options: argparse.Namespace) -> list[dict[str, float]]:
    """The validation's figures of each finished seed."""
    folders = [options.runs / f"{variant.folder}-{seed}" for seed in range(options.seeds)]
    return [found for folder in folders if (found := figures_in(folder, options.images)) is not None]


def spread(values: list[float]) -> str:
    """Mean ± deviation over the seeds."""
    return f"{statistics.fmean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def table(rows: Mapping[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """docs/ablation.md."""
    first = next(iter(rows.values()))[0]
    damaged = {name: first[f"input_{name}"] for name in FIGURES}
    body = [
        f"| {name} | {len(found)} | " + " | ".join(spread([f[n] for f in found]) for n in FIGURES) + " |"
        for name, found in rows.items()
    ]
    below = [name for name, found in rows.items() if statistics.fmean(f["psnr"] for f in found) <= damaged["psnr"]]
    plain = (
        f"Below the damaged input in PSNR: {'; '.join(below)}."
        if below
        else "Every variant is above the damaged input in PSNR."
    )
    return f"""# The ablation and comparison of the paper

At 64 px: priors that saw {options.prior_images:,} faces, then restorers that saw {options.images:,} damaged ones
each, with the same faces, damage (`balanced`) and batches; means ± deviation over the seeds, on faces that training
never saw. `training/ablation/variants.py` says in what each variant differs, and what of a published loss is left out
for want of free weights. Perceptual: the distance from the original that the face detector's backbone sees, lower is
better; sharpness: gradients, to the original's.

| variant | seeds | {" | ".join(FIGURES)} |
|{"---|" * (len(FIGURES) + 2)}
| damaged input | | {" | ".join(f"{value:.3f}" for value in damaged.values())} |
{chr(10).join(body)}

{plain}

![Damaged, {"; ".join(rows)}; original]({PICTURE})

From left to right: damaged; {"; ".join(rows)}; original.

Repeated by `python -m training.ablation.run FACES/train FACES/val RUNS --prior-images {options.prior_images}
--images {options.images} --seeds {options.seeds}`.
"""


def main() -> None:
    """Trains what is missing and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--prior-images", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", metavar="VARIANT", help="these variants alone")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at once, all on the same device")
    parser.add_argument("--only-report", action="store_true", help="train nothing; report what is finished")
    parser.add_argument("--report", type=Path, default=DOCS, metavar="DIR", help="where ablation.md and .png go")
    options = parser.parse_args()
    chosen = [v for v in VARIANTS if not options.only or v.name in options.only]
    if not options.only_report:
        chains = [chain for seed in range(options.seeds) for chain in jobs_of(chosen, seed, options)]
        do_all(chains, options.jobs, options.threads)
    rows = {v.name: found for v in VARIANTS if (found := figures_of(v, options))}
    if not rows:
        raise SystemExit(f"no run in {options.runs} has seen {options.images} images; train them, or name --images")
    options.report.mkdir(parents=True, exist_ok=True)
    said = (HERE / "conclusion.md").read_text(encoding="utf-8") if options.report == DOCS else ""
    (options.report / "ablation.md").write_text(f"{table(rows, options)}{said}", encoding="utf-8")
    picture([v for v in VARIANTS if v.name in rows], options.runs).save(options.report / PICTURE, quality=90)


if __name__ == "__main__":
    main()
