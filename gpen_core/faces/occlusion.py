"""What covers a face: told by a parser's labels, or by where a restored face contradicts the picture."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import resize
from .mask import blur_matrix, ellipse_mask

#: Named in an occluder's place: no network tells what covers a face, but where its result contradicts the picture.
CONTRADICTION: Final = "contradiction"
#: CelebAMask-HQ's glasses, hat, earring, necklace and cloth: what a face wears is not the face.
_COVERING = (3, 14, 15, 16, 18)
#: Faces are compared at this size, blurred by this much: finer than that, a network's sharpening is all there is.
_SIZE, _BLUR, _WINDOW = 64, 2.0, 1.0
#: Differences of so many times the face's median are taken for a contradiction: not at all, and wholly.
_DOUBT, _SURE = 1.4, 2.4
#: A face that came out as it went in has no contradictions to be found among its roundings.
_LEAST = 0.8 / 255
#: The covering reaches this many pixels further than where it contradicts.
_GROWN = 2


def covered_by_labels(parsed: Tensor) -> Tensor:
    """(N, S, S) float32, ones where CelebAMask-HQ's labels (N, S, S) of the picture's own crop name something worn."""
    return torch.isin(parsed, torch.tensor(_COVERING, device=parsed.device)).float()


def contradicted(crops: Tensor, restored: Tensor) -> Tensor:
    """(N, 64, 64) in [0, 1]: how far the restored faces (N, 3, T, T) show something else than the crops (N, 3, S, S).

    By the coarse difference of the two, against its own median over the face's ellipse: what a network does to all of
    a face (light, colour) is no contradiction, and neither is what it adds in detail.
    """
    blur = blur_matrix(_SIZE, _BLUR).to(crops)
    difference = blur @ (resize(restored, _SIZE) - resize(crops, _SIZE)) @ blur.T
    window = blur_matrix(_SIZE, _WINDOW).to(crops)
    size = window @ difference.abs().amax(1) @ window.T
    inside = ellipse_mask(_SIZE).to(crops) > 0.5
    usual = size[:, inside].median(1).values.clamp_min(_LEAST)[:, None, None]
    doubt = ((size / usual - _DOUBT) / (_SURE - _DOUBT)).clamp(0, 1)
    grown = F.max_pool2d(doubt[:, None], 2 * _GROWN + 1, 1, _GROWN)[:, 0]
    soft: Tensor = (window @ grown @ window.T).clamp(0, 1)
    return soft
