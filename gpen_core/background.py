"""The rest of the picture, enlarged: by an upscaling network of the user's or the zoo's (through spandrel), or plainly.

Faces are found and cut from the original resized bilinearly (`enlarged`), never from what the upscaler made, and
pasted into its result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .errors import ConfigError, DeviceError, InputError, MissingPackageError, WeightsError
from .images import Picture
from .images.picture import to_depth
from .options import LARGEST_SCALE, LEAST_TILE, RestoreOptions


class UpscalingNetwork(Protocol):
    """What enlarges: (1, 3, h, w) RGB in [0, 1] → (1, 3, h·scale, w·scale)."""

    @property
    def scale(self) -> int:
        """Times wider and higher that its result is."""

    def __call__(self, image: Tensor, /) -> Tensor:
        """(1, 3, h·scale, w·scale)."""


@dataclass(frozen=True, kw_only=True)
class Upscaler:
    """Enlarges pictures tile by tile; `network` runs on `device`.

    tile: pixels a side that the network sees at once, besides `overlap` on each side, which is cut off again:
    neighbouring tiles then agree.
    """

    network: UpscalingNetwork
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    tile: int = 256
    overlap: int = 24

    def __post_init__(self) -> None:
        if self.tile < LEAST_TILE or self.overlap < 0:
            raise ConfigError(
                f"tile is {self.tile} and overlap {self.overlap}; they must be at least {LEAST_TILE} and 0"
            )

    def __call__(self, picture: Picture, scale: int, *, done: Callable[[float], None] | None = None) -> Picture:
        """The picture `scale` times as wide and high, in its own depth; grey stays grey.

        A network of another scale is resized to it. done: told the finished share, 0…1, after each tile.
        Raises DeviceError when even a small tile does not fit the device's memory.
        """
        _check_scale(scale)
        tile = self.tile
        while True:
            try:
                pixels = self._tiled(picture, scale, tile, done)
                break
            except torch.cuda.OutOfMemoryError as error:
                if tile <= 32:
                    raise DeviceError(
                        f"the upscaler does not fit the memory of {self.device}, even in tiles of 32"
                    ) from error
                tile //= 2
        alpha = (
            None
            if picture.alpha is None
            else _resize_plane(picture.alpha, (picture.width * scale, picture.height * scale))
        )
        return picture.with_pixels(pixels, alpha=alpha)

    def _tiled(self, picture: Picture, scale: int, tile: int, done: Callable[[float], None] | None) -> NDArray[Any]:
        height, width = picture.height, picture.width
        result = np.empty((height * scale, width * scale, 3), picture.pixels.dtype)
        corners = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
        for count, (y, x) in enumerate(corners, 1):
            inner = (y, x, min(y + tile, height), min(x + tile, width))
            top, left = max(0, y - self.overlap), max(0, x - self.overlap)
            bottom, right = min(height, inner[2] + self.overlap), min(width, inner[3] + self.overlap)
            enlarged = self._enlarge(picture.pixels[top:bottom, left:right], scale)
            if picture.grey:
                enlarged = enlarged.mean(axis=2, keepdims=True).repeat(3, axis=2)
            kept = enlarged[
                (inner[0] - top) * scale : (inner[2] - top) * scale,
                (inner[1] - left) * scale : (inner[3] - left) * scale,
            ]
            result[y * scale : inner[2] * scale, x * scale : inner[3] * scale] = to_depth(
                kept, picture.pixels.dtype.type
            )
            if done is not None:
                done(count / len(corners))
        return result

    @torch.inference_mode()
    def _enlarge(self, pixels: NDArray[Any], scale: int) -> NDArray[np.float32]:
        """(H·scale, W·scale, 3) float32 in [0, 1]."""
        unit = torch.from_numpy(np.ascontiguousarray(to_depth(pixels, np.float32).transpose(2, 0, 1)))
        enlarged = self.network(unit[None].to(self.device)).float()
        size = (pixels.shape[0] * scale, pixels.shape[1] * scale)
        if enlarged.shape[-2:] != size:
            larger = enlarged.shape[-1] > size[1]
            enlarged = torch.nn.functional.interpolate(
                enlarged, size=size, mode="bicubic", antialias=larger, align_corners=False
            )
        array: NDArray[np.float32] = enlarged[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return array


def load_upscaler(source: str, *, device: str = "auto", tile: int = 256, trust_pickle: bool = False) -> Upscaler:
    """An upscaler from a file, or from a name in the zoo or on the Hub.

    Raises MissingPackageError without spandrel, WeightsError for a file that is no upscaler of RGB pictures.
    """
    try:
        from spandrel import ImageModelDescriptor, ModelLoader
        from spandrel import UnsupportedModelError as Unsupported
    except ImportError as error:
        raise MissingPackageError("upscaling the background needs spandrel; install gpen[background]") from error
    from .weights.checkpoint import read_state_dict
    from .weights.load import choose_device
    from .weights.location import locate

    located = locate(source)
    path = located.path
    tensors = read_state_dict(located, trust_pickle=trust_pickle)
    try:
        found = ModelLoader().load_from_state_dict(tensors)
    except Unsupported as error:
        raise WeightsError(
            f"{path} holds no upscaling network that spandrel knows; expected one like RealESRGAN"
        ) from error
    if not isinstance(found, ImageModelDescriptor) or found.input_channels != 3 or found.output_channels != 3:
        raise WeightsError(
            f"{path} is not an upscaler of RGB pictures, but {found.architecture.name} ({found.purpose})"
        )
    chosen = choose_device(device)
    return Upscaler(network=found.to(chosen).eval(), device=chosen, tile=tile)


def enlarged(picture: Picture, scale: int) -> Picture:
    """The picture `scale` times as wide and high, bilinearly, in its own depth; itself where `scale` is 1."""
    _check_scale(scale)
    if scale == 1:
        return picture
    size = (picture.width * scale, picture.height * scale)
    planes = picture.pixels[..., :1] if picture.grey else picture.pixels
    larger = np.stack([_resize_plane(planes[..., c], size) for c in range(planes.shape[2])], axis=2)
    alpha = None if picture.alpha is None else _resize_plane(picture.alpha, size)
    return picture.with_pixels(np.repeat(larger, 3, axis=2) if picture.grey else larger, alpha=alpha)


def _resize_plane(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """(H, W) → (size[1], size[0]), same kind of number."""
    if plane.dtype == np.uint8:
        return np.array(Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BILINEAR))
    values = np.asarray(Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    return np.rint(values).astype(plane.dtype) if plane.dtype.kind == "u" else values


def _check_scale(scale: int) -> None:
    if not 1 <= scale <= LARGEST_SCALE:
        raise InputError(f"the scale is {scale}; expected a whole number from 1 to {LARGEST_SCALE}")


@dataclass(frozen=True, kw_only=True)
class Larger:
    """Pictures `scale` times as wide and high, by `upscaler`, or bilinearly without one."""

    scale: int = 1
    upscaler: Upscaler | None = None

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def plain(self, picture: Picture) -> Picture:
        """The picture that faces are found in and cut from."""
        return enlarged(picture, self.scale)

    def canvas(self, picture: Picture) -> Picture:
        """The picture that they are put into."""
        return self.plain(picture) if self.upscaler is None else self.upscaler(picture, self.scale)

    def options(self, options: RestoreOptions) -> RestoreOptions:
        """For the larger pictures: the least and largest size of faces are those in the picture that came."""
        if self.scale == 1:
            return options
        chosen, scale = options.selection, self.scale
        larger = replace(chosen, min_size=scale * chosen.min_size, max_size=scale * chosen.max_size)
        return replace(options, selection=larger)
