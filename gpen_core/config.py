"""What a network is (`GPENConfig`) and what its weights expect (`ModelCard`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from .errors import ConfigError

Task = Literal["restoration", "colorization", "inpainting", "segmentation"]
Template = Literal["gpen", "ffhq"]
Border = Literal["black", "reflect"]

SMALLEST, LARGEST = 8, 4096


def _is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def _known_fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"{kind.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return dict(values)


@dataclass(frozen=True, kw_only=True)
class GPENConfig:
    """The network: everything its shapes depend on, and `lr_mlp`, which they do not tell.

    channels: feature channels of the prior at each resolution 4, 8, … out_size.
    concat: features are concatenated to the prior's (GPEN), or added (stock StyleGAN2).
    """

    in_size: int
    out_size: int
    channels: Mapping[int, int]
    style_dim: int = 512
    n_mlp: int = 8
    concat: bool = True
    prior: str = "stylegan2"
    lr_mlp: float = 0.01

    def __post_init__(self) -> None:
        for name in ("in_size", "out_size"):
            size = getattr(self, name)
            if not isinstance(size, int) or not _is_power_of_two(size) or not SMALLEST <= size <= LARGEST:
                raise ConfigError(f"{name} is {size}; it must be a power of two from {SMALLEST} to {LARGEST}")
        if self.in_size > self.out_size:
            raise ConfigError(
                f"in_size {self.in_size} is larger than out_size {self.out_size}; shrink the input instead"
            )
        try:
            table = {int(r): int(c) for r, c in dict(self.channels).items()}
        except (TypeError, ValueError) as error:
            raise ConfigError(f"channels must map resolutions to channel counts, got {self.channels!r}") from error
        expected = self.resolutions
        if tuple(sorted(table)) != expected:
            raise ConfigError(
                f"channels name the resolutions {sorted(table)}; out_size {self.out_size} has {list(expected)}"
            )
        if min(table.values()) < 1:
            raise ConfigError(f"channels must be at least 1 at every resolution, got {table}")
        object.__setattr__(self, "channels", MappingProxyType({r: table[r] for r in expected}))
        if self.style_dim < 1 or self.n_mlp < 0:
            raise ConfigError(f"style_dim is {self.style_dim} and n_mlp {self.n_mlp}; they must be at least 1 and 0")
        if not (math.isfinite(self.lr_mlp) and self.lr_mlp > 0):
            raise ConfigError(f"lr_mlp is {self.lr_mlp}; it must be a positive number")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """4, 8, … out_size."""
        return tuple(2**i for i in range(2, self.out_size.bit_length()))

    @classmethod
    def standard(
        cls,
        size: int,
        *,
        out_size: int | None = None,
        channel_multiplier: float = 2,
        narrow: float = 1.0,
        **other: Any,
    ) -> GPENConfig:
        """StyleGAN2's channel table: 512 up to 32 px, then halved at each size, times `narrow`, rounded down."""
        out_size = size if out_size is None else out_size
        channels: dict[int, int] = {}
        resolution = 4
        while resolution <= out_size:
            base = 512 if resolution <= 32 else 16384 // resolution * channel_multiplier
            channels[resolution] = int(base * narrow)
            resolution *= 2
        return cls(in_size=size, out_size=out_size, channels=channels, **other)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["channels"] = {str(r): c for r, c in self.channels.items()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPENConfig:
        """Raises ConfigError for a field that is unknown or missing."""
        known = _known_fields(cls, values)
        missing = [name for name in ("in_size", "out_size", "channels") if name not in known]
        if missing:
            raise ConfigError(f"the configuration lacks {', '.join(missing)}")
        return cls(**known)

    def __reduce__(self) -> tuple[Any, ...]:
        return (GPENConfig.from_dict, (self.to_dict(),))

    def __hash__(self) -> int:
        return hash(
            (
                self.in_size,
                self.out_size,
                tuple(self.channels.items()),
                self.style_dim,
                self.n_mlp,
                self.concat,
                self.prior,
            )
        )


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What weights were trained for and how a face must be given to them.

    value_range: of the network's input and of its output (which may overshoot): [-1, 1], or [0, 1] for GPEN-Seg2face.
    template: where the five landmarks lie in a crop; border: what stands beyond the picture's edge.
    sharpen: how strongly restored faces are best sharpened (see `RestoreOptions`); a small network leaves them soft.
    noise_seed: of the one noise set that the levels above in_size share.
    details: anything else worth keeping (training recipe, figures, attributions), as JSON values.
    """

    name: str = "unnamed"
    task: Task = "restoration"
    value_range: tuple[float, float] = (-1.0, 1.0)
    template: Template = "gpen"
    border: Border = "black"
    licence: str = "unknown"
    origin: str = "unknown"
    noise_seed: int = 0
    sharpen: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, choices in (("task", get_args(Task)), ("template", get_args(Template)), ("border", get_args(Border))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}")
        try:
            low, high = (float(v) for v in self.value_range)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"value_range is {self.value_range!r}; it must be two numbers") from error
        if not low < high:
            raise ConfigError(f"value_range is {self.value_range}; the first number must be the smaller")
        object.__setattr__(self, "value_range", (low, high))
        if isinstance(self.sharpen, bool) or not isinstance(self.sharpen, int | float) or not 0 <= self.sharpen <= 20:
            raise ConfigError(f"sharpen is {self.sharpen!r}; it must be a number from 0 to 20")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values = asdict(self)
        values["value_range"] = list(self.value_range)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Raises ConfigError for a field that is unknown or out of its choices."""
        return cls(**_known_fields(cls, values))
