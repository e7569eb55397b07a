"""ICC profiles made of curves and a matrix (ICC.1:2022 §8.3.3, §8.4.3), as float arithmetic."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

#: sRGB's primaries adapted to the profile connection space's D50 (IEC 61966-2-1, Bradford), columns red, green, blue.
_SRGB_TO_XYZ = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
#: Two conversions that differ by less than this everywhere, a level of 8 bits, are the same: sRGB profiles differ by
#: 0.6. profiles differ by 0.23).
_SAME = 1.0 / 255
#: Samples of a table's inverse.
_INVERSE = 8192


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A tone curve, stored value → linear light, both in [0, 1]: samples of a table, or the parameters of ICC's
    `para` type 0…4."""

    table: tuple[float, ...] = ()
    kind: int = 0
    parameters: tuple[float, ...] = (1.0,)

    def linear(self, values: Tensor) -> Tensor:
        """Linear light of stored `values`."""
        values = values.clamp(0, 1)
        if self.table:
            table = torch.tensor(self.table, dtype=values.dtype, device=values.device)
            return _interpolate(values * (len(self.table) - 1), table)
        gamma, a, b, c, d, e, f = self._seven()
        if self.kind == 0:
            return values**gamma
        curved = (a * values + b).clamp_min(0) ** gamma + e
        return torch.where(values >= d, curved, c * values + f).clamp(0, 1)

    def stored(self, light: Tensor) -> Tensor:
        """Inverse of `linear`; of a table to a hundredth of a level of 8 bits."""
        light = light.clamp(0, 1)
        if self.table:
            return _interpolate(light.sqrt() * (_INVERSE - 1), _inverse(self.table).to(light))
        gamma, a, b, c, d, e, f = self._seven()
        if self.kind == 0:
            return light ** (1 / gamma)
        curved = ((light - e).clamp_min(0) ** (1 / gamma) - b) / a
        if d <= 0:
            return curved.clamp(0, 1)
        straight = (light - f) / c if c else torch.zeros_like(light)
        return torch.where(light < c * d + f, straight, curved).clamp(0, 1)

    def _seven(self) -> tuple[float, float, float, float, float, float, float]:
        """gamma, a, b, c, d, e, f of y = (ax + b)^gamma + e from d on, cx + f below (ICC.1:2022 table 68)."""
        p = self.parameters
        if self.kind == 0:
            return p[0], 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
        if self.kind in (1, 2):
            c = p[3] if self.kind == 2 else 0.0
            return p[0], p[1], p[2], 0.0, -p[2] / p[1], c, c
        if self.kind == 3:
            return p[0], p[1], p[2], p[3], p[4], 0.0, 0.0
        return p[0], p[1], p[2], p[3], p[4], p[5], p[6]


_SRGB_CURVE = Curve(kind=3, parameters=(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))


@lru_cache(maxsize=16)
def _inverse(table: tuple[float, ...]) -> Tensor:
    """(_INVERSE,) float64: where in `table` the squares of evenly spaced numbers lie, 0 to 1; found once, as bisection
    for every pixel takes five times as long. Evenly in square roots, as tables of light are steep at the dark end."""
    rising = torch.tensor(table, dtype=torch.float64).cummax(0).values
    light = torch.linspace(0, 1, _INVERSE, dtype=torch.float64).square()
    above = torch.searchsorted(rising, light).clamp(1, len(table) - 1)
    low, high = rising[above - 1], rising[above]
    step = torch.where(high > low, (light - low) / (high - low).clamp_min(1e-12), 0.0)
    return ((above - 1 + step.clamp(0, 1)) / (len(table) - 1)).clamp(0, 1)


def _interpolate(position: Tensor, table: Tensor) -> Tensor:
    low = position.floor().long().clamp(0, len(table) - 2)
    return torch.lerp(table[low], table[low + 1], position - low)


@dataclass(frozen=True, kw_only=True)
class MatrixProfile:
    """A colour space by its three curves and the matrix (rows X, Y, Z) from its linear light to D50; grey: one curve
    thrice, sRGB's matrix."""

    curves: tuple[Curve, Curve, Curve]
    matrix: tuple[tuple[float, float, float], ...]

    @property
    def is_srgb(self) -> bool:
        """Whether converting to sRGB changes no colour by a visible amount."""
        ramp = torch.linspace(0, 1, 18)
        cube = torch.stack(torch.meshgrid(ramp, ramp, ramp, indexing="ij")).reshape(3, 18, -1)
        return bool((self.to_srgb(cube) - cube).abs().max() < _SAME)

    def to_srgb(self, crops: Tensor) -> Tensor:
        """sRGB in [0, 1], clipped to its gamut, of crops (…, 3, H, W)."""
        return _convert(crops, self.curves, _product(self.matrix, inverse_last=False), (_SRGB_CURVE,) * 3)

    def from_srgb(self, crops: Tensor) -> Tensor:
        """This space's values of sRGB crops (…, 3, H, W)."""
        return _convert(crops, (_SRGB_CURVE,) * 3, _product(self.matrix, inverse_last=True), self.curves)


def _product(matrix: tuple[tuple[float, float, float], ...], *, inverse_last: bool) -> Tensor:
    """Linear light to linear light: this space → sRGB, or sRGB → this space."""
    theirs, srgb = torch.tensor(matrix, dtype=torch.float64), torch.tensor(_SRGB_TO_XYZ, dtype=torch.float64)
    product: Tensor = torch.linalg.inv(theirs) @ srgb if inverse_last else torch.linalg.inv(srgb) @ theirs
    return product


def _convert(crops: Tensor, before: tuple[Curve, ...], matrix: Tensor, after: tuple[Curve, ...]) -> Tensor:
    light = _by_channel([curve.linear for curve in before], crops.float(), same=len(set(before)) == 1)
    light = torch.einsum("ij,...jhw->...ihw", matrix.to(light), light)
    return _by_channel([curve.stored for curve in after], light, same=len(set(after)) == 1).to(crops.dtype)


def _by_channel(curves: list[Callable[[Tensor], Tensor]], values: Tensor, *, same: bool) -> Tensor:
    if same:
        return curves[0](values)
    return torch.stack([curve(values[..., i, :, :]) for i, curve in enumerate(curves)], dim=-3)


def matrix_profile(icc_profile: bytes) -> MatrixProfile | None:
    """The profile, or None where it is made of tables, of another colour space than RGB or grey, or damaged."""
    try:
        tags = _tags(icc_profile)
        if icc_profile[16:20] == b"GRAY":
            grey = _curve(tags[b"kTRC"])
            return MatrixProfile(curves=(grey, grey, grey), matrix=_SRGB_TO_XYZ)
        if icc_profile[16:20] != b"RGB " or icc_profile[20:24] != b"XYZ " or b"A2B0" in tags:
            return None
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        curves = (_curve(tags[b"rTRC"]), _curve(tags[b"gTRC"]), _curve(tags[b"bTRC"]))
    except (KeyError, struct.error, ValueError, IndexError, ZeroDivisionError):
        return None
    rows = tuple((columns[0][i], columns[1][i], columns[2][i]) for i in range(3))
    if abs(float(torch.linalg.det(torch.tensor(rows, dtype=torch.float64)))) < 1e-6:
        return None
    return MatrixProfile(curves=curves, matrix=rows)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">L", profile, 128)
    if count > 1000:
        raise ValueError("more tags than any profile has")
    entries = [struct.unpack_from(">4sLL", profile, 132 + 12 * i) for i in range(count)]
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> tuple[float, float, float]:
    x, y, z = struct.unpack_from(">3l", tag, 8)
    return x / 65536, y / 65536, z / 65536


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">L", tag, 8)
        if count == 0:
            return Curve()
        if count == 1:
            return Curve(parameters=(_positive(struct.unpack_from(">H", tag, 12)[0] / 256),))
        return Curve(table=tuple(v / 65535 for v in struct.unpack_from(f">{count}H", tag, 12)))
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        count = (1, 3, 4, 5, 7)[kind]
        parameters = tuple(v / 65536 for v in struct.unpack_from(f">{count}l", tag, 12))
        _positive(parameters[0])
        if count > 1 and parameters[1] == 0:
            raise ValueError("a curve without slope")
        return Curve(kind=kind, parameters=parameters)
    raise ValueError(f"unknown curve type {tag[:4]!r}")


def _positive(gamma: float) -> float:
    if gamma <= 0:
        raise ValueError("a gamma that is not positive")
    return gamma
