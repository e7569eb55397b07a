"""Maps of a face's regions: labels to the palette's colours, and colours, however damaged, back to labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FaceError, InputError
from ..images import Picture
from ..images.picture import to_depth
from .mask import LABELS

#: CelebAMask-HQ's colours, by label (RGB, 8 bits), as GPEN-Seg2face was trained with them.
PALETTE: NDArray[np.uint8] = np.array(
    [
        (0, 0, 0), (204, 0, 0), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204), (0, 255, 255),
        (255, 204, 204), (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0), (0, 0, 153), (0, 0, 204),
        (255, 51, 153), (0, 204, 204), (0, 51, 0), (255, 153, 51), (0, 204, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip

_SIDES = {"left": "right", "right": "left"}
#: Each label's on the other side: the left eye's is the right eye.
_MIRRORED: NDArray[np.uint8] = np.array(
    [LABELS.index(" ".join(_SIDES.get(word, word) for word in name.split())) for name in LABELS], dtype=np.uint8
)

#: A pixel within this RGB distance of a palette colour is that colour, damaged.
_NEAR = 60.0
#: Compression mixes the colours of two neighbours along their edge; mixtures may be off by this.
_MIXED = 75.0
#: A map may hold this share of far colours, and a connected region of them this share of the map.
_FAR_SHARE, _FAR_REGION = 0.02, 0.001
#: Above this share of exact colours a map was never compressed, and only its strays need a decision.
_EXACT_SHARE = 0.97
#: Deviations of luma and chroma (8 bits) in a JPEG of quality 60, whose chroma has half the resolution.
_LUMA_DEVIATION, _CHROMA_DEVIATION = 15.0, 60.0
#: Weight of the neighbourhood's majority, its side in pixels, and how often it is asked.
_PRIOR, _WINDOW, _ROUNDS = 2.0, 7, 3
#: No colour counts against a label more than this, so that a stray takes what surrounds it.
_LARGEST_COST = 16.0

_LUMA_CHROMA = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def paint(labels: NDArray[Any] | Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the palette's colours of `labels` (H, W), integers 0 to 18. Raises InputError for others."""
    values = labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise InputError(f"labels are {values.dtype} of shape {values.shape}; expected integers of shape (H, W)")
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < len(LABELS):
        raise InputError(
            f"labels run from {values.min()} to {values.max()}; expected CelebAMask-HQ's 0 to {len(LABELS) - 1}"
        )
    painted: NDArray[np.uint8] = PALETTE[values]
    return painted


def picture_labels(picture: Picture) -> NDArray[np.uint8]:
    """(H, W) uint8 labels of a map stored as a picture: in the palette's colours, or grey with the labels as values.

    Raises as `read_labels`.
    """
    pixels = to_depth(picture.pixels, np.uint8)
    # As CelebAMask-HQ's tools write it.
    if picture.grey and int(pixels.max()) < len(LABELS):
        values: NDArray[np.uint8] = np.ascontiguousarray(pixels[..., 0])
        return values
    return read_labels(pixels)


def resize_labels(labels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """(size, size): each pixel takes the label at its centre; labels are never mixed."""
    rows, columns = (((np.arange(size) + 0.5) * n / size).astype(np.int64) for n in labels.shape)
    resized: NDArray[np.uint8] = labels[rows[:, None], columns]
    return resized


def mirror_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The map (H, W) as a mirror shows it: left and right change places, also by name."""
    mirrored: NDArray[np.uint8] = _MIRRORED[labels[:, ::-1]]
    return mirrored


def read_labels(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8: the label of every pixel of a map (H, W, 3) RGB uint8 painted in the palette's colours.

    Colours within 60 (RGB distance) of the palette's are snapped to it, strays take their neighbourhood's majority.
    Raises FaceError, with the position, where more than 2 % of the colours, or a region above 0.1 %, are far from
    all of the palette's and no mixture of neighbours; InputError for another kind of array.
    """
    if colours.ndim != 3 or colours.shape[2] != 3 or colours.dtype != np.uint8:
        raise InputError(
            f"a map of regions is {colours.dtype} of shape {colours.shape}; expected uint8 RGB of shape (H, W, 3)"
        )
    pixels = torch.from_numpy(colours.astype(np.float32))
    distance, nearest = _nearest(pixels)
    exact = distance == 0
    if bool(exact.all()):
        return nearest.byte().numpy()
    far = _refuse_far_colours(pixels, nearest, distance <= _NEAR)
    decided = _decide(pixels, nearest, distance, far)
    if float(exact.float().mean()) >= _EXACT_SHARE:
        decided = torch.where(exact, nearest, decided)
    return decided.byte().numpy()


def _nearest(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """(H, W) RGB distance to the nearest palette colour and its label; rows at a time, so that memory stays small."""
    palette = torch.from_numpy(PALETTE).float()
    rows = max(1, (1 << 18) // pixels.shape[1])
    parts = [(part[..., None, :] - palette).square().sum(-1).min(-1) for part in torch.split(pixels, rows)]
    return torch.cat([part.values for part in parts]).sqrt(), torch.cat([part.indices for part in parts])


def _decide(pixels: Tensor, nearest: Tensor, distance: Tensor, far: Tensor) -> Tensor:
    """(H, W) labels that weigh each pixel's own colour, unless it is far, against what most of its neighbours are.

    The first round asks only neighbours of little doubt; iterated conditional modes (Besag 1986) otherwise.
    """
    palette = torch.from_numpy(PALETTE).float() @ _LUMA_CHROMA.T
    deviation = torch.tensor([_LUMA_DEVIATION, _CHROMA_DEVIATION, _CHROMA_DEVIATION])
    own = (pixels @ _LUMA_CHROMA.T) / deviation
    present = torch.unique(nearest)
    costs = torch.stack([(own - palette[k] / deviation).square().sum(-1).clamp_max(_LARGEST_COST) for k in present])
    costs[:, far] = 0
    labels: Tensor = torch.searchsorted(present, nearest)
    trusted = (distance < _NEAR / 2).float()
    for turn in range(_ROUNDS):
        votes = (labels == torch.arange(len(present))[:, None, None]).float()
        share = _window_mean(votes * trusted if turn == 0 else votes)
        total = share.sum(0, keepdim=True)
        share = torch.where(total > 0, share / total.clamp_min(1e-6), share.new_ones(()))
        labels = (costs - _PRIOR * torch.log(share + 1e-3)).argmin(0)
    decided: Tensor = present[labels]
    return decided


def _window_mean(planes: Tensor) -> Tensor:
    """`planes` (K, H, W) averaged over a square window, smaller at the border; rows first, then columns."""
    half = _WINDOW // 2
    rows = F.avg_pool2d(planes[None], (_WINDOW, 1), 1, (half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, _WINDOW), 1, (0, half), count_include_pad=False)[0]


def _refuse_far_colours(pixels: Tensor, nearest: Tensor, near: Tensor) -> Tensor:
    """(H, W) bool: the far colours, few enough to be strays."""
    total = near.numel()
    if not bool(near.any()) or float(near.float().mean()) < 0.5:
        raise FaceError(
            f"{100 * (1 - float(near.float().mean())):.0f} % of the map's colours are none of the {len(LABELS)} "
            f"palette colours; is it a map of regions? First at {_first(~near)}"
        )
    far = _far(pixels, nearest, near)
    count = int(far.sum())
    if count > _FAR_SHARE * total:
        raise FaceError(
            f"{100 * count / total:.1f} % of the map's colours are none of the {len(LABELS)} palette colours, at most "
            f"{100 * _FAR_SHARE:g} % may be; first at {_first(far)}, {_colour(pixels, far)}"
        )
    size, (x, y) = _largest_region(far.numpy())
    if size > _FAR_REGION * total:
        raise FaceError(
            f"a region of {size} pixels around x {x}, y {y} has a colour, {pixels[y, x].int().tolist()}, that is none "
            f"of the {len(LABELS)} palette colours; paint it in one of them"
        )
    return far


def _far(pixels: Tensor, nearest: Tensor, near: Tensor) -> Tensor:
    """(H, W) bool: neither near a palette colour nor a mixture of two that stand in the neighbourhood."""
    far = ~near
    rows, columns = far.nonzero(as_tuple=True)
    if not len(rows):
        return far
    half = _WINDOW // 2
    votes = ((nearest == torch.arange(len(PALETTE))[:, None, None]) & near).float()
    around = F.max_pool2d(F.max_pool2d(votes[None], (_WINDOW, 1), 1, (half, 0)), (1, _WINDOW), 1, (0, half))[0] > 0
    palette = torch.from_numpy(PALETTE).float()
    first, second = torch.triu_indices(len(PALETTE), len(PALETTE), 1)
    start, span = palette[first], palette[second] - palette[first]
    for part in torch.split(torch.arange(len(rows)), 1 << 14):
        y, x = rows[part], columns[part]
        offset = pixels[y, x][:, None] - start
        along = ((offset * span).sum(-1) / span.square().sum(-1)).clamp(0, 1)
        off = (offset - along[..., None] * span).norm(dim=-1)
        beside = around[:, y, x].T
        far[y, x] = ~((off <= _MIXED) & beside[:, first] & beside[:, second]).any(1)
    return far


def _largest_region(marked: NDArray[np.bool_]) -> tuple[int, tuple[int, int]]:
    """Pixels of the largest region of `marked` (H, W), connected along rows and columns, and one of them, (x, y)."""
    parents: list[int] = []
    runs: list[tuple[int, int, int]] = []  # row, first column, column after the last

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    above: list[int] = []
    for y in np.flatnonzero(marked.any(1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate(([0], marked[y].astype(np.int8), [0]))))
        here = []
        for start, stop in edges.reshape(-1, 2).tolist():
            index = len(runs)
            runs.append((y, start, stop))
            parents.append(index)
            here.append(index)
            for other in above:
                row, first, last = runs[other]
                if row == y - 1 and first < stop and start < last:
                    parents[root(other)] = root(index)
        above = here
    sizes: dict[int, int] = {}
    for index, (_, start, stop) in enumerate(runs):
        sizes[root(index)] = sizes.get(root(index), 0) + stop - start
    if not sizes:
        return 0, (0, 0)
    largest = max(sizes, key=lambda key: sizes[key])
    members = [run for index, run in enumerate(runs) if root(index) == largest]
    row, start, stop = members[len(members) // 2]
    return sizes[largest], ((start + stop - 1) // 2, row)


def _first(marked: Tensor) -> str:
    y, x = marked.nonzero()[0].tolist()
    return f"x {x}, y {y}"


def _colour(pixels: Tensor, marked: Tensor) -> str:
    y, x = marked.nonzero()[0].tolist()
    return f"whose colour is {pixels[y, x].int().tolist()}"
