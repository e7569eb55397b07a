"""IMAGE and MASK, in the shapes in which they come, and pictures on their way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..gpen_core.errors import InputError
from ..gpen_core.images.arrays import OVERSHOOT
from ..gpen_core.images.planes import resize
from ..gpen_core.restore import RestoredFace
from . import adapter


def check_images(images: Tensor, *, name: str = "image") -> Tensor:
    """The pictures (B, H, W, C) as they came, within [0, 1]; one picture (H, W, C) becomes a batch of one. What lies
    far beyond is cut off, and the log says so.

    Raises InputError for a batch of none, another rank, or too few channels.
    """
    if not isinstance(images, Tensor):
        raise InputError(f"{name} must be an IMAGE tensor (B, H, W, 3), got {type(images).__name__}")
    images = images.detach()
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4:
        raise InputError(f"{name} must be an IMAGE (B, H, W, 3), got the shape {tuple(images.shape)}")
    if images.shape[0] == 0:
        raise InputError(f"{name} holds no pictures (a batch of 0); give at least one")
    if images.shape[-1] not in (1, 3, 4):
        raise InputError(f"{name} must have 3 channels (or 1, or 4 with alpha), got {images.shape[-1]}")
    if 0 in images.shape[1:3]:
        raise InputError(f"{name} must be at least 1×1 pixels, got {images.shape[2]}×{images.shape[1]}")
    if not images.is_floating_point():
        raise InputError(f"{name} must hold floats in [0, 1], got {images.dtype}")
    _refuse_nan(images, name)
    low, high = (float(end) for end in images.aminmax())
    if low >= 0 and high <= 1:
        return images
    if max(-low, high - 1) > OVERSHOOT:
        adapter.log.warning(
            "%s holds values from %g to %g: those below 0 count as 0, those above 1 as 1; where it came in 0 to 255, "
            "or -1 to 1, bring it into 0 to 1 first",
            *(name, low, high),
        )
    return images.clamp(0, 1)


def is_empty(images: Tensor) -> bool:
    """Whether this is an IMAGE without pictures (0, H, W, C), which passes through."""
    return isinstance(images, Tensor) and images.ndim == 4 and images.shape[0] == 0


def _refuse_nan(values: Tensor, name: str) -> None:
    # The sum is NaN as soon as one value is, and costs no copy.
    if bool(torch.isnan(values.sum(dtype=torch.float32))) and bool(torch.isnan(values).any()):
        broken = int(torch.isnan(values).flatten(1).any(1).nonzero()[0]) if values.ndim > 2 else 0
        raise InputError(
            f"{name} holds NaN (picture {broken} of the batch): the node before it went wrong, often a VAE or sampler "
            "in half precision"
        )


def picture_at(images: Tensor, index: int) -> Tensor:
    """Picture `index` as its own (3, H, W) float32 RGB in [0, 1] on the CPU; alpha is dropped, grey repeated."""
    picture = images[index]
    picture = picture[..., :1].expand(*picture.shape[:2], 3) if picture.shape[-1] == 1 else picture[..., :3]
    return picture.movedim(-1, 0).to(device="cpu", dtype=torch.float32, copy=True).clamp_(0, 1)


def crops_of(images: Tensor) -> Tensor:
    """All pictures as (B, 3, H, W) float32 RGB in [0, 1] on the CPU."""
    return torch.stack([picture_at(images, index) for index in range(images.shape[0])])


def mask_at(mask: Tensor, index: int, height: int, width: int) -> Tensor:
    """The mask of picture `index` as (height, width) float32 in [0, 1] on the CPU, resized where its size differs.

    mask: as `check_mask` gives it; a single mask serves every picture, as does the last one of a short batch.
    """
    one = mask[min(index, mask.shape[0] - 1)].to(device="cpu", dtype=torch.float32)
    if tuple(one.shape) != (height, width):
        one = functional.interpolate(one[None, None], size=(height, width), mode="bilinear", antialias=True)[0, 0]
    return one.clamp(0, 1)


def check_mask(mask: Tensor, *, name: str = "mask") -> Tensor:
    """The masks (B, H, W): from (H, W), (B, H, W), (B, 1, H, W) or (B, H, W, 1).

    Raises InputError for anything else.
    """
    if not isinstance(mask, Tensor):
        raise InputError(f"{name} must be a MASK tensor (B, H, W), got {type(mask).__name__}")
    shape = tuple(mask.shape)
    if mask.ndim == 4 and 1 in (shape[1], shape[3]):
        mask = mask[:, 0] if shape[1] == 1 else mask[..., 0]
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or 0 in mask.shape:
        raise InputError(f"{name} must be a MASK (B, H, W), got the shape {shape}")
    mask = mask.detach()
    if not mask.is_floating_point():
        return mask.float()
    _refuse_nan(mask, name)
    return mask


def is_placeholder(mask: Tensor, height: int, width: int) -> bool:
    """Whether this is the (1, 64, 64) of zeros that Load Image emits for a picture without a mask."""
    return tuple(mask.shape) == (1, 64, 64) and (height, width) != (64, 64) and not bool(mask.any())


def mask_given(mask: Tensor, height: int, width: int) -> Tensor | None:
    """The masks (B, H, W) for pictures of this size, as `check_mask` gives them; None for Load Image's placeholder.

    Raises InputError for what is no mask.
    """
    mask = check_mask(mask)
    return None if is_placeholder(mask, height, width) else mask


def frame_at(images: Tensor, index: int) -> NDArray[np.float32]:
    """Picture `index` as (H, W, 3) float32 RGB in [0, 1]. It may share the input's numbers: it is not to be written."""
    picture = images[index]
    picture = picture.expand(*picture.shape[:2], 3) if picture.shape[-1] == 1 else picture[..., :3]
    picture = picture.to(device="cpu", dtype=torch.float32)
    return picture.contiguous().numpy()


def alpha_of(images: Tensor) -> Tensor | None:
    """The alpha (B, H, W) that comes with the pictures; None where they have none."""
    return images[..., 3] if images.shape[-1] == 4 else None


def images_out(pictures: Sequence[Tensor]) -> Tensor:
    """An IMAGE (B, H, W, 3), clamped, of pictures (3, H, W) of one size, where and as ComfyUI keeps them."""
    gathered = Crops(len(pictures))
    for picture in pictures:
        gathered.add(picture)
    return gathered.images


def _room(*shape: int) -> Tensor:
    """Unwritten, where and as ComfyUI keeps pictures."""
    return torch.empty(shape, device=adapter.result_device(), dtype=adapter.result_dtype())


class Results:
    """An IMAGE (B, H, W, 3) and its MASK (B, H, W), filled picture by picture where and as ComfyUI keeps them.

    alpha: (B, h, w) of the pictures as they came: it is kept, resized where they are, as a fourth channel.
    """

    def __init__(self, count: int, height: int, width: int, *, alpha: Tensor | None = None) -> None:
        self.images = _room(count, height, width, 3 if alpha is None else 4)
        self.masks = _room(count, height, width).zero_()
        self._alpha = alpha

    def put(self, index: int, picture: NDArray[np.float32] | Tensor, mask: Tensor | None = None) -> None:
        """picture: (H, W, 3), clamped to [0, 1] on its way. mask: (H, W); None leaves what is there."""
        target, given = self.images[index, ..., :3], torch.as_tensor(picture)
        if self._alpha is not None:
            self.images[index, ..., 3].copy_(mask_at(self._alpha, index, *target.shape[:2]))
        if (given.device, given.dtype) == (target.device, target.dtype):
            torch.clamp(given, 0, 1, out=target)
        else:
            target.copy_(given).clamp_(0, 1)
        if mask is not None:
            self.masks[index].copy_(mask)

    def cover(self, index: int, faces: Iterable[RestoredFace]) -> None:
        """Marks how much of each pixel of picture `index` these faces have restored."""
        mask = self.masks[index]
        for face in faces:
            x1, y1, x2, y2 = face.rectangle
            mask[y1:y2, x1:x2] += face.mask.to(mask)
            mask[y1:y2, x1:x2].clamp_(max=1)


class Crops:
    """An IMAGE (N, H, W, 3) of pictures of one size, filled one by one where and as ComfyUI keeps them.

    Square ones, as networks of several sizes give, become as large as the largest. expected: how many will come; more
    are taken too.
    """

    def __init__(self, expected: int) -> None:
        self._expected = max(1, expected)
        self._images: Tensor | None = None
        self._count = 0

    def add(self, crop: Tensor) -> None:
        """One more, (3, H, W), clamped to [0, 1] on its way."""
        if self._images is not None and crop.shape[1] == crop.shape[2]:
            crop = self._of_one_size(crop, self._images)
        if self._images is None:
            self._images = _room(self._expected, *crop.shape[1:], 3)
        elif self._count == len(self._images):
            self._images = torch.cat([self._images, torch.empty_like(self._images)])
        self._images[self._count].copy_(crop.movedim(0, -1)).clamp_(0, 1)
        self._count += 1

    def _of_one_size(self, crop: Tensor, kept: Tensor) -> Tensor:
        """`crop`, enlarged where those before are larger; where it is, they become as large."""
        size = max(crop.shape[-1], kept.shape[2])
        if kept.shape[2] < size:
            self._images = _room(len(kept), size, size, 3)
            for larger, one in zip(self._images, kept[: self._count], strict=False):
                larger.copy_(resized(one.movedim(-1, 0)[None].float(), size)[0].movedim(0, -1))
        return crop if crop.shape[-1] == size else resized(crop[None].float(), size)[0]

    @property
    def images(self) -> Tensor:
        """Those that came. Raises InputError where none did, as no wire may be empty."""
        if self._images is None:
            raise InputError("no pictures came to make an IMAGE of; give at least one")
        return self._images[: self._count]

    def images_or(self, fallback: Tensor) -> Tensor:
        """Those that came; else `fallback` (3, H, W) alone."""
        return images_out([fallback]) if self._images is None else self.images


def resized(crops: Tensor, size: int) -> Tensor:
    """Square pictures (N, 3, S, S) in [0, 1] as (N, 3, size, size), bicubic, filtered against aliasing."""
    return resize(crops, size, mode="bicubic").clamp(0, 1)


def masks_out(masks: Sequence[Tensor]) -> Tensor:
    """A MASK (B, H, W), clamped, of masks (H, W) of one size, where and as ComfyUI keeps them."""
    stacked = torch.stack(list(masks)).clamp(0, 1)
    return stacked.to(device=adapter.result_device(), dtype=adapter.result_dtype())
