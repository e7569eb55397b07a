"""Clean faces made bad: blur, shrink, noise, compression, back to size (GPEN §3.3), in one implementation for every
device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .blur import blur, gaussian_kernel, motion_kernel
from .compression import Backend, compress
from .draws import noise
from .marks import band, draw_boxes, draw_lines, grey, sepia
from .placing import place
from .presets import find_preset
from .prints import halftone, tone
from .ranges import Drawn, DrawnPass, Ranges, draw
from .resample import Filter, resample
from .texture import add_texture, sharpen

_SMALLEST_SIDE = 8
_UNTOUCHED = DrawnPass()


class Degradation:
    """Damages batches of faces; what happens to a sample depends on (seed, sample index) alone.

    ranges: `Ranges`, or the name of a preset. jpeg: the back end; "torch" gives the same picture on every device.
    """

    def __init__(self, ranges: Ranges | str, *, jpeg: Backend = "auto") -> None:
        self.ranges = find_preset(ranges) if isinstance(ranges, str) else ranges
        self._jpeg = jpeg

    def pairs(self, pictures: Tensor, seed: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(damaged, clean), both (B, 3, S, S) in [0, 1]; mirrored, moved, grey and toned together where drawn so.

        pictures: (B, 3, S, S) float RGB in [0, 1]. indices: one sample number each.
        """
        drawn = self._draw(pictures, seed, indices)
        clean = torch.stack([_as_pair(p, d) for p, d in zip(pictures, drawn, strict=True)])
        return self._damage(clean, drawn), clean

    def degrade(self, pictures: Tensor, seed: int, indices: Sequence[int]) -> Tensor:
        """The damaged pictures (B, 3, S, S) in [0, 1], where they are: not mirrored, and grey or faded only if drawn
        for the damaged one.
        """
        return self._damage(pictures, self._draw(pictures, seed, indices))

    def mirrors(self, seed: int, index: int) -> bool:
        """Whether sample `index` is mirrored."""
        return draw(self.ranges, seed, index, _SMALLEST_SIDE).flip

    def _draw(self, pictures: Tensor, seed: int, indices: Sequence[int]) -> list[Drawn]:
        shape = tuple(pictures.shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or shape[0] != len(indices):
            raise InputError(f"degradation takes ({len(indices)}, 3, S, S), one picture for each index; got {shape}")
        return [draw(self.ranges, seed, index, shape[3]) for index in indices]

    def _damage(self, clean: Tensor, drawn: Sequence[Drawn]) -> Tensor:
        size = clean.shape[-1]
        sizes = [size] * len(drawn)
        pixels = clean.float()
        for step in range(max(len(d.passes) for d in drawn)):
            turn = [d.passes[step] if step < len(d.passes) else _UNTOUCHED for d in drawn]
            pixels, sizes = self._run_pass(pixels, sizes, turn)
        if any(d.passes for d in drawn):
            back: list[Filter] = [self.ranges.back] * len(drawn)
            pixels = resample(pixels, sizes, [size] * len(drawn), back).clamp(0, 1)
        return torch.stack([_damage_surface(p, d) for p, d in zip(pixels, drawn, strict=True)]).to(clean.dtype)

    def _run_pass(self, pixels: Tensor, sizes: list[int], turn: Sequence[DrawnPass]) -> tuple[Tensor, list[int]]:
        pixels = _printed(pixels, turn)
        if any(max(p.sigma) > 0 or p.motion for p in turn):
            extent = self.ranges.kernel_size
            kernels = [
                motion_kernel(p.motion, p.angle, extent) if p.motion else gaussian_kernel(p.sigma, p.angle, extent)
                for p in turn
            ]
            pixels = blur(pixels, sizes, torch.stack(kernels).to(pixels.device))
        smaller = [
            n if p is _UNTOUCHED else max(_SMALLEST_SIDE, int(n / p.shrink)) for n, p in zip(sizes, turn, strict=True)
        ]
        if smaller != sizes:
            pixels = resample(pixels, sizes, smaller, [p.filter for p in turn])
        if any(p.noise or p.photons for p in turn):
            pixels = _add_noise(pixels, turn)
        pixels = _sharpened(_textured(pixels, smaller, turn), smaller, turn)
        pixels = compress(pixels.clamp(0, 1), smaller, [p.codec for p in turn], self._jpeg)
        return pixels, smaller


def _add_noise(pixels: Tensor, turn: Sequence[DrawnPass]) -> Tensor:
    extent = pixels.shape[-1]
    grain = noise([p.noise_key for p in turn], (3, extent, extent), pixels.device)
    shared = torch.tensor([p.grey_noise for p in turn], device=pixels.device)[:, None, None, None]
    grain = torch.where(shared, grain[:, :1], grain)
    variance = pixels.new_tensor([p.noise**2 for p in turn])[:, None, None, None]
    # Shot noise as a Gaussian of the Poisson distribution's variance: brighter is noisier.
    shot = pixels.new_tensor([1 / p.photons if p.photons else 0.0 for p in turn])[:, None, None, None]
    return pixels + grain * (variance + shot * pixels.clamp(0, 1)).sqrt()


def _printed(pixels: Tensor, turn: Sequence[DrawnPass]) -> Tensor:
    found = {i: p.screen for i, p in enumerate(turn) if p.screen is not None}
    return _with(pixels, list(found), halftone(pixels[list(found)], list(found.values()))) if found else pixels


def _textured(pixels: Tensor, sizes: Sequence[int], turn: Sequence[DrawnPass]) -> Tensor:
    found = {i: p.texture for i, p in enumerate(turn) if p.texture is not None}
    if not found:
        return pixels
    rows = list(found)
    return _with(pixels, rows, add_texture(pixels[rows], [sizes[i] for i in rows], list(found.values())))


def _sharpened(pixels: Tensor, sizes: Sequence[int], turn: Sequence[DrawnPass]) -> Tensor:
    found = {i: p.sharpening for i, p in enumerate(turn) if p.sharpening is not None}
    if not found:
        return pixels
    rows = list(found)
    return _with(pixels, rows, sharpen(pixels[rows].clamp(0, 1), [sizes[i] for i in rows], list(found.values())))


def _with(pixels: Tensor, rows: list[int], changed: Tensor) -> Tensor:
    result = pixels.clone()
    result[rows] = changed
    return result


def _as_pair(picture: Tensor, drawn: Drawn) -> Tensor:
    picture = picture.flip(-1) if drawn.flip else picture
    picture = picture if drawn.placing is None else place(picture, drawn.placing)
    if drawn.tone_pair is not None:
        return tone(picture, drawn.tone_pair)
    return grey(picture) if drawn.grey_pair else picture


def _damage_surface(picture: Tensor, drawn: Drawn) -> Tensor:
    if drawn.sepia:
        picture = sepia(picture)
    elif drawn.grey:
        picture = grey(picture)
    if drawn.fade is not None:
        picture = tone(picture, drawn.fade)
    if drawn.marks:
        picture = draw_lines(picture, drawn.marks)
    if drawn.boxes:
        picture = draw_boxes(picture, drawn.boxes)
    return band(picture, drawn.banding) if drawn.banding else picture
