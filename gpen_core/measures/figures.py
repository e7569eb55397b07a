"""Figures about one restored face, for its report: sharpness, colour, seam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.colour import luma
from ..faces.mask import ellipse_mask
from ..images import Picture
from ..images.picture import to_depth
from ..images.resize import resize
from ..restore.result import RestoredFace
from .seam import seam

#: Linear sRGB → XYZ (D65, IEC 61966-2-1), and the white that XYZ is relative to in CIELAB.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)


def face_figures(face: RestoredFace, result: Picture) -> dict[str, Any]:
    """Fields of `FaceReport`: sharpness_before and _after, colour_shift, seam, warnings; those that can be taken.

    result: the picture that the face was put back into.
    """
    figures: dict[str, Any] = {}
    x1, y1, x2, y2 = face.rectangle
    if x2 > x1 and y2 > y1:
        region = torch.from_numpy(to_depth(result.pixels[y1:y2, x1:x2], np.float32)).permute(2, 0, 1)
        figures["seam"] = seam(region, face.mask)
    if face.crop is None or face.restored is None:
        return figures
    size = face.crop.shape[-1]
    restored = resize(face.restored[None], size)[0]
    before, after = sharpness(face.crop), sharpness(restored)
    figures |= {"sharpness_before": before, "sharpness_after": after, "colour_shift": colour_shift(face.crop, restored)}
    if after < before:
        figures["warnings"] = ("the restored face is less sharp than it was; lower the strength, or leave it out",)
    return figures


def sharpness(crop: Tensor) -> float:
    """Root mean square of the Laplacian of the luma of `crop` (3, S, S) in [0, 1], times 255, within the face's
    ellipse."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    plane = F.pad(luma(crop)[:1][None], (1, 1, 1, 1), mode="replicate")
    energy = F.conv2d(plane, kernel)[0, 0].square()
    weight = ellipse_mask(crop.shape[-1])
    return 255 * math.sqrt(float((energy * weight).sum() / weight.sum()))


def colour_shift(before: Tensor, after: Tensor) -> float:
    """CIE76 distance (ΔE) of the mean colours of two crops (3, S, S), sRGB in [0, 1], within the face's ellipse."""
    weight = ellipse_mask(before.shape[-1])
    means = [(_linear(crop) * weight).sum(dim=(1, 2)) / weight.sum() for crop in (before, after)]
    return float(torch.linalg.vector_norm(_lab(means[0]) - _lab(means[1])))


def _linear(crop: Tensor) -> Tensor:
    crop = crop.clamp(0, 1)
    return torch.where(crop <= 0.04045, crop / 12.92, ((crop + 0.055) / 1.055) ** 2.4)


def _lab(colour: Tensor) -> Tensor:
    """CIELAB of one linear sRGB colour (3,)."""
    relative = torch.tensor(_TO_XYZ) @ colour / torch.tensor(_WHITE)
    curved = torch.where(
        relative > (6 / 29) ** 3, relative.clamp_min(1e-9) ** (1 / 3), relative * (29 / 6) ** 2 / 3 + 4 / 29
    )
    x, y, z = curved.unbind()
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
