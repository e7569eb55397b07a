"""What a recipe says of the network: its shapes, and how a prior grows."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ..config import GPENConfig, Template, prior_options
from ..errors import ConfigError
from .fields import at_least


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """Shapes, as `GPENConfig.standard` builds them; template: how the faces are aligned.

    channels: a table of its own (resolution → channels) instead of `channel_multiplier` and `narrow`.
    options: of the prior, where it has more than n_mlp and concat.
    """

    size: int = 256
    out_size: int | None = None
    channels: dict[str, int] | None = None
    channel_multiplier: float = 1.0
    narrow: float = 0.25
    style_dim: int = 512
    n_mlp: int = 8
    concat: bool = True
    prior: str = "stylegan2"
    options: dict[str, Any] = field(default_factory=dict)
    template: Template = "ffhq"

    @property
    def config(self) -> GPENConfig:
        """The network's configuration."""
        known = {f.name for f in fields(prior_options(self.prior))}
        own = {**self.options, "concat": self.concat}
        # Its default means nothing to a prior without a mapping network; another value is refused by name.
        if "n_mlp" in known or self.n_mlp != NetworkRecipe.n_mlp:
            own["n_mlp"] = self.n_mlp
        if self.channels is not None:
            return GPENConfig(
                in_size=self.size,
                out_size=self.out_size or self.size,
                channels={int(resolution): count for resolution, count in self.channels.items()},
                style_dim=self.style_dim,
                prior=self.prior,
                **own,
            )
        return GPENConfig.standard(
            self.size,
            out_size=self.out_size,
            channel_multiplier=self.channel_multiplier,
            narrow=self.narrow,
            style_dim=self.style_dim,
            prior=self.prior,
            **own,
        )

    @classmethod
    def of(cls, config: GPENConfig, face_template: Template) -> NetworkRecipe:
        """The recipe of a network that there is already."""
        options = config.options.to_dict()
        own = {name: options.pop(name) for name in ("concat", "n_mlp") if name in options}
        return cls(
            size=config.in_size,
            out_size=config.out_size,
            channels={str(resolution): count for resolution, count in config.channels.items()},
            style_dim=config.style_dim,
            prior=config.prior,
            options=options,
            template=face_template,
            **own,
        )

    def __post_init__(self) -> None:
        twice = sorted({"concat", "n_mlp"} & set(self.options))
        if twice:
            raise ConfigError(f"options hold {', '.join(twice)}, which are keys of the network; set them there")
        if self.channels is not None:
            for name in ("channel_multiplier", "narrow"):
                if getattr(self, name) != getattr(NetworkRecipe, name):
                    raise ConfigError(f"channels are given, so {name} has nothing to say; leave it out")
            if not all(resolution.isdecimal() for resolution in self.channels):
                raise ConfigError(f"channels name {', '.join(self.channels)}; they must be resolutions, as 4, 8, 16")
        self.config  # noqa: B018 - it refuses what cannot be built


@dataclass(frozen=True, kw_only=True)
class GrowthRecipe:
    """Progressive growing of a prior that can fade in, in images of the run (Karras et al. 2018).

    from_size: pixels of the first pictures; 0: none grows. Each size is trained for `stable_images`, then the next one
    fades in over `fade_images`. Real pictures are shown as coarse as the made ones.
    """

    from_size: int = 0
    stable_images: int = 600_000
    fade_images: int = 600_000

    def __post_init__(self) -> None:
        at_least(self, 1, "stable_images", "fade_images")
        if self.from_size and (self.from_size < 4 or self.from_size & (self.from_size - 1)):
            raise ConfigError(f"growth.from_size is {self.from_size}; it must be a power of two from 4, or 0")

    def hidden(self, images: int, size: int) -> float:
        """How many resolutions of a prior of `size` pixels are not shown yet; a fraction is fading in."""
        if not self.from_size:
            return 0.0
        levels = max(0, (size // self.from_size).bit_length() - 1)
        done, inside = divmod(images, self.stable_images + self.fade_images)
        return max(0.0, levels - done - max(0, inside - self.stable_images) / self.fade_images)
