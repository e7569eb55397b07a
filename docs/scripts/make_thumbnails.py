"""Draws the thumbnails of the shipped workflows: python docs/scripts/make_thumbnails.py

Left of the line is what a workflow begins with, right of it what the model that ships makes of it. Where a workflow
needs a model that does not ship, only its beginning is shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from gpen_core import FaceRestorer, load_model

ROOT = Path(__file__).parent.parent.parent
EXAMPLES, FOR_NODES, OUT = ROOT / "gpen_core" / "examples", ROOT / "nodes" / "examples", ROOT / "workflows"
SIDE = 512
#: Of each workflow: its picture, and whether the model that ships works on it.
SHOWN = {
    "1 Restore a photograph": (EXAMPLES / "sent-around.jpg", True),
    "2 Choose faces in a group photograph": (FOR_NODES / "two-prints.jpg", True),
    "3 Restore step by step": (EXAMPLES / "kept-in-a-drawer.jpg", True),
    "4 Restore a film": (EXAMPLES / "sent-around.jpg", True),
    "5 Colourise an old photograph": (EXAMPLES / "kept-in-a-drawer.jpg", False),
    "6 Fill what is painted over": (FOR_NODES / "painted-over.jpg", False),
    "7 After making an image": (EXAMPLES / "sent-around.jpg", True),
}


def around(box: tuple[float, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square of twice the box's side around it, inside a picture of `size`."""
    side = min(2 * max(box[2] - box[0], box[3] - box[1]), *size)
    left = min(max((box[0] + box[2] - side) / 2, 0), size[0] - side)
    top = min(max((box[1] + box[3] - side) / 2, 0), size[1] - side)
    return round(left), round(top), round(left + side), round(top + side)


def thumbnail(path: Path, restorer: FaceRestorer, *, restored: bool) -> Image.Image:
    """SIDE × SIDE."""
    before = Image.open(path).convert("RGB")
    result = restorer.restore(path)
    after = Image.fromarray(np.asarray(result.picture)).convert("RGB") if restored else before
    boxes = np.array([face.box.tolist() for face in result.faces])
    whole = (*boxes[:, :2].min(0), *boxes[:, 2:].max(0))
    window = around(tuple(float(v) for v in whole), before.size)
    halves = [half.crop(window).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for half in (before, after)]
    made = halves[0].copy()
    if restored:
        made.paste(halves[1].crop((SIDE // 2, 0, SIDE, SIDE)), (SIDE // 2, 0))
        ImageDraw.Draw(made).line((SIDE // 2, 0, SIDE // 2, SIDE), fill="white", width=3)
    return made


def main() -> None:
    """Writes one JPEG beside each workflow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    restorer = FaceRestorer(load_model("gpen-open", device="cpu"))
    for title, (path, restored) in SHOWN.items():
        thumbnail(path, restorer, restored=restored).save(OUT / f"{title}.jpg", quality=88)


if __name__ == "__main__":
    main()
