"""Every option on every path from Python: it changes what comes out, or is refused by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from small_restorers import Network, face, labels
from task_models import task_model
from torch import Tensor
from torch.nn import functional as F

from gpen_core.errors import ConfigError
from gpen_core.fields import described
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.restore.align import align_faces, take_whole
from gpen_core.restore.detect import find_faces_together
from gpen_core.restore.masks import masks_for
from gpen_core.restore.paste import PictureWork
from gpen_core.restore.run import run_faces
from gpen_core.tasks import colorize, inpaint
from gpen_core.video import restore_frames

#: A value for each option that is not the default's.
SAMPLES: dict[str, Any] = {
    "threshold": 0.97, "min_size": 62.0, "max_size": 62.0, "order": "left", "indices": (1,), "largest": 1,
    "longest_side": 64, "rotations": True, "kind": "box", "margin": 0.2, "feather": 0.1, "least_feather": 20.0,
    "occlusion": True, "strength": 0.5, "face_strength": {0: 0.5}, "region_strength": {"eyes": 0.0},
    "colour_match": "crop", "blend": "laplacian", "overlap": "hard", "smooth_below": 500.0, "grain": 1.0,
    "only_damaged": True, "keep_detail": False, "keep_tone": False, "keep_grey": True, "template": "ffhq",
    "border": "reflect", "fit": "least_median", "antialias": False, "eight_bits": True, "sharpen": 4.0,
    "batch_size": 1, "keep_crops": False,
}  # fmt: skip
#: How the work is done, not what comes of it.
UNSEEN = {"batch_size", "keep_crops"}
#: What shows on sound faces or in toned pictures only; other tests have some.
ELSEWHERE = {"keep_detail", "keep_tone"}


def scene() -> np.ndarray:
    """Noise, over shades that are grey on the left; smooth enough on the right that a face there is good."""
    shades = np.linspace(0.2, 0.8, 160, dtype=np.float32)[None, :, None] * np.ones((120, 1, 3), np.float32)
    shades[:, 80:, 1] *= 0.7
    noise = np.random.default_rng(0).normal(scale=0.05, size=(120, 160, 1)).astype(np.float32)
    return ((shades + noise).clip(0.02, 0.98) * 255).astype(np.uint8)


def two_faces(pictures: Tensor) -> list[list[Any]]:
    """Two that overlap, at places that depend a little on how large the picture comes; a third where it is turned."""
    height, width = pictures.shape[-2:]
    if height > width:
        return [[replace(face(20, 60, 30), score=0.99)] for _ in pictures]
    near, far = face(60.5, 30.5, 60), face(5, 40, 40)
    marks = near.landmarks + torch.tensor([[0.0, 0], [0, 0], [9, 4], [0, 0], [0, 0]])
    large = replace(far, box=far.box + torch.tensor([0, 0, 25, 25]), score=0.95)
    found = [replace(near, landmarks=marks, score=0.99), large]
    return [[entry.scaled(width / 160 * 1.01, height / 120) for entry in found] for _ in pictures]


def restoring(x: Tensor) -> Tensor:
    """Soft, lighter, and with another thing in the middle."""
    soft = F.avg_pool2d(F.pad(x, [3] * 4, mode="reflect"), 7, 1) * 0.9 + 0.07
    side = x.shape[-1]
    soft[:, 0, side * 5 // 16 : side * 11 // 16, side * 7 // 16 : side * 10 // 16] += 0.2
    return soft


def restorer() -> FaceRestorer:
    return FaceRestorer(Network(restoring, 32), two_faces, labels)


def photograph(options: RestoreOptions) -> Any:
    return restorer().restore(scene(), options)


def aligned(options: RestoreOptions) -> Any:
    """All of it grey, which no tone keeps so, and masked by a shape, so that blending has an edge."""
    options = replace(options, blending=replace(options.blending, keep_tone=False))
    if options.masking.kind == "auto":
        options = replace(options, masking=replace(options.masking, kind="ellipse"))
    return restorer().restore(scene()[20:100, :80], options, aligned=True)


def film(options: RestoreOptions) -> Any:
    return next(restore_frames([scene()], restorer(), options))


def colouring(options: RestoreOptions) -> Any:
    return colorize(scene(), task_model("colorization"), detector=two_faces, parser=labels, options=options)


def filling(options: RestoreOptions) -> Any:
    mask = np.zeros((120, 160), np.float32)
    mask[30:100, 20:110] = 1
    model = task_model("inpainting")
    return inpaint(scene(), model, detector=two_faces, parser=labels, options=options, mask=mask)


def with_option(name: str, value: Any) -> RestoreOptions:
    """The options with one changed; region by the parser, which the usual mask here is not."""
    base = RestoreOptions()
    for part, entry in described(RestoreOptions).items():
        if is_dataclass(entry.kind) and name in described(entry.kind):
            return replace(base, **{part: replace(getattr(base, part), **{name: value})})
    return replace(base, **{name: value})


def outcome(result: Any) -> tuple[bytes, list[list[float]]]:
    return result.decoded.pixels.tobytes(), [entry.box.tolist() for entry in result.faces]


def test_there_is_a_sample_of_every_option() -> None:
    parts = [RestoreOptions, *(entry.kind for entry in described(RestoreOptions).values() if is_dataclass(entry.kind))]
    names = {name for part in parts for name, entry in described(part).items() if not is_dataclass(entry.kind)}
    assert names == set(SAMPLES)


@pytest.mark.parametrize("path", [photograph, aligned, film, colouring, filling], ids=lambda path: path.__name__)
@pytest.mark.parametrize("name", sorted(set(SAMPLES) - UNSEEN - ELSEWHERE))
@pytest.mark.filterwarnings("ignore:.*of the mask lies outside")
def test_an_option_is_honoured_or_refused_by_name(path: Callable[[RestoreOptions], Any], name: str) -> None:
    if name == "only_damaged" and path in (photograph, aligned, film):
        pytest.skip("no face here is good; test_damage and test_film_people have one")
    usual = outcome(path(RestoreOptions()))
    try:
        result = path(with_option(name, SAMPLES[name]))
    except ConfigError as error:
        assert name in str(error)  # noqa: PT017
        return
    assert outcome(result) != usual


def steps_of(walk: Callable[[], Any]) -> list[str]:
    """The main functions of the road's five steps, as often and in the order in which they are called."""
    steps = (find_faces_together, align_faces, take_whole, run_faces, masks_for, PictureWork.add)
    names = {step.__code__: step.__name__ for step in steps}
    met: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code in names:
            met.append(names[frame.f_code])

    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(None)
    return met


@pytest.mark.parametrize("path", [photograph, aligned, film, colouring, filling], ids=lambda path: path.__name__)
@pytest.mark.filterwarnings("ignore:.*of the mask lies outside")
def test_every_path_walks_the_five_steps_once_and_in_their_order(path: Callable[[RestoreOptions], Any]) -> None:
    begin = ["take_whole"] if path is aligned else ["find_faces_together", "align_faces"]
    assert steps_of(lambda: path(RestoreOptions())) == [*begin, "run_faces", "masks_for", "add"]
