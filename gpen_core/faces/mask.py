"""Which part of a crop goes back into the picture: shapes, parser labels, and the soft edge of both."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import FaceError, InputError
from ..options import Region

#: CelebAMask-HQ's 19 classes, by label.
LABELS = (
    "background", "skin", "nose", "glasses", "left eye", "right eye", "left brow", "right brow", "left ear",
    "right ear", "mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip
#: What of a parsed crop is not the face's own: background, hat, cloth (GPEN's choice; hair and neck stay in).
NOT_FACE = (0, 14, 18)
#: Glasses belong to the eyes: restored frames around unrestored eyes would show.
REGIONS: Mapping[Region, tuple[int, ...]] = {
    "eyes": (3, 4, 5, 6, 7),
    "mouth": (10, 11, 12),
    "skin": (1, 2, 8, 9, 17),
    "hair": (13,),
}
#: A Gaussian is cut off here, in standard deviations: what is lost is under 1e-6 of it.
_REACH = 5.0
#: Pixels per standard deviation that linear interpolation of a Gaussian edge needs to stay within 1/255.
_FINEST = 2.5


def box_mask(size: int) -> Tensor:
    """(size, size) ones: the whole crop; `soften` gives it its edge."""
    return torch.ones(size, size)


def ellipse_mask(size: int) -> Tensor:
    """(size, size) zeros and ones with an antialiased edge: an upright ellipse from the hairline to below the chin, as
    GPEN's and FFHQ's templates place them."""
    across, down = 0.33, 0.40
    x = (torch.arange(size) + 0.5) / size - 0.5
    y = (torch.arange(size) + 0.5) / size - 0.53
    inside = 1 - ((x[None] / across).square() + (y[:, None] / down).square()).sqrt()
    return (inside * across * size + 0.5).clamp(0, 1)


def face_mask(parsed: Tensor) -> Tensor:
    """(N, S, S) float32 in [0, 1] of what a parser gives: labels become zeros and ones, a mask stays as it is.

    Raises InputError for labels beyond CelebAMask-HQ's 19, FaceError for masks beyond [0, 1] or not
    finite.
    """
    if parsed.ndim != 3 or parsed.shape[1] != parsed.shape[2]:
        raise InputError(f"the parser gave shape {tuple(parsed.shape)}; expected (N, S, S)")
    if parsed.is_floating_point():
        low, high = (float(v) for v in parsed.aminmax()) if parsed.numel() else (0.0, 0.0)
        if not (low >= -1e-3 and high <= 1 + 1e-3):
            raise FaceError("the parser's mask is not within [0, 1]; integers are taken for labels, floats for a mask")
        return parsed.float()
    return _of_labels(parsed, dict.fromkeys(NOT_FACE, 0.0))


def region_strength(parsed: Tensor, strengths: Mapping[Region, float]) -> Tensor:
    """(N, S, S) float32: the strength of each pixel's region, 1 where `strengths` names none (see `REGIONS`).

    Raises InputError where the parser gives no labels, or the region is unknown.
    """
    if parsed.is_floating_point():
        raise InputError(
            f"strength by region ({', '.join(strengths)}) needs a parser that gives CelebAMask-HQ labels (integers); "
            "this one gives a float mask"
        )
    unknown = set(strengths) - set(REGIONS)
    if unknown:
        raise InputError(f"no region is called {', '.join(sorted(unknown))}; there are {', '.join(REGIONS)}")
    return _of_labels(parsed, {label: s for region, s in strengths.items() for label in REGIONS[region]})


def _of_labels(parsed: Tensor, values: Mapping[int, float]) -> Tensor:
    if parsed.numel() and not 0 <= int(parsed.min()) <= int(parsed.max()) < len(LABELS):
        raise InputError(
            f"the parser gave labels from {int(parsed.min())} to {int(parsed.max())}; expected CelebAMask-HQ's 0 to "
            f"{len(LABELS) - 1}"
        )
    table = torch.ones(len(LABELS), device=parsed.device)
    for label, value in values.items():
        table[label] = value
    return table[parsed.long()]


def soften(masks: Tensor, *, margin: float, sigma: float) -> Tensor:
    """`masks` (N, S, S) with a border of `margin` (fraction of the side) set to zero and its edges blurred by a
    Gaussian of `sigma` (likewise): (N, S', S'), no larger than the blur leaves anything to resolve."""
    size = masks.shape[-1]
    spread, factor = sigma * size, 1
    border = round(margin * size)
    if border:
        inner = torch.zeros_like(masks)
        inside = slice(border, size - border)
        inner[:, inside, inside] = masks[:, inside, inside]
        masks = inner
    while spread / (2 * factor) >= _FINEST and masks.shape[-1] % 2 == 0:
        masks = _halved(masks)
        factor *= 2
    # Averaging over `factor` px is itself a blur, of this variance.
    blur = blur_matrix(masks.shape[-1], math.sqrt(max(spread**2 - (factor**2 - 1) / 12, 0.0)) / factor).to(masks)
    return torch.stack([blur @ mask @ blur.T for mask in masks]) if len(masks) else masks


def _halved(masks: Tensor) -> Tensor:
    """Means of 2×2 pixels; two additions take a third of the time of torch's pooling."""
    rows = masks[:, 0::2] + masks[:, 1::2]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)


def blur_matrix(size: int, sigma: float) -> Tensor:
    """(size, size): a Gaussian blur of a line of samples, mirrored at the ends, which are not repeated."""
    if sigma <= 0 or size == 1:
        return torch.eye(size)
    reach = min(math.ceil(_REACH * sigma), size - 1)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / sigma).square())
    weights /= weights.sum()
    source = (torch.arange(size)[:, None] + offsets[None]).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    return torch.zeros(size, size).scatter_add_(1, source, weights.expand(size, -1))
