"""What saving a picture does to it: JPEG in two back ends (Pillow; block transforms in torch, for any device), and
WebP.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..images.planes import levels_of
from .resample import with_border

Backend = Literal["auto", "pillow", "torch"]

# ITU-T T.81, Annex K: the example quantisation tables that libjpeg scales by quality.
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How one picture is saved: quality 1 … 100. offset: its top left corner's place in the first block, 0 … 7."""

    quality: int
    format: Literal["JPEG", "WEBP"] = "JPEG"
    offset: int = 0


def compress(pixels: Tensor, sizes: Sequence[int], codecs: Sequence[Codec | None], backend: Backend = "auto") -> Tensor:
    """The ragged batch in [0, 1] after each picture was saved and read again; None leaves a picture as it is.

    backend "auto": Pillow where the tensor is on the CPU, torch elsewhere. WebP always goes through Pillow.
    """
    in_torch = backend == "torch" or (backend == "auto" and pixels.device.type != "cpu")
    result = pixels.clone()
    block = [i for i, c in enumerate(codecs) if c is not None and c.format == "JPEG" and in_torch]
    if block:
        saved = [c for i in block if (c := codecs[i]) is not None]
        result[block] = jpeg_blocks(
            pixels[block], [sizes[i] for i in block], [c.quality for c in saved], [c.offset for c in saved]
        )
    for i, (size, codec) in enumerate(zip(sizes, codecs, strict=True)):
        if codec is not None and i not in block:
            result[i, :, :size, :size] = _through_pillow(pixels[i, :, :size, :size], codec)
    return result


def jpeg_blocks(
    pixels: Tensor, sizes: Sequence[int], qualities: Sequence[int], offsets: Sequence[int] | None = None
) -> Tensor:
    """The ragged batch after baseline JPEG with 4:2:0 chroma: transform, quantise, back; Huffman coding loses nothing
    and is left out. offsets: see `Codec.offset`; None: zeros.
    """
    offsets = [0] * len(sizes) if offsets is None else offsets
    reach = [size + offset for size, offset in zip(sizes, offsets, strict=True)]
    extent = math.ceil(max(reach) / 16) * 16
    levels = (with_border(pixels, sizes, offsets, extent, "replicate").clamp(0, 1) * 255).round()
    red, green, blue = levels.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1)
    tables = torch.stack([_tables(q) for q in qualities]).to(pixels.device)
    luma = _quantise((luma - 128).round()[:, None], tables[:, :1])[:, 0] + 128
    halved = _quantise(F.avg_pool2d(chroma, 2).round(), tables[:, 1:].expand(-1, 2, -1, -1))
    blue_less, red_less = F.interpolate(
        halved.clamp(-128, 127), scale_factor=2, mode="bilinear", align_corners=False
    ).unbind(1)
    luma = luma.clamp(0, 255)
    green_part = luma - (0.299 * 1.402 * red_less + 0.114 * 1.772 * blue_less) / 0.587
    rgb = torch.stack([luma + 1.402 * red_less, green_part, luma + 1.772 * blue_less], dim=1)
    saved = rgb.round().clamp(0, 255) / 255
    return with_border(saved, reach, [-offset for offset in offsets], pixels.shape[-1], "replicate")


def _quantise(planes: Tensor, tables: Tensor) -> Tensor:
    """Whole levels after each 8×8 block of `planes` (B, C, H, W) was transformed, divided by `tables` (B, C, 8, 8),
    rounded and restored.
    """
    transform = _cosines().to(planes.device)
    batch, channels, height, width = planes.shape
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    steps = tables[:, :, None, None]
    coefficients = (transform @ blocks @ transform.T / steps).round() * steps
    restored = transform.T @ coefficients @ transform
    return restored.permute(0, 1, 2, 4, 3, 5).reshape(planes.shape).round()


@functools.lru_cache(maxsize=1)
def _cosines() -> Tensor:
    frequency, position = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    matrix = torch.cos(math.pi * (2 * position + 1) * frequency / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


@functools.lru_cache(maxsize=128)
def _tables(quality: int) -> Tensor:
    """(2, 8, 8): luma and chroma steps at this quality, scaled as libjpeg does."""
    luma = torch.tensor([float(v) for v in _LUMA.split()]).reshape(8, 8)
    chroma = torch.full((8, 8), 99.0)
    chroma[:4, :4] = torch.tensor(_CHROMA_CORNER, dtype=torch.float32)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((torch.stack([luma, chroma]) * scale + 50) / 100).floor().clamp(1, 255)


def _through_pillow(picture: Tensor, codec: Codec) -> Tensor:
    levels = levels_of(picture.detach())
    if codec.offset:
        levels = np.pad(levels, ((codec.offset, 0), (codec.offset, 0), (0, 0)), "edge")
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, codec.format, quality=codec.quality)
    with Image.open(buffer) as saved:
        decoded = np.array(saved.convert("RGB"))
    decoded = decoded[codec.offset :, codec.offset :]
    return torch.from_numpy(decoded).permute(2, 0, 1).to(picture) / 255
