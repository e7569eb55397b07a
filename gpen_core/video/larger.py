"""Films made larger: faces from the plainly enlarged frame, the rest by an upscaling network."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..background import Upscaler, enlarged
from ..images import Picture
from ..options import RestoreOptions


@dataclass(frozen=True, kw_only=True)
class Larger:
    """Frames `scale` times as wide and high, by `upscaler`, or bilinearly without one."""

    scale: int
    upscaler: Upscaler | None = None

    def plain(self, picture: Picture) -> Picture:
        """The frame that faces are found in and cut from."""
        return enlarged(picture, self.scale)

    def canvas(self, picture: Picture) -> Picture:
        """The frame that they are put into."""
        return self.plain(picture) if self.upscaler is None else self.upscaler(picture, self.scale)

    def options(self, options: RestoreOptions) -> RestoreOptions:
        """For the larger frames: the least and largest size of faces are those in the frame that came."""
        chosen, scale = options.selection, self.scale
        larger = replace(chosen, min_size=scale * chosen.min_size, max_size=scale * chosen.max_size)
        return replace(options, selection=larger)
