"""Arrays, tensors and PIL images to pictures and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import InputError
from .picture import FULL_SCALE, Picture, own
from .reading import DEFAULT_MAX_PIXELS, read_picture
from .samples import picture_from_pil

#: What a picture may be given as.
PictureLike: TypeAlias = Picture | str | Path | Image.Image | NDArray[Any] | Tensor

#: Floats are expected in [0, 1]; they may overshoot by so much at either end, because resampled pictures ring.
OVERSHOOT = 0.5


def as_picture(
    given: PictureLike, *, max_pixels: int | None = DEFAULT_MAX_PIXELS, allow_truncated: bool = False
) -> Picture:
    """A picture from a path, a PIL image, an array (H, W), (H, W, 1 | 2 | 3 | 4), a tensor (1 | 2 | 3 | 4, H, W), or
    a Picture (itself).

    A PIL image is taken as it lies, its EXIF orientation left to the caller; a file is turned upright.
    Arrays and tensors: RGB (two channels: grey and alpha), uint8, uint16, or floats in [0, 1]. The numbers may be
    shared, not copied. Raises InputError for another shape or kind, NaN or infinity, floats below -0.5 or above 1.5;
    PictureError as `read_picture`.
    """
    if isinstance(given, Picture):
        return given
    if isinstance(given, str | Path):
        return read_picture(given, max_pixels=max_pixels, allow_truncated=allow_truncated)
    if isinstance(given, Image.Image):
        return picture_from_pil(given)
    if isinstance(given, Tensor):
        if given.ndim != 3 or given.shape[0] not in (1, 2, 3, 4):
            raise InputError(
                f"the tensor has shape {tuple(given.shape)}; expected (3, H, W): one RGB picture (or 1, 2, 4 channels)"
            )
        tensor = given.detach().float() if given.is_floating_point() else given.detach()
        return _from_array(tensor.cpu().numpy().transpose(1, 2, 0), "tensor", "(3, H, W)")
    if isinstance(given, np.ndarray):
        values = given[..., None] if given.ndim == 2 else given
        if values.ndim != 3 or values.shape[2] not in (1, 2, 3, 4):
            raise InputError(
                f"the array has shape {given.shape}; expected (H, W, 3) RGB (or (H, W), or 1, 2, 4 channels)"
            )
        return _from_array(values, "array", "(H, W, 3)")
    raise InputError(
        f"a picture was given as {type(given).__name__}; expected a path, a PIL image, an array (H, W, 3) "
        "or a tensor (3, H, W)"
    )


def _from_array(values: NDArray[Any], what: str, expected: str) -> Picture:
    if 0 in values.shape:
        raise InputError(f"the {what} is empty, {values.shape}; expected {expected} with at least 1×1 pixels")
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(f"the {what} holds NaN or infinity; expected finite floats in [0, 1]")
        if max(-low, high - 1) > OVERSHOOT:
            signed = low < 0 and max(-low, high) <= 1 + OVERSHOOT
            remedy = "(x + 1) / 2 makes them of [-1, 1]" if signed else "divide 8-bit values by 255"
            raise InputError(f"the {what} holds floats from {low:g} to {high:g}; expected [0, 1] ({remedy})")
    if values.dtype.name not in FULL_SCALE:
        raise InputError(f"the {what} is {values.dtype.name}; expected uint8, uint16 or floats in [0, 1]")
    channels = values.shape[2]
    colours = values[..., : channels - 1] if channels in (2, 4) else values
    if channels < 3:
        colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    return Picture(
        pixels=own(colours),
        alpha=own(values[..., -1]) if channels in (2, 4) else None,
        grey=channels < 3,
    )


def convert_like(picture: Picture, given: Any) -> Any:
    """`picture` as the kind of thing that `given` is: array → array of its dtype and layout, PIL → PIL, tensor →
    tensor on its device.

    A path or a Picture gives the Picture. A PIL palette or CMYK image gives RGB, as a file of that kind does.
    """
    if isinstance(given, Image.Image):
        return picture.to_pil()
    if isinstance(given, Tensor):
        planes = picture.interleaved(np.float32 if given.is_floating_point() else None)
        tensor = torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))
        return tensor.to(device=given.device, dtype=given.dtype)
    if isinstance(given, np.ndarray):
        float_given = given.dtype.kind == "f"
        values = picture.interleaved(np.float32 if float_given else None)
        values = values.astype(given.dtype, copy=False) if float_given else values
        return values[..., 0] if given.ndim == 2 and values.shape[2] == 1 else values
    return picture
