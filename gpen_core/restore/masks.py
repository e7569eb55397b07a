"""What happens to a restored crop before it is put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..faces.colour import are_grey, luma, match_crop, match_surroundings
from ..faces.geometry import scale_of
from ..faces.levels import round_, smoothed
from ..faces.mask import box_mask, ellipse_mask, face_mask, region_strength, resized, soften
from ..faces.types import FaceCrops
from ..options import Masking, RestoreOptions
from .run import BatchSizer, run_network

Parser = Callable[[Tensor], Tensor]

#: ParseNet and BiSeNet were trained at this size.
PARSER_SIZE = 512
#: Shapes that no parser drew are smooth enough for this.
_SHAPE_SIZE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class CropMasks:
    """How much of each crop goes back.

    masks: one (M, M) in [0, 1] per face; M may differ from the crop's side. strengths: (K, K) factors for it, by
    region, or None.
    """

    masks: Sequence[Tensor]
    strengths: Sequence[Tensor] | None = None


def masks_for(
    faces: FaceCrops, restored: Tensor, parser: Parser | None, options: RestoreOptions, sizer: BatchSizer
) -> CropMasks:
    """Masks of restored faces (N, 3, T, T) in [0, 1].

    Raises InputError where the options need a parser and there is none.
    """
    masking, regions = options.masking, options.blending.region_strength
    kind = masking.kind if masking.kind != "auto" else ("parser" if parser is not None else "ellipse")
    parsed = None
    if kind == "parser" or regions:
        if parser is None:
            raise InputError("a mask or strength by region needs a parser; give FaceRestorer one, or another mask kind")
        size = getattr(parser, "size", PARSER_SIZE)
        parsed = run_network(parser, resized(restored, size), sizer)
    if parsed is not None and kind == "parser":
        plain = face_mask(parsed)
    else:
        shape = ellipse_mask(_SHAPE_SIZE) if kind == "ellipse" else box_mask(_SHAPE_SIZE)
        plain = shape.to(restored.device).expand(len(restored), -1, -1)
    sigmas = [_edge(masking, affine, faces.crops.shape[-1]) for affine in faces.affines]
    masks = _each_softened(plain, sigmas, masking.margin)
    if not regions or parsed is None:
        return CropMasks(masks=masks)
    return CropMasks(masks=masks, strengths=_each_softened(region_strength(parsed, regions), sigmas, 0.0))


def _edge(masking: Masking, affine: Tensor, crop_size: int) -> float:
    """The mask's standard deviation as a fraction of the crop."""
    return max(masking.feather, min(masking.least_feather * scale_of(affine) / crop_size, 0.2))


def _each_softened(planes: Tensor, sigmas: Sequence[float], margin: float) -> list[Tensor]:
    if len(set(sigmas)) <= 1:
        return list(soften(planes, margin=margin, sigma=sigmas[0])) if sigmas else []
    return [soften(plane[None], margin=margin, sigma=sigma)[0] for plane, sigma in zip(planes, sigmas, strict=True)]


def finished(
    faces: FaceCrops,
    restored: Tensor,
    masks: CropMasks,
    options: RestoreOptions,
    *,
    first: int = 0,
    grey: bool = False,
) -> list[Tensor]:
    """Restored faces, (3, T, T) each, as they are to be put back: made grey, matched in colour, smoothed, as asked.

    With `options.eight_bits` strength is mixed into the crop and rounded, as the reference does, at the crop's size.
    first: index of the first face, for `Blending.face_strength`. grey: all of them lose their colour.
    """
    blending = options.blending
    restored = _without_colour(faces.crops, restored, every=grey, where_crop_is_grey=blending.keep_grey)
    if blending.colour_match != "none":
        crops = resized(faces.crops, restored.shape[-1])
        size = restored.shape[-1]
        whole = torch.stack([resized(mask[None, None], size)[0, 0] for mask in masks.masks])
        match = match_surroundings if blending.colour_match == "surroundings" else match_crop
        restored = match(restored, crops, whole)
    size = faces.crops.shape[-1]
    result = []
    for index, face in enumerate(restored):
        # One by one: what stays in the cache is done in a fraction of the time.
        if faces.detections[index].size < blending.smooth_below:
            face = smoothed(face)
            face = round_(face) if options.eight_bits else face
        if options.eight_bits:
            face = resized(face[None], size)[0]
            alpha = blending.strength_of(first + index)
            face = round_(torch.lerp(faces.crops[index], face, alpha)) if alpha < 1 else face
        result.append(face)
    return result


def _without_colour(crops: Tensor, restored: Tensor, *, every: bool, where_crop_is_grey: bool) -> Tensor:
    if every:
        return luma(restored).expand_as(restored)
    if not where_crop_is_grey:
        return restored
    return torch.where(are_grey(crops)[:, None, None, None], luma(restored), restored)
