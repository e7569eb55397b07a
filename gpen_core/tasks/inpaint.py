"""Missing parts of a face filled in; the rest stays as it is to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..contracts import Detector, Model, Parser
from ..errors import InputError, MissedError
from ..faces.types import Detection
from ..fields import described, refuse
from ..images import Picture, PictureLike, as_picture, convert_like
from ..images.mask import as_mask
from ..images.picture import FULL_SCALE, to_depth
from ..options import Masking, RestoreOptions
from ..restore import FaceRestorer, RestoredPicture
from .network import check_task, for_task

#: White strokes, also after JPEG: no channel below this, of 255.
_WHITE = 250
#: Strokes are thicker than this many pixels both ways; highlights of eyes and teeth that are smaller stay.
_THINNEST = 5
#: JPEG smears a stroke's edge this far.
_SMEAR = 2


def white_strokes(picture: PictureLike) -> NDArray[np.float32]:
    """(H, W) ones where `picture` (anything `as_picture` takes) is painted white, zeros elsewhere.

    White areas narrower than 5 pixels are left out: they are highlights. Edges are taken in 2 pixels further.
    """
    pixels = to_depth(as_picture(picture).pixels, np.uint8)
    white = torch.from_numpy((pixels >= _WHITE).all(2)).float()[None, None]
    opened = -F.max_pool2d(-F.pad(white, [_THINNEST // 2] * 4), _THINNEST, 1)
    strokes = F.max_pool2d(opened, _THINNEST + 2 * _SMEAR, 1, _THINNEST // 2 + _SMEAR)
    marked: NDArray[np.float32] = strokes[0, 0].numpy()
    return marked


def inpaint_face(picture: PictureLike, model: Model, *, mask: Any = None) -> Any:
    """The aligned face `picture` (anything `as_picture` takes) with its masked part filled, as the same kind of thing.

    mask: see `as_mask`; None: what is painted white. Where it is zero the result equals the input to the bit.
    Raises WeightsError for a model of another task; InputError where the picture is not square, the mask is another
    picture's, or nothing is to be filled.
    """
    return inpaint(picture, model, mask=mask, aligned=True).picture


def inpaint(
    picture: PictureLike,
    model: Model,
    *,
    mask: Any = None,
    detector: Detector | None = None,
    parser: Parser | None = None,
    options: RestoreOptions | None = None,
    detections: Sequence[Detection] | None = None,
    aligned: bool = False,
) -> RestoredPicture:
    """The photograph `picture` with the masked part of its faces filled; all else is the input's to the bit.

    mask: (H, W) of the photograph, see `as_mask`; None: what is painted white. detector, parser, options, detections,
    aligned: as `FaceRestorer` takes them. A warning says how much of the mask lies outside every face and stays;
    MissedError is raised where all of it does, ConfigError for masking among the options: the mask is the mask. Raises
    besides as `inpaint_face`.
    """
    check_task(model, "inpainting")
    given = as_picture(picture)
    marked = _marked(given, mask)
    options = for_task(options)
    masking = [f"masking.{name}" for name in described(Masking)]
    refuse(options, masking, "what is filled is what the mask says; leave masking out")
    strengths = ("blending.strength", "blending.face_strength", "blending.region_strength")
    refuse(options, strengths, "what is filled by half would show the paint; leave it out")
    refuse(options, ("blending.only_damaged",), "the mask says what is damaged; leave it out")
    restorer = FaceRestorer(model, detector, parser)
    if detections is None and not aligned:
        detections = restorer.detect(given, options.selection)
    # A soft edge would mix the white paint in; the mask's own edge is the only one.
    whole = Masking(kind="box", margin=0, feather=0, least_feather=0)
    painted = given.with_pixels(_whitened(given.pixels, marked), grey=False)
    restored = restorer.restore(painted, replace(options, masking=whole), detections=detections, aligned=aligned)
    reached = np.zeros_like(marked)
    for face in restored.faces:
        x1, y1, x2, y2 = face.rectangle
        part = reached[y1:y2, x1:x2]
        np.maximum(part, (face.mask.numpy() >= 0.999).astype(np.float32), out=part)
    covered = float((marked * reached).sum() / marked.sum())
    if covered == 0:
        raise MissedError("none of the mask lies on a face that was found; there is nothing to fill")
    if covered < 1:
        warnings.warn(
            f"{100 * (1 - covered):.1f} % of the mask lies outside every face and stays as it is", stacklevel=2
        )
    merged = given.with_pixels(_merged(given.pixels, restored.decoded.pixels, marked * reached), grey=False)
    return replace(restored, picture=convert_like(merged, picture), decoded=merged)


def _marked(given: Picture, mask: Any) -> NDArray[np.float32]:
    marked = white_strokes(given) if mask is None else as_mask(mask, given.pixels.shape[:2])
    if not marked.any():
        what = "no part of the picture is painted white" if mask is None else "the mask is empty"
        raise InputError(f"{what}: there is nothing to fill; paint it, or give a mask that is white there")
    return marked


def _whitened(pixels: NDArray[Any], marked: NDArray[np.float32]) -> NDArray[Any]:
    """What GPEN-Inpainting was trained on: white wherever something is to be filled."""
    white = pixels.dtype.type(FULL_SCALE[pixels.dtype.name])
    whitened: NDArray[Any] = np.where((marked > 0)[..., None], white, pixels)
    return whitened


def _merged(before: NDArray[Any], after: NDArray[Any], marked: NDArray[np.float32]) -> NDArray[Any]:
    """`after` by the share `marked`, `before` where that is zero; same kind of number."""
    share = marked[..., None].astype(np.float64)
    mixed = before + share * (after.astype(np.float64) - before)
    if before.dtype.kind == "u":
        mixed = np.rint(mixed)
    merged: NDArray[Any] = np.where(share > 0, mixed.astype(before.dtype), before)
    return merged
