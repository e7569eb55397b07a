"""Draws what the ComfyUI registry shows of the pack: python docs/scripts/make_registry_pictures.py

An icon (the page's `web/icon.svg` in pixels) and a banner, whose faces are a shipped example before and after.
"""

from __future__ import annotations

import argparse

import numpy as np
from make_thumbnails import EXAMPLES, ROOT, around
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from gpen_core import FaceRestorer, load_model

OUT = ROOT / "docs" / "registry"
NIGHT, SKIN, NOSE, MOUTH, AMBER = "#22333b", "#f2c7a5", "#d99c76", "#a4434a", "#ffb000"
#: The registry takes squares of at most 400 px, and banners of 21:9.
ICON, BANNER = 400, (1344, 576)
_FINER = 4


def face() -> Image.Image:
    """A drawn face on the icon's ground, in the coordinates of the SVG."""
    made = Image.new("RGB", (ICON * _FINER,) * 2, NIGHT)
    draw = ImageDraw.Draw(made)

    def scaled(*points: float) -> list[float]:
        return [value * _FINER for value in points]

    draw.ellipse(scaled(95, 70, 305, 340), fill=SKIN)
    for x in (157, 243):
        draw.ellipse(scaled(x - 13, 167, x + 13, 193), fill=NIGHT)
    draw.polygon(scaled(200, 195, 186, 245, 214, 245), fill=NOSE)
    draw.arc(scaled(150, 243, 250, 303), 25, 155, fill=MOUTH, width=12 * _FINER)
    return made.resize((ICON, ICON), Image.Resampling.LANCZOS)


def icon() -> Image.Image:
    """ICON × ICON, with round corners: blurred on the left of the line, sharp on its right."""
    sharp = face()
    made = sharp.filter(ImageFilter.GaussianBlur(9))
    made.paste(sharp.crop((ICON // 2, 0, ICON, ICON)), (ICON // 2, 0))
    draw = ImageDraw.Draw(made)
    for y in range(40, 360, 24):
        draw.line((ICON // 2, y, ICON // 2, min(y + 14, 360)), fill=AMBER, width=5)
    corners = Image.new("L", (ICON * _FINER,) * 2)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, ICON * _FINER - 1, ICON * _FINER - 1), 64 * _FINER, fill=255)
    made.putalpha(corners.resize((ICON, ICON), Image.Resampling.LANCZOS))
    return made


def banner(restorer: FaceRestorer) -> Image.Image:
    """BANNER: the name, and a face before and after."""
    path = EXAMPLES / "sent-around.jpg"
    result = restorer.restore(path)
    before, after = Image.open(path).convert("RGB"), Image.fromarray(np.asarray(result.picture))
    window = around(tuple(float(v) for v in result.faces[0].box), before.size)
    width, height = BANNER
    made = Image.new("RGB", BANNER, NIGHT)
    for side, picture in enumerate((before, after)):
        face = picture.crop(window).resize((height, height), Image.Resampling.LANCZOS)
        half = face.crop((0, 0, height // 2, height)) if side == 0 else face.crop((height // 2, 0, height, height))
        made.paste(half, (width - height + side * height // 2, 0))
    draw = ImageDraw.Draw(made)
    draw.line((width - height // 2, 0, width - height // 2, height), fill=AMBER, width=4)
    draw.text((64, 180), "GPEN", fill="white", font=ImageFont.load_default(150))
    draw.text((70, 350), "Faces, restored without a seam.", fill=SKIN, font=ImageFont.load_default(40))
    draw.text((70, 410), "Photographs and films, in one node.", fill=SKIN, font=ImageFont.load_default(40))
    return made


def main() -> None:
    """Writes icon.png and banner.jpg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    OUT.mkdir(exist_ok=True)
    icon().save(OUT / "icon.png", optimize=True)
    banner(FaceRestorer(load_model(device="cpu"))).save(OUT / "banner.jpg", quality=88)


if __name__ == "__main__":
    main()
