"""What a network is (`GPENConfig`) and what its weights expect (`ModelCard`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from .errors import ConfigError
from .fields import by_name, nearest

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["restoration", "colorization", "inpainting", "segmentation"]
Template = Literal["gpen", "ffhq", "arcface"]
Border = Literal["black", "reflect"]

SMALLEST, LARGEST = 8, 4096
WIDEST = 1 << 16
DEFAULT_PRIOR = "stylegan2"


def shown(value: object) -> str:
    """`value` as it stands in a message: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python prints no integer of thousands of digits
        return f"a number of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"


def check_number(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    """Raises ConfigError unless `value` is a number (a whole one) from `low` to `high`."""
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "whole number" if whole else "number"
        raise ConfigError(f"{name} is {shown(value)}; it must be a {kind} from {low:g} to {high:g}")


def _known_fields(kind: type, values: Mapping[str, Any], owner: str) -> dict[str, Any]:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        near = nearest(unknown[0], known)
        said = f"did you mean {near}?" if near else f"it has {', '.join(sorted(known))}"
        raise ConfigError(f"{owner} has no field {', '.join(name[:40] for name in unknown[:3])}; {said}")
    return dict(values)


def _check_names(kind: type, values: object) -> None:
    if not isinstance(values, Mapping) or not all(isinstance(name, str) and name != "self" for name in values):
        raise ConfigError(f"{kind.__name__} is made of named values, got {shown(values)}")


@dataclass(frozen=True, kw_only=True)
class PriorOptions:
    """What one prior has to be told beside its shapes; a prior with more to tell has a subclass of its own.

    concat: features are concatenated to the prior's (GPEN), or added (stock StyleGAN2).
    features: false: the encoder's features are not fed, as in the paper's ablation; the latent code alone tells.
    """

    concat: bool = True
    features: bool = True

    UNSEEN: ClassVar[tuple[str, ...]] = ("features",)
    """What the shapes of the weights do not tell."""

    def __post_init__(self) -> None:
        for name in ("concat", "features"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be true or false")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `features` only where they are off."""
        return {name: value for name, value in asdict(self).items() if name != "features" or not value}

    def brief(self, latent_dim: int) -> str:
        """How the code of so many numbers enters, in a few words."""
        return f"a code of {latent_dim}"


@dataclass(frozen=True, kw_only=True)
class MappingOptions(PriorOptions):
    """Of a prior with a mapping network, as StyleGAN2. n_mlp: its layers; lr_mlp: a factor on their learning rate."""

    n_mlp: int = 8
    lr_mlp: float = 0.01

    UNSEEN: ClassVar[tuple[str, ...]] = (*PriorOptions.UNSEEN, "lr_mlp")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("n_mlp", self.n_mlp, 0, 1000, whole=True)
        check_number("lr_mlp", self.lr_mlp, 1e-6, 1000)

    def brief(self, latent_dim: int) -> str:
        """The mapping network in a few words."""
        return f"{self.n_mlp} layers of {latent_dim}, learning rate × {self.lr_mlp:g}"


def prior_options(prior: str) -> type[PriorOptions]:
    """The class of the options of the prior of this name. Raises ConfigError for an unknown one."""
    if prior == DEFAULT_PRIOR:
        return MappingOptions
    # The priors stand on this module and bring torch, which listing models does without.
    architecture = import_module(".architecture", __package__)
    known = {**architecture.PRIORS, **architecture.COMPARATORS}
    if not isinstance(prior, str) or prior not in known:
        raise ConfigError(f"there is no prior {shown(prior)}; there are: {', '.join(known)}")
    options: type[PriorOptions] = known[prior].Options
    return options


@dataclass(frozen=True, kw_only=True, init=False)
class GPENConfig:
    """The network: everything that its shapes depend on, and what they do not tell.

    channels: feature channels of the prior at each resolution 4, 8, … out_size.
    style_dim: numbers of the prior's latent code.
    prior: the generator's name, in `architecture.PRIORS`, or of a whole network, in `architecture.COMPARATORS`.
    options: the prior's own; given as an object, or by name (`n_mlp=2`), as they stand beside the sizes in JSON.
    """

    in_size: int
    out_size: int
    channels: Mapping[int, int]
    style_dim: int
    prior: str
    options: PriorOptions

    def __init__(
        self,
        *,
        in_size: int,
        out_size: int,
        channels: Mapping[int, int],
        style_dim: int = 512,
        prior: str = DEFAULT_PRIOR,
        options: PriorOptions | None = None,
        **own: Any,
    ) -> None:
        for name, value in (("in_size", in_size), ("out_size", out_size), ("style_dim", style_dim), ("prior", prior)):
            object.__setattr__(self, name, value)
        self._check_sizes()
        object.__setattr__(self, "channels", self._table(channels))
        check_number("style_dim", style_dim, 1, WIDEST, whole=True)
        kind = prior_options(prior)
        if options is not None and not isinstance(options, PriorOptions):
            raise ConfigError(f"options is {shown(options)}; it must be the {kind.__name__} of the prior")
        given = {**({} if options is None else options.to_dict()), **own}
        object.__setattr__(
            self, "options", kind(**_known_fields(kind, given, f"a network with the prior {shown(prior)}"))
        )

    def _check_sizes(self) -> None:
        for name in ("in_size", "out_size"):
            size = getattr(self, name)
            if not isinstance(size, int) or not SMALLEST <= size <= LARGEST or size & (size - 1):
                raise ConfigError(f"{name} is {shown(size)}; it must be a power of two from {SMALLEST} to {LARGEST}")
        if self.in_size > self.out_size:
            raise ConfigError(
                f"in_size {self.in_size} is larger than out_size {self.out_size}; shrink the input instead"
            )

    def _table(self, channels: Mapping[int, int]) -> Mapping[int, int]:
        try:
            table = {int(r): count for r, count in dict(channels).items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"channels must map resolutions to channel counts, got {shown(channels)}") from error
        expected = self.resolutions
        if tuple(sorted(table)) != expected:
            raise ConfigError(
                f"channels name the resolutions {str(sorted(table))[:80]}; "
                f"out_size {self.out_size} has {list(expected)}"
            )
        for resolution, count in table.items():
            check_number(f"channels at {resolution}", count, 1, WIDEST, whole=True)
        return MappingProxyType({r: table[r] for r in expected})

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
        """Plain JSON values, the prior's options among them; `from_dict` reads them back."""
        return {
            "in_size": self.in_size,
            "out_size": self.out_size,
            "channels": {str(r): c for r, c in self.channels.items()},
            "style_dim": self.style_dim,
            "prior": self.prior,
            **self.options.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GPENConfig:
        """Raises ConfigError for a field that is unknown or missing."""
        _check_names(cls, values)
        missing = [name for name in ("in_size", "out_size", "channels") if name not in values]
        if missing:
            raise ConfigError(f"the configuration lacks {', '.join(missing)}")
        return cls(**values)

    def with_options(self, **own: Any) -> GPENConfig:
        """The same network with other options of its prior."""
        own = _known_fields(type(self.options), own, f"a network with the prior {shown(self.prior)}")
        return replace(self, options=replace(self.options, **own))

    def __reduce__(self) -> tuple[Any, ...]:
        return (GPENConfig.from_dict, (self.to_dict(),))

    def __hash__(self) -> int:
        table = tuple(self.channels.items())
        return hash((self.in_size, self.out_size, table, self.style_dim, self.prior, self.options))


@by_name
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
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be one of {', '.join(choices)}")
        if not isinstance(self.value_range, tuple | list) or len(self.value_range) != 2:
            raise ConfigError(f"value_range is {shown(self.value_range)}; it must be two numbers")
        for end in self.value_range:
            check_number("an end of value_range", end, -1e6, 1e6)
        low, high = (float(end) for end in self.value_range)
        if not low < high:
            raise ConfigError(f"value_range is {self.value_range}; the first number must be the smaller")
        object.__setattr__(self, "value_range", (low, high))
        check_number("sharpen", self.sharpen, 0, 20)
        check_number("noise_seed", self.noise_seed, 0, 2**63 - 1, whole=True)
        for name in ("name", "licence", "origin"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"{name} is {shown(getattr(self, name))}; it must be a text")
        if not isinstance(self.details, Mapping):
            raise ConfigError(f"details is {shown(self.details)}; it must map names to JSON values")

    def into_range(self, faces: Tensor) -> Tensor:
        """`faces` in [0, 1] as the network wants them, in `value_range`."""
        low, high = self.value_range
        return faces.new_tensor(low).add(faces, alpha=high - low)

    def out_of_range(self, faces: Tensor) -> Tensor:
        """`faces` in `value_range` as the network gives them, in [0, 1] but for what it overshoots; float32."""
        low, high = self.value_range
        faces = faces.float()
        return faces.new_tensor(-low / (high - low)).add(faces, alpha=1 / (high - low))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "value_range": list(self.value_range), "details": dict(self.details)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Raises ConfigError for a field that is unknown or out of its choices."""
        _check_names(cls, values)
        return cls(**_known_fields(cls, values, cls.__name__))
