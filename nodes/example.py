"""Example Photograph: the pictures that ship, so that every graph runs before a picture of one's own is at hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..gpen_core.images import as_picture
from . import pictures
from .adapter import Progress, io, schema

_FOLDERS = (Path(__file__).parent.parent / "gpen_core" / "examples", Path(__file__).parent / "examples")
#: How far the camera shakes, as a share of the picture, and the grain of each frame.
_SHAKE, _GRAIN = 0.02, 0.03


class ExamplePhotograph(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_ExamplePhotograph",
            display_name="Example Photograph",
            category="GPEN",
            description="A damaged photograph that ships with the pack (an astronaut's portrait by NASA, public "
            "domain), to try a graph with. More frames than one make a shaky, grainy film of it.",
            search_aliases=["gpen example", "test image", "sample photo", "demo picture"],
            inputs=[
                io.Combo.Input("photograph", options=names(), default=names()[0], tooltip="Which picture."),
                io.Int.Input(
                    "frames", default=1, min=1, max=300, tooltip="1: the photograph. More: that many frames of a film."
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="The photograph, or the frames one after the other.")],
        )

    @classmethod
    def execute(cls, photograph: str, frames: int = 1) -> Any:
        path = next(folder / f"{photograph}.jpg" for folder in _FOLDERS if (folder / f"{photograph}.jpg").is_file())
        picture = torch.from_numpy(as_picture(path).pixels.copy()).movedim(-1, 0).float() / 255
        if frames == 1:
            return io.NodeOutput(pictures.images_out([picture]))
        film, progress = pictures.Crops(frames), Progress(frames)
        for index in range(frames):
            film.add(_frame(picture, index))
            progress.step()
        return io.NodeOutput(film.images)


def names() -> list[str]:
    """Of the pictures that ship."""
    return [path.stem for folder in _FOLDERS for path in sorted(folder.glob("*.jpg"))]


def _frame(picture: Tensor, index: int) -> Tensor:
    """Frame `index`: the picture seen a little to the side, with grain of its own; a function of its arguments."""
    margin = _SHAKE * math.sin(index / 7), _SHAKE * math.sin(index / 11 + 1)
    window = torch.tensor([[[1 - 2 * _SHAKE, 0, margin[0]], [0, 1 - 2 * _SHAKE, margin[1]]]])
    grid = functional.affine_grid(window, [1, *picture.shape], align_corners=False)
    seen = functional.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)[0]
    grain = torch.randn(picture.shape, generator=torch.Generator().manual_seed(index))
    return (seen + _GRAIN * grain).clamp(0, 1)
