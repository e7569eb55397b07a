"""What is in front of a face, seen by a small network of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..images.planes import resize
from .library import build, fold_batch_norms
from .retinaface import active, convolution

#: Faces are looked at in this size.
SIDE = 64
#: From this probability on a place counts as covered a little, and wholly: what is left of a hand looks worse than a
#: little of a face left as it was.
_DOUBT, _SURE = 0.2, 0.5
#: Channels at 64, 32, 16 and 8 px.
_WIDTHS = (12, 32, 64, 96)


class OcclusionNetwork(nn.Module):
    """Aligned faces (N, 3, 64, 64) RGB in [0, 1] → how surely something is in front of each place, logits (N, 64, 64).

    A U-Net that is told where in the crop it is: where skin belongs, what is no skin stands before it.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (5, *_WIDTHS)
        self.down = nn.ModuleList(
            nn.Sequential(
                *active(*convolution(inputs[level], width, stride=2 if level else 1)),
                *active(*convolution(width, width)),
            )
            for level, width in enumerate(_WIDTHS)
        )
        self.bottom = nn.Sequential(*active(*convolution(_WIDTHS[-1], _WIDTHS[-1])))
        finer = list(zip(_WIDTHS[:0:-1], _WIDTHS[-2::-1], strict=True))
        self.narrow = nn.ModuleList(nn.Conv2d(wide, width, 1) for wide, width in finer)
        self.up = nn.ModuleList(nn.Sequential(*active(*convolution(width, width))) for _, width in finer)
        self.judge = nn.Conv2d(_WIDTHS[0], 1, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 64, 64)."""
        line = torch.linspace(-1, 1, SIDE).to(faces)
        place = torch.stack([line.expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)])
        seen = torch.cat([faces * 2 - 1, place.expand(len(faces), -1, -1, -1)], 1)
        levels: list[Tensor] = []
        for down in self.down:
            seen = down(seen)
            levels.append(seen)
        seen = self.bottom(seen)
        for narrow, up, finer in zip(self.narrow, self.up, levels[-2::-1], strict=True):
            seen = up(F.interpolate(narrow(seen), scale_factor=2.0, mode="nearest") + finer)
        logits: Tensor = self.judge(seen)
        return logits[:, 0]


class FaceOccluder(nn.Module):
    """Tells what covers aligned faces; see `contracts.Occluder`. name: what reports call it.

    Raises WeightsError where `state_dict` does not fit.
    """

    def __init__(self, state_dict: Mapping[str, Tensor], *, name: str) -> None:
        super().__init__()
        self.name = name
        self.network = fold_batch_norms(build("an occlusion network", OcclusionNetwork, state_dict))

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 64, 64) in [0, 1] for faces (N, 3, S, S) RGB in [0, 1]."""
        with torch.no_grad():
            small = resize(faces.to(next(self.network.parameters())), SIDE)
            # Together on a CPU, faces end in other last bits with other mates.
            parts = [face[None] for face in small] if small.device.type == "cpu" and len(small) else [small]
            logits = torch.cat([self.network(part) for part in parts])
        return ((logits.sigmoid() - _DOUBT) / (_SURE - _DOUBT)).clamp(0, 1)
