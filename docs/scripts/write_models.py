"""Writes docs/models.md: the models that ship and their input, judged on faces that training never saw.

    python docs/scripts/write_models.py PAIRS … [--models MODEL …] [--work FOLDER]

PAIRS hold `hq` and `lq_NAME` folders of aligned faces of one size each (`gpen degrade` makes such). Every number on the
page comes from `gpen compare`; figures are kept in the work folder, so that a second run takes only what changed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpen_core.cli.main import main as gpen
from gpen_core.measures.catalogue import MEASURES
from gpen_core.measures.pairs import load, pictures_in
from gpen_core.measures.protocols import PROTOCOLS
from gpen_core.weights import zoo

PAGE = Path(__file__).parents[1] / "models.md"
_HEAD = """# Models and their figures

This page is written by `docs/scripts/write_models.py`; change that, not this. To judge your own model beside them:
`gpen compare MODEL gpen-open --inputs DAMAGED --originals CLEAN -o compared/`.

Means over aligned faces that training never saw; the input is the damaged face itself, and `gpen-open` takes
the network of that size. ↑ higher is better, ↓ lower. PSNR rewards blur; perceptual distance and detail say more of
what is seen.
"""
_PUBLISHED = """## What others published

Compare within one source only: damage, crops, test faces and the code of the metrics differ from paper to paper.

| CelebA-HQ, blind restoration (Yang et al., GPEN, CVPR 2021) | PSNR ↑ | FID ↓ | LPIPS ↓ |
|---|---|---|---|
| Pix2PixHD | 20.45 | 76.89 | 0.494 |
| Super-FAN | 21.56 | 136.83 | 0.616 |
| GFRNet | 21.70 | 134.92 | 0.597 |
| GWAInet | 19.84 | 135.84 | 0.569 |
| HiFaceGAN | 21.33 | 56.67 | 0.392 |
| GPEN | 20.80 | 31.72 | 0.346 |
"""


def measures() -> str:
    """What can be asked for, and what each takes."""
    lines = ["## Measures", "", "| name | what it is | needs |", "|---|---|---|"]
    for name, measure in MEASURES.items():
        arrow = "↑" if measure.better == "higher" else "↓"
        lines.append(f"| `{name}` {arrow} | {measure.about} | {measure.needs or 'nothing more'} |")
    lines.append("| FID ↓ | `--fid`, against originals or `--fid-statistics` | gpen[metrics], Inception's weights |")
    lines += [
        "",
        "Networks of metrics are taken from torch's cache, fetched, or read from `--weights FOLDER`, a folder",
    ]
    lines += ["with `checkpoints/` and in it the files under their published names, whose hashes are checked.", ""]
    lines += ["## Protocols", "", "| name | set | size | identity gate |", "|---|---|---|---|"]
    for name, protocol in PROTOCOLS.items():
        lines.append(f"| `{name}` | {protocol.source} | {protocol.size or 'any'} | {protocol.gate or 'none'} |")
    lines += ["", "The gate is the NTIRE 2025 and 2026 challenges' least cosine between result and input, of AdaFace;"]
    lines += [
        "here it is taken by ArcFace, and more than ten results below it fail a set (`--degraded` names the inputs)."
    ]
    return "\n".join([*lines, ""])


def tables(pairs: Path, models: Sequence[str], work: Path) -> list[str]:
    """The models on one set of faces, damage by damage."""
    held = pictures_in(pairs / "hq")
    side = load(next(iter(held.values()))).pixels.shape[-1]
    lines = [f"## {len(held)} faces of {side} px", ""]
    for damaged in sorted(pairs.glob("lq_*")):
        name = damaged.name.removeprefix("lq_")
        out = work / f"{side}-{name}"
        given = ["--inputs", str(damaged), "--originals", str(pairs / "hq"), "-o", str(out), "--device", "cpu"]
        if gpen(["compare", *models, *given]):
            raise SystemExit(f"gpen compare failed for {damaged}")
        lines += [f"### {name.capitalize()} damage", "", (out / "table.md").read_text(encoding="utf-8")]
    return lines


def main() -> None:
    """Compares, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--models", nargs="+", default=[zoo.DEFAULT_MODEL])
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        parts = [line for pairs in arguments.pairs for line in tables(pairs, arguments.models, work)]
    PAGE.write_text("\n".join([_HEAD, *parts, measures(), _PUBLISHED]), encoding="utf-8")


if __name__ == "__main__":
    main()
