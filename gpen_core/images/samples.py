"""A decoded PIL image to a picture: its modes to grey or RGB, its metadata kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from ..errors import PictureError
from .colour import cmyk_to_srgb
from .metadata import ORIENTATION, PREFIX, upright, without_orientation
from .picture import JpegSettings, Picture, own

#: Tags of a TIFF that describe the photograph; its others describe the file's layout, which the result has its own of.
_TIFF_DESCRIPTIVE = frozenset((0x000B, 270, 271, 272, 305, 306, 315, 316, 33432, 34665, 34853))


def picture_from_pil(
    image: Image.Image, samples: NDArray[np.uint16] | None = None, notes: list[str] | None = None, *, turn: bool = False
) -> Picture:
    """The picture that a PIL image holds.

    samples: (H, W, C) where they were read past Pillow (16 bits), else the image's own. notes: what is known already.
    turn: apply EXIF's orientation; without it the picture and its EXIF stay as they are, so that a result lies as
    the image given. Raises PictureError for modes that are neither grey, RGB, palette nor CMYK.
    """
    notes = [] if notes is None else notes
    stored = _samples(image, notes) if samples is None else _with_keyed_alpha(samples, image.info.get("transparency"))
    exif, orientation = _exif(image)
    xmp = image.info.get("xmp")
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if turn:
        stored = upright(stored, orientation)
        exif, xmp = without_orientation(exif, xmp)
    exif = None if exif is None else exif.removeprefix(PREFIX)
    channels = stored.shape[2]
    colours = stored[..., : channels - 1] if channels in (2, 4) else stored
    return Picture(
        pixels=own(np.broadcast_to(colours, (*colours.shape[:2], 3))),
        alpha=own(stored[..., -1]) if channels in (2, 4) else None,
        grey=channels < 3,
        icc_profile=None if image.mode == "CMYK" else image.info.get("icc_profile") or None,  # CMYK has become sRGB
        exif=exif,
        xmp=xmp,
        text=_texts(image),
        dpi=_dpi(image),
        format="JPEG" if image.format == "MPO" else image.format,
        jpeg=_jpeg_settings(image),
        compression=image.info.get("compression") if image.format == "TIFF" else None,
        notes=tuple(notes),
    )


def _texts(image: Image.Image) -> dict[str, str]:
    """PNG's text chunks, apart from those that hold XMP or an old form of EXIF."""
    if image.format != "PNG":
        return {}
    held = {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}
    return {
        key: value for key, value in held.items() if key != "XML:com.adobe.xmp" and not key.startswith("Raw profile")
    }


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    return (float(dpi[0]), float(dpi[1])) if isinstance(dpi, tuple) and len(dpi) == 2 and min(dpi) > 0 else None


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
    samples: NDArray[Any] = np.asarray(image)
    if image.mode.startswith("I"):  # grey of 16 bits; "I" in Pillow before 11 and for some PGM
        if samples.min() < 0 or samples.max() > 65535:
            raise PictureError("the picture holds 32-bit integers; save it with 8 or 16 bits a channel")
        samples = samples.astype(np.uint16)
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise PictureError(
            f"the picture is in Pillow's mode {mode}; save it as grey or RGB with 8 or 16 bits a channel"
        )
    return samples if samples.ndim == 3 else samples[..., None]


def _with_keyed_alpha(samples: NDArray[np.uint16], key: Any) -> NDArray[np.uint16]:
    """PNG's one transparent colour, as an alpha channel."""
    if samples.shape[2] != 3 or not isinstance(key, tuple):
        return samples
    opaque = np.any(samples != np.array(key, np.uint16), axis=2, keepdims=True)
    return np.concatenate([samples, opaque.astype(np.uint16) * np.uint16(65535)], axis=2)


def _exif(image: Image.Image) -> tuple[bytes | None, int]:
    """The file's EXIF block and its orientation (1 where none is given)."""
    if image.format == "TIFF":
        tags = image.getexif()
        orientation = tags.get(ORIENTATION, 1)
        kept = Image.Exif()
        for tag, value in tags.items():
            if tag in _TIFF_DESCRIPTIVE:
                kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else value
        return (kept.tobytes().removeprefix(PREFIX) if len(kept) else None), int(orientation)
    # AVIF and HEIF turn the picture in their own way; their readers have done so and left EXIF's orientation at 1
    return image.info.get("exif") or None, int(image.getexif().get(ORIENTATION, 1))


def _jpeg_settings(image: Image.Image) -> JpegSettings | None:
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    return JpegSettings(
        quantization={k: tuple(v) for k, v in image.quantization.items()},
        subsampling=JpegImagePlugin.get_sampling(image),
        progressive=bool(image.info.get("progressive")),
    )
