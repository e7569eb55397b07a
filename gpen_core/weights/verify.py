"""Certificates: how far each form and precision of a model is from the plain form in float64, on fixed faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..architecture import Network
from ..architecture.precision import FAITHFUL_DB, PRECISIONS
from ..architecture.prepared import prepare
from ..errors import ConfigError, DeviceError

FACES, SEED = 2, 0
FLOAT32_LIMIT = 1e-4
"""The largest error of a float32 form, for outputs within ±1 (in proportion beyond)."""

EXPORT_LIMIT = 1e-3
"""The same for what other programs run."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One form in one precision. largest, mean: of the absolute error, in units of the card's value range.

    psnr: in dB, over that range. holds: whether it is within what this form promises (float32: `FLOAT32_LIMIT`;
    lower: 45 dB). refused: why there is no number.
    """

    form: str
    precision: str
    largest: float | None = None
    mean: float | None = None
    psnr: float | None = None
    holds: bool = True
    refused: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def fixed_faces(size: int, value_range: tuple[float, float]) -> Tensor:
    """Two pictures (2, 3, size, size) in `value_range`: broad shapes with fine grain, the same for ever."""
    source = Generator().manual_seed(SEED)
    broad = F.interpolate(torch.rand(FACES, 3, 8, 8, generator=source), size=(size, size), mode="bilinear")
    grain = torch.rand(FACES, 3, size, size, generator=source)
    low, high = value_range
    return low + (high - low) * (0.8 * broad + 0.2 * grain)


def deviations(
    model: Network, *, precisions: Sequence[str] = ("fp32", "bf16"), device: torch.device | str = "cpu"
) -> list[Deviation]:
    """The errors of the plain form in float32 and of the inference form in each of `precisions`, on `device`.

    `model` holds float32 parameters and stays as it is. Raises ConfigError for an unknown precision.
    """
    for precision in precisions:
        if precision not in PRECISIONS[1:]:
            raise ConfigError(f"precision is {precision!r}; a certificate has {', '.join(PRECISIONS[1:])}")
    target = torch.device(device)
    low, high = model.card.value_range
    faces = fixed_faces(model.config.in_size, (low, high))
    exact = _in_float64(model, faces)
    found = [_deviation("plain", "fp32", _plain(model.to(target), faces.to(target)), exact, high - low)]
    for precision in precisions:
        try:
            result = prepare(model, precision=precision, device=target)(faces.to(target))
        except DeviceError as error:
            found.append(Deviation(form="prepared", precision=precision, refused=str(error)))
            continue
        found.append(_deviation("prepared", precision, result, exact, high - low))
    return found


def deviation_of(form: str, precision: str, run: Callable[[Tensor], Tensor], model: Network) -> Deviation:
    """How far another program's form of `model`, called with faces, is from the plain form in float32."""
    low, high = model.card.value_range
    faces = fixed_faces(model.config.in_size, (low, high))
    return _deviation(form, precision, run(faces), _plain(model, faces).double(), high - low, limit=EXPORT_LIMIT)


def _in_float64(model: Network, faces: Tensor) -> Tensor:
    twin = Network(model.config, model.card)
    twin.load_state_dict(model.state_dict())
    return _plain(twin.double().eval(), faces.double())


def _plain(model: Network, faces: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(face[None]) for face in faces])


def _deviation(
    form: str, precision: str, result: Tensor, exact: Tensor, span: float, *, limit: float = FLOAT32_LIMIT
) -> Deviation:
    error = (result.cpu().double() - exact).abs()
    largest, mean = error.max().item(), error.mean().item()
    square = error.square().mean().item()
    psnr = math.inf if square == 0 else 10 * math.log10(span**2 / square)
    near = largest <= limit * max(1.0, exact.abs().max().item())
    holds = near if precision == "fp32" else psnr >= FAITHFUL_DB
    return Deviation(form=form, precision=precision, largest=largest, mean=mean, psnr=psnr, holds=holds)
