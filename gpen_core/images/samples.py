"""A decoded PIL image to a picture: its modes to grey or RGB, its metadata kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from ..errors import PictureError
from .appended import note_credentials, without_appended
from .colour import cmyk_to_srgb
from .damage import DamageError, guarded
from .metadata import read_exif, read_other_notes, upright, without_orientation
from .picture import JpegSettings, Picture, own

#: Floats brighter than this are not lights of a photograph, if there are more than a few of them.
_BRIGHTEST, _FEW = 1.5, 0.05
#: Pixels copied at a time.
_BAND = 1 << 22


def picture_from_pil(
    image: Image.Image,
    samples: NDArray[Any] | None = None,
    notes: list[str] | None = None,
    *,
    turn: bool = False,
    source: bytes = b"",
) -> Picture:
    """The picture that a PIL image holds.

    samples: (H, W, C) where they were read past Pillow (16 bits, floats), else the image's own. notes: what is known
    already. turn: apply EXIF's orientation; without it the picture and its EXIF stay as they are, so that a result
    lies as the image given. source: the file's bytes, for what Pillow does not tell. Metadata that cannot be read
    becomes a note. Raises PictureError for modes that are neither grey, RGB, palette nor CMYK.
    """
    notes = [] if notes is None else notes
    stored: NDArray[Any]
    if samples is None:
        stored = _samples(image, notes)
    else:
        stored = _unit_floats(samples, notes) if samples.dtype.kind == "f" else samples
        stored = _with_keyed_alpha(stored, image.info.get("transparency"))
    exif, orientation = read_exif(image, notes)
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    xmp = without_appended(xmp.encode(errors="replace") if isinstance(xmp, str) else xmp, notes)
    note_credentials((source, *(content for _, content in getattr(image, "applist", ()))), notes)
    if turn:
        stored = upright(stored, orientation)
        exif, xmp = without_orientation(exif, xmp)
    channels = stored.shape[2]
    colours = stored[..., : channels - 1] if channels in (2, 4) else stored
    return Picture(
        pixels=own(np.broadcast_to(colours, (*colours.shape[:2], 3))),
        alpha=own(stored[..., -1]) if channels in (2, 4) else None,
        grey=channels < 3,
        icc_profile=None if image.mode == "CMYK" else image.info.get("icc_profile") or None,  # CMYK has become sRGB
        exif=exif,
        xmp=xmp,
        **read_other_notes(image, source),
        format="JPEG" if image.format == "MPO" else image.format,
        jpeg=_jpeg_settings(image),
        compression=image.info.get("compression") if image.format == "TIFF" else None,
        notes=tuple(notes),
    )


def _unit_floats(samples: NDArray[Any], notes: list[str]) -> NDArray[np.float32]:
    """Floats in [0, 1], what is beyond or no number set to its nearest end."""
    numbers = np.isfinite(samples)
    outside = float(np.mean((samples > _BRIGHTEST) | (samples < -_BRIGHTEST)))
    if outside > _FEW:
        low, high = float(np.nanmin(samples)), float(np.nanmax(samples))
        raise PictureError(f"the picture holds floats from {low:g} to {high:g}; save it with 0 as black and 1 as white")
    if not numbers.all():
        notes.append("pixels that were no numbers became black")
    if outside:
        notes.append("light brighter than white was cut off")
    unit: NDArray[np.float32] = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return unit


def _samples(image: Image.Image, notes: list[str]) -> NDArray[Any]:
    """The decoded numbers (H, W, C): grey, grey and alpha, RGB or RGBA."""
    mode = image.mode
    if mode == "CMYK":
        notes.append("CMYK became RGB")
        image = cmyk_to_srgb(image, image.info.get("icc_profile"))
    elif mode in ("P", "PA"):
        notes.append("the palette became RGB")
        image = image.convert("RGBA" if mode == "PA" or image.has_transparency_data else "RGB")
    elif mode == "1":
        notes.append("black and white became grey of 8 bits")
        image = image.convert("L")
    elif mode in ("RGBX", "YCbCr"):
        image = image.convert("RGB")
    elif mode in ("RGBa", "La"):
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
    elif mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert({"L": "LA", "RGB": "RGBA"}[mode])
    samples: NDArray[Any] = array_of(image)
    if image.mode.startswith("I"):  # grey of 16 bits; "I" in Pillow before 11 and for some PGM
        if samples.min() < 0 or samples.max() > 65535:
            raise PictureError("the picture holds 32-bit integers; save it with 8 or 16 bits a channel")
        samples = samples.astype(np.uint16)
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise PictureError(
            f"the picture is in Pillow's mode {mode}; save it as grey or RGB with 8 or 16 bits a channel"
        )
    return samples if samples.ndim == 3 else samples[..., None]


def array_of(image: Image.Image) -> NDArray[Any]:
    """The image's numbers, (H, W) or (H, W, C), copied some rows at a time: once, where NumPy would twice."""
    first = np.asarray(image.crop((0, 0, image.width, 1)))
    whole = np.empty((image.height, *first.shape[1:]), first.dtype)
    rows = max(1, _BAND // max(1, image.width))
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        whole[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return whole


def _with_keyed_alpha(samples: NDArray[Any], key: Any) -> NDArray[Any]:
    """PNG's one transparent colour, as an alpha channel."""
    if samples.shape[2] != 3 or not isinstance(key, tuple):
        return samples
    opaque = np.any(samples != np.array(key, np.uint16), axis=2, keepdims=True)
    return np.concatenate([samples, opaque.astype(np.uint16) * np.uint16(65535)], axis=2)


def _jpeg_settings(image: Image.Image) -> JpegSettings | None:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    tables = getattr(image, "quantization", {})
    if not 1 <= len(tables) <= 4 or not all(len(t) == 64 and all(0 < v < 65536 for v in t) for t in tables.values()):
        return None
    try:
        with guarded("layers that make no sense"):
            subsampling = JpegImagePlugin.get_sampling(image)
    except DamageError:  # of a picture that decodes all the same
        return None
    return JpegSettings(
        quantization={k: tuple(v) for k, v in tables.items()},
        subsampling=subsampling,
        progressive=bool(image.info.get("progressive")),
    )
