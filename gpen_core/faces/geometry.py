"""Where landmarks lie in a crop, and the similarity that takes a face there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from ..errors import FaceError, InputError
from ..options import FitMethod

#: Left eye, right eye, nose, left and right corner of the mouth. ArcFace's points in its crop of 96×112 (InsightFace).
_ARCFACE_POINTS = (
    (30.29459953, 51.69630051),
    (65.53179932, 51.50139999),
    (48.02519989, 71.73660278),
    (33.54930115, 92.3655014),
    (62.72990036, 92.20410156),
)
#: Mean landmarks of FFHQ's alignment at 512 px, as facexlib has them.
_FFHQ_POINTS = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)


def _unit_templates() -> dict[str, Tensor]:
    """Points by name, as fractions of the crop."""
    # GPEN: 96×112 made square by 8 px left and right, then a quarter of 112 px added on every side (align_faces.py).
    gpen = (torch.tensor(_ARCFACE_POINTS, dtype=torch.float64) + torch.tensor([8 + 28, 28])) / 168
    # ArcFace: made square by 16 px left and right and 16 px below, as swappers and their enhancers of 128 px have it.
    arcface = (torch.tensor(_ARCFACE_POINTS, dtype=torch.float64) + torch.tensor([16, 0])) / 128
    return {"gpen": gpen, "ffhq": torch.tensor(_FFHQ_POINTS, dtype=torch.float64) / 512, "arcface": arcface}


def template(name: str, size: int) -> Tensor:
    """(5, 2) float64: where the landmarks lie in a crop of `size` px. Raises InputError for an unknown name."""
    templates = _unit_templates()
    if name not in templates:
        raise InputError(f"no face template is called {name!r}; there are {', '.join(templates)}")
    return templates[name] * size


def fit_similarity(landmarks: Tensor | Sequence[Tensor], target: Tensor, method: FitMethod = "least_squares") -> Tensor:
    """(N, 2, 3) float64: the similarities, without reflection, that take `landmarks` (N, 5, 2) closest to `target`
    (5, 2).

    least_squares: Umeyama (PAMI 1991), what GPEN does. least_median: least median of squares over all pairs of points,
    then least squares over those within 2.5 robust deviations, what facexlib does; one landmark far off does not
    tilt the face. Raises FaceError where the landmarks of a face lie in one point.
    """
    if method not in get_args(FitMethod):
        raise InputError(f"the fit is {method!r}; expected one of {', '.join(get_args(FitMethod))}")
    points = torch.stack(list(landmarks)) if not isinstance(landmarks, Tensor) else landmarks
    points = points.detach().to("cpu", torch.float64)
    if points.ndim != 3 or points.shape[1:] != (5, 2) or tuple(target.shape) != (5, 2):
        raise InputError(
            f"landmarks of shape {tuple(points.shape)} cannot be fitted to a template of shape {tuple(target.shape)}; "
            "expected (N, 5, 2) and (5, 2)"
        )
    target = target.to(torch.float64)
    weights = torch.ones(points.shape[:2], dtype=torch.float64)
    if method == "least_median" and len(points):
        weights = torch.stack([_inliers(face, target) for face in points])
    return _weighted_fit(points, target, weights)


def _weighted_fit(points: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """With points as complex numbers a similarity is q = m·p + t, and the least squares have a closed form."""
    p, q = torch.view_as_complex(points.contiguous()), torch.view_as_complex(target.contiguous())
    total = weights.sum(1)
    p_mean, q_mean = (weights * p).sum(1) / total, (weights * q).sum(1) / total
    p, q = p - p_mean[:, None], q - q_mean[:, None]
    spread = (weights * p.abs().square()).sum(1)
    # Compared with where the face lies, so that rounding of coordinates in the thousands is not taken for extent.
    collapsed = spread <= 1e-9 * (1 + p_mean.abs().square())
    m = (weights * p.conj() * q).sum(1) / spread.clamp_min(1e-300)
    if bool((collapsed | (m.abs() < 1e-9)).any()):
        index = int((collapsed | (m.abs() < 1e-9)).nonzero()[0])
        raise FaceError(f"the landmarks of face {index} lie in one point, {points[index].tolist()}; five are expected")
    t = q_mean - m * p_mean
    rows = (torch.stack([m.real, -m.imag, t.real], -1), torch.stack([m.imag, m.real, t.imag], -1))
    return torch.stack(rows, 1)


def _inliers(face: Tensor, target: Tensor) -> Tensor:
    """(5,) ones and zeros: the landmarks that agree with the pair whose similarity has the least median residual."""
    pairs = []
    for pair in itertools.combinations(range(5), 2):
        chosen = list(pair)
        if float((face[chosen[0]] - face[chosen[1]]).abs().max()) > 1e-6:
            pairs.append(_weighted_fit(face[None, chosen], target[chosen], torch.ones(1, 2, dtype=torch.float64))[0])
    if not pairs:
        return torch.ones(5, dtype=torch.float64)
    residuals = (transform(torch.stack(pairs), face) - target).square().sum(-1)
    median, best = residuals.median(1).values.min(0)
    # Rousseeuw & Leroy's scale for five points and a model of two; at least a thousandth of a pixel.
    limit = max(2.5 * 1.4826 * (1 + 5 / (5 - 2)) * float(median) ** 0.5, 1e-3)
    agreeing: Tensor = residuals[best] <= limit**2
    return agreeing.to(torch.float64)


def transform(affine: Tensor, points: Tensor) -> Tensor:
    """(..., K, 2): `points` (..., K, 2) under `affine` (..., 2, 3)."""
    moved: Tensor = torch.matmul(points.to(affine), affine[..., :2].transpose(-1, -2))
    return moved + affine[..., None, :, 2]


def invert_affine(affine: Tensor) -> Tensor:
    """(..., 2, 3): the inverse maps. Raises FaceError when one is singular."""
    a, b, c, d = (affine[..., i, j].double() for i in (0, 1) for j in (0, 1))
    determinant = a * d - b * c
    if not bool((determinant.abs() > 1e-12).all()):
        raise FaceError("an affine map of a face is singular; its landmarks may lie in one point or on one line")
    inverse = torch.stack([d, -b, -c, a], -1).view(*affine.shape[:-2], 2, 2) / determinant[..., None, None]
    return torch.cat([inverse, -inverse @ affine[..., 2:].double()], -1).to(affine)


def resize_affine(affine: Tensor, before: int, after: int) -> Tensor:
    """(..., 2, 3): maps into a crop of `before` px, made to lead into the same crop resized to `after` px (whose pixel
    areas, not centres, are scaled)."""
    ratio = after / before
    resized = affine * ratio
    resized[..., 2] += 0.5 * ratio - 0.5
    return resized


def of_wide_pixels(affine: Tensor, aspect: float) -> Tensor:
    """(..., 2, 3): maps of square pixels, for pixels `aspect` times as wide (see `Detection.scaled`)."""
    across = affine[..., :1]
    return torch.cat([across * aspect, affine[..., 1:2], affine[..., 2:] + across * (aspect - 1) / 2], -1)


def moved_origin(affine: Tensor, x: int, y: int) -> Tensor:
    """(2, 3): the map `affine` for pixels counted from (x, y) of the picture."""
    moved = affine.clone()
    moved[:, 2] += affine[:, :2] @ affine.new_tensor([x, y])
    return moved


def scale_of(affine: Tensor) -> float:
    """Length of one pixel under a similarity (2, 3); the mean of both ways where pixels are wide."""
    (a, b, _), (c, d, _) = affine.tolist()
    return math.sqrt(abs(a * d - b * c))


def rectangle_of(
    inverse: Tensor, part: tuple[int, int, int, int], picture_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 (last ones excluded) of the pixels of a picture (height, width) that a part of a crop, given
    alike, reaches when it goes back through `inverse` (2, 3), bilinear support included; empty where it misses."""
    left, top, right, bottom = part[0] - 1.0, part[1] - 1.0, float(part[2]), float(part[3])
    corners = torch.tensor([[left, top], [right, top], [left, bottom], [right, bottom]], dtype=torch.float64)
    reached = transform(inverse.double(), corners)
    low, high = reached.amin(0).floor().tolist(), (reached.amax(0).ceil() + 1).tolist()
    height, width = picture_size
    x1, x2 = (int(min(max(x, 0), width)) for x in (low[0], high[0]))
    y1, y2 = (int(min(max(y, 0), height)) for y in (low[1], high[1]))
    return (x1, y1, x2, y2)
