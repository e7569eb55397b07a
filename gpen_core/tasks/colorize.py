"""Colours for grey faces; the luma stays the input's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..contracts import Detector, Model, Parser
from ..errors import InputError
from ..faces.types import Detection
from ..fields import refuse
from ..images import PictureLike, as_picture, convert_like
from ..images.picture import FULL_SCALE
from ..images.planes import LUMA, luma
from ..options import RestoreOptions
from ..restore import FaceRestorer, RestoredPicture
from .network import check_task, for_task


def to_grey(crops: Tensor) -> Tensor:
    """(N, 3, S, S): the BT.601 luma of `crops`, three times: what the network was trained to colour."""
    return luma(crops).expand_as(crops)


def colorize_face(picture: PictureLike, model: Model) -> Any:
    """The aligned face `picture` (anything `as_picture` takes), coloured, as the same kind of thing, RGB.

    Every pixel keeps the input's luma to within rounding, at every size. Raises WeightsError for a model of another
    task, InputError where the picture is not square.
    """
    return colorize(picture, model, aligned=True).picture


def colorize(
    picture: PictureLike,
    model: Model,
    *,
    detector: Detector | None = None,
    parser: Parser | None = None,
    options: RestoreOptions | None = None,
    detections: Sequence[Detection] | None = None,
    aligned: bool = False,
) -> RestoredPicture:
    """The photograph `picture` with its faces coloured; all else, and the luma of every pixel, as it was.

    detector, parser, options, detections, aligned: as `FaceRestorer` takes them. Raises as `colorize_face` and
    `FaceRestorer.restore`; ConfigError for `keep_grey`.
    """
    check_task(model, "colorization")
    options = for_task(options)
    options = replace(options, blending=replace(options.blending, keep_tone=False))
    refuse(
        options, ("blending.grain",), "colourising keeps the grain as it keeps every pixel's brightness; leave it out"
    )
    refuse(options, ("masking.occlusion",), "what is grey contradicts every colour; leave it out")
    refuse(options, ("blending.only_damaged",), "a grey face lacks its colours however sharp it is; leave it out")
    refuse(options, ("blending.keep_grey",), "a face that is to be coloured cannot stay grey; leave it out")
    given = as_picture(picture)
    restorer = FaceRestorer(model, detector, parser, prepare=to_grey)
    coloured = given.with_pixels(given.pixels, grey=False)
    restored = restorer.restore(coloured, options, detections=detections, aligned=aligned)
    pixels = given.pixels.copy()
    for face in restored.faces:
        x1, y1, x2, y2 = face.rectangle
        part = np.s_[y1:y2, x1:x2]
        pixels[part] = keep_luma(given.pixels[part], restored.decoded.pixels[part])
    result = coloured.with_pixels(pixels)
    return replace(restored, picture=convert_like(result, _as_rgb(picture)), decoded=result)


def _as_rgb(picture: PictureLike) -> Any:
    """Something of the kind of `picture` that has three channels, for `convert_like` to follow."""
    if isinstance(picture, np.ndarray) and picture.ndim == 2:
        return np.broadcast_to(picture[..., None], (*picture.shape, 3))
    if isinstance(picture, torch.Tensor) and picture.shape[0] == 1:
        return picture.expand(3, -1, -1)
    return picture


def keep_luma(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) RGB of `before`'s kind of number: the BT.601 luma of `before` under the chroma of `after`.

    Chroma is scaled towards grey, pixel by pixel, until RGB lies in gamut; luma differs from `before`'s by rounding
    only. Raises InputError for arrays of different shape or kind.
    """
    if before.shape != after.shape or before.dtype != after.dtype or before.shape[-1:] != (3,):
        raise InputError(
            f"luma of {before.dtype} {before.shape} cannot be given to colours of {after.dtype} {after.shape}; "
            "expected two RGB arrays alike"
        )
    full = FULL_SCALE[before.dtype.name]
    weights = np.array(LUMA, dtype=np.float64)
    light = (before.astype(np.float64) @ weights)[..., None]
    colours = after.astype(np.float64)
    chroma = colours - (colours @ weights)[..., None]
    # The largest share of the chroma that each channel has room for.
    room = np.where(chroma > 0, full - light, light)
    share = np.min(room / np.maximum(np.abs(chroma), 1e-9), axis=-1, keepdims=True)
    result = light + np.clip(share, 0.0, 1.0) * chroma
    if before.dtype.kind == "u":
        result = np.rint(result)
    kept: NDArray[Any] = np.clip(result, 0, full).astype(before.dtype)
    return kept
