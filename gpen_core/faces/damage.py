"""How damaged a face is, told from the face alone: a polynomial of its spectrum, fitted to damage that was known
(`training/damage/fit.py`)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import luma, resize, window_means

#: Faces are judged at this size, and within this much of it; what a larger one lacks beyond it does not count.
SIZE, _INNER = 256, 192
#: Light and shade are means over so many pixels a side.
_SHADE = 33
#: A face below this is as good as photographs are: so are nine of ten that nothing was done to.
GOOD = 0.25
#: Edges of the bands of the spectrum, in waves a pixel.
_BANDS = (0.02, 0.04, 0.08, 0.14, 0.22, 0.32, 0.5)
#: Of the features on the faces fitted to, and of the polynomial of what is left: what `fit.py` printed.
_MEAN = (3.607, 2.6813, 1.5124, 0.5037, -0.3479, -1.175, -2.9687, -2.5397)
_SPREAD = (0.3348, 0.5731, 0.7248, 0.8559, 0.9638, 0.9725, 0.4392, 0.3442)
_WEIGHTS = (
    *(0.3667, 0.0228, -0.0891, -0.042, -0.0624, -0.0877, -0.0292, -0.4495, 0.5268),
    *(0.0229, -0.0037, 0.0219, -0.084, -0.0199, 0.1061, 0.0975, -0.0651, -0.1169),
    *(0.0965, 0.0198, 0.0339, -0.023, -0.0308, 0.0099, -0.0223, 0.0414, -0.0465),
    *(0.0221, 0.0414, 0.0151, -0.0182, 0.0201, -0.0023, -0.0983, 0.0728, 0.1469),
    *(0.1369, -0.0292, -0.0397, 0.0218, 0.0107, -0.0938, -0.2011, -0.2941, 0.3007),
)
#: Nothing is quieter than these: a flat picture has logarithms, too.
_LEAST_POWER, _LEAST_STEP = 1e-7, 2e-4


def damage(crops: Tensor) -> Tensor:
    """(N,) in [0, 1] for aligned faces (N, 3, S, S) in [0, 1]: about 0.15 for a good photograph, 0.6 for one that blur,
    noise, few pixels or compression have left little of. It says how damaged faces rank, not by how much."""
    terms = quadratic((features(crops).double() - torch.tensor(_MEAN)) / torch.tensor(_SPREAD))
    return (terms @ torch.tensor(_WEIGHTS).double()).clamp(0, 1).float()


def features(crops: Tensor) -> Tensor:
    """(N, 8): logarithms of the power in six bands of the luma's spectrum, and of the median diagonal step from pixel
    to pixel, at full and half size, which noise decides."""
    inner = luma(resize(crops.float(), SIZE)[..., _FIRST : _FIRST + _INNER, _FIRST : _FIRST + _INNER])[:, 0]
    window = torch.hann_window(_INNER, periodic=False, device=inner.device)
    waves = torch.view_as_real(torch.fft.rfft2((inner - window_means(inner, _SHADE)) * (window[:, None] * window)))
    bands = waves.square().flatten(1) @ _band_means(inner.device)
    steps = torch.stack([diagonal_step(plane) for plane in (inner, F.avg_pool2d(inner[:, None], 2)[:, 0])], 1)
    return torch.cat([bands.clamp_min(_LEAST_POWER), steps.clamp_min(_LEAST_STEP)], 1).log10()


@lru_cache(maxsize=4)
def _band_means(device: torch.device) -> Tensor:
    """(192 × 97 × 2, 6): the squares of the real and imaginary half of a spectrum that tells of all of it, to the
    means of its power in the bands."""
    down, across = torch.fft.fftfreq(_INNER, device=device), torch.fft.rfftfreq(_INNER, device=device)
    radius = (down[:, None].square() + across.square()).sqrt()
    # Each column stands for its mirror image too, but for the first and the last, which have none.
    twice = torch.full_like(radius, 2.0)
    twice[:, [0, -1]] = 1.0
    bands = [((radius >= low) & (radius < high)) * twice for low, high in pairwise(_BANDS)]
    return torch.stack([(band / band.sum()).flatten().repeat_interleave(2) for band in bands], 1)


def quadratic(values: Tensor) -> Tensor:
    """(N, 45) of (N, 8): one, each value, each product of two."""
    first, second = torch.tril_indices(values.shape[1], values.shape[1], device=values.device)
    return torch.cat([torch.ones_like(values[:, :1]), values, values[:, first] * values[:, second]], 1)


def diagonal_step(plane: Tensor) -> Tensor:
    """(N,): the median of the mixed second differences of `plane` (N, h, w), by size and halved: mostly noise."""
    down = plane[:, 1:] - plane[:, :-1]
    steps = (down[..., 1:] - down[..., :-1]).abs_().flatten(1)
    # Which is the median; asked for as such, it takes five times as long.
    return steps.kthvalue((steps.shape[1] + 1) // 2).values / 2


_FIRST = (SIZE - _INNER) // 2
