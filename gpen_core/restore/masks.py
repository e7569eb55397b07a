"""Fourth step: how much of each restored face goes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contracts import Occluder, Parser, parser_size
from ..errors import FaceError, InputError
from ..faces.geometry import scale_of
from ..faces.mask import box_mask, ellipse_mask, face_mask, region_strength, soften
from ..faces.occlusion import contradicted, covered_by_labels
from ..faces.types import FaceCrops
from ..images import Picture
from ..images.planes import resize
from ..options import Masking, RestoreOptions
from .run import BatchSizer, run_network

#: Shapes that no parser drew are smooth enough for this.
_SHAPE_SIZE = 256
#: An aligned face goes back whole where nothing else is asked.
_WHOLE = Masking(kind="box", margin=0, feather=0, least_feather=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class CropMasks:
    """How much of each crop goes back.

    masks: one (M, M) in [0, 1] per face; M may differ from the crop's side. strengths: (K, K) factors for it, by
    region, or None. covered: what share of each mask something in front of the face took away, or None.
    """

    masks: Sequence[Tensor]
    strengths: Sequence[Tensor] | None = None
    covered: Sequence[float] | None = None


def masks_for(
    faces: FaceCrops,
    restored: Tensor,
    parser: Parser | None,
    options: RestoreOptions,
    sizer: BatchSizer,
    occluder: Occluder | None = None,
) -> CropMasks:
    """Masks of restored faces (N, 3, T, T) in [0, 1].

    occluder: None where what contradicts is covered. Raises InputError where the options need a parser and there is
    none.
    """
    masking, regions = options.masking, options.blending.region_strength
    sigmas = [_edge(masking, affine, faces.crops.shape[-1]) for affine in faces.affines]
    region_sigmas, kind = sigmas, masking.kind
    if faces.whole and replace(masking, occlusion=False) == Masking():
        masking, kind, sigmas = _WHOLE, "box", [0.0] * len(sigmas)
    elif kind == "auto":
        kind = "parser" if parser is not None else "box" if faces.whole else "ellipse"
    parsed = None
    if kind == "parser" or regions:
        if parser is None:
            raise InputError("a mask or strength by region needs a parser; give FaceRestorer one, or another mask kind")
        if len(restored):
            parsed = run_network(parser, resize(restored, parser_size(parser), antialias=False), sizer)
    if parsed is not None and kind == "parser":
        plain = face_mask(parsed)
    else:
        shape = ellipse_mask(_SHAPE_SIZE) if kind == "ellipse" else box_mask(_SHAPE_SIZE)
        plain = shape.to(restored.device).expand(len(restored), -1, -1)
    masks, covered = _each_softened(plain, sigmas, masking.margin), None
    if options.masking.occlusion and masks:
        masks, covered = _uncovered(masks, _covered(faces.crops, restored, parser, occluder, sizer))
    strengths = None
    if regions and parsed is not None:
        strengths = _each_softened(region_strength(parsed, regions), region_sigmas, 0.0)
    return CropMasks(masks=masks, strengths=strengths, covered=covered)


def _covered(
    crops: Tensor, restored: Tensor, parser: Parser | None, occluder: Occluder | None, sizer: BatchSizer
) -> Tensor:
    """(N, K, K) in [0, 1]: what `occluder` says, or where it is None what contradicts; and what the parser calls
    worn."""
    if occluder is not None:
        doubt = face_mask(run_network(occluder, crops, sizer).float())
    else:
        doubt = contradicted(crops, restored)
    if parser is None:
        return doubt
    parsed = run_network(parser, resize(crops, parser_size(parser), antialias=False), sizer)
    if parsed.is_floating_point():
        return doubt
    worn = covered_by_labels(parsed)
    return torch.maximum(worn, resize(doubt[:, None], worn.shape[-1], antialias=False)[:, 0])


def _uncovered(masks: Sequence[Tensor], covered: Tensor) -> tuple[list[Tensor], list[float]]:
    """Masks without what is covered, and the share that this takes of each."""
    left, shares = [], []
    for mask, cover in zip(masks, covered, strict=True):
        free = mask * (1 - resize(cover[None, None], mask.shape[-1], antialias=False)[0, 0].to(mask))
        shares.append(1 - float(free.sum() / mask.sum().clamp_min(1e-6)))
        left.append(free)
    return left, shares


def _edge(masking: Masking, affine: Tensor, crop_size: int) -> float:
    """The mask's standard deviation as a fraction of the crop."""
    return max(masking.feather, min(masking.least_feather * scale_of(affine) / crop_size, 0.2))


def _each_softened(planes: Tensor, sigmas: Sequence[float], margin: float) -> list[Tensor]:
    if len(set(sigmas)) <= 1:
        return list(soften(planes, margin=margin, sigma=sigmas[0])) if sigmas else []
    return [soften(plane[None], margin=margin, sigma=sigma)[0] for plane, sigma in zip(planes, sigmas, strict=True)]


def checked_masks(masks: Any, picture: Picture, faces: int) -> Tensor:
    """A caller's masks of a picture as (1 or `faces`, H, W) float32 in [0, 1]: one for all faces, or one each.

    Raises InputError for other shapes or numbers of them, FaceError for values outside [0, 1].
    """
    planes = torch.as_tensor(np.asarray(masks) if not isinstance(masks, Tensor) else masks).detach().cpu()
    planes = planes.float() if planes.is_floating_point() or planes.dtype == torch.bool else planes.float() / 255
    planes = planes[None] if planes.ndim == 2 else planes
    size = (picture.height, picture.width)
    if planes.ndim != 3 or tuple(planes.shape[1:]) != size:
        raise InputError(
            f"the mask has shape {tuple(planes.shape)}; the picture needs (H, W) = {size}, or one such mask per face"
        )
    if len(planes) not in (1, faces):
        raise InputError(f"{len(planes)} masks came with {faces} faces; expected one for all, or one per face")
    if not bool(((planes >= 0) & (planes <= 1)).all()):
        raise FaceError(
            "the mask holds values outside [0, 1], or NaN; floats are expected in [0, 1], integers in 0..255"
        )
    return planes
