"""Face restorers of other architectures with random weights, and how each is called by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gpen_core.formats.restorers import FIDELITY


def restoreformer() -> torch.nn.Module:
    """A thin one: its widths are told by the shapes."""
    from spandrel.architectures.RestoreFormer import RestoreFormer

    return RestoreFormer(
        n_embed=16,
        embed_dim=32,
        ch=32,
        out_ch=3,
        ch_mult=(1, 1, 1, 1, 1, 1),
        num_res_blocks=1,
        attn_resolutions=(16,),
        dropout=0.0,
        in_channels=3,
        resolution=512,
        z_channels=32,
        double_z=False,
        enable_mid=True,
        head_size=8,
    )


def gfpgan() -> torch.nn.Module:
    from spandrel.architectures.GFPGAN import GFPGAN

    return GFPGAN(
        out_size=512,
        num_style_feat=512,
        channel_multiplier=2,
        fix_decoder=False,
        num_mlp=8,
        input_is_latent=True,
        different_w=True,
        narrow=1,
        sft_half=True,
    )


def codeformer() -> torch.nn.Module:
    from spandrel_extra_arches.architectures.CodeFormer import CodeFormer

    return CodeFormer(dim_embd=64, n_head=8, n_layers=1, codebook_size=1024, latent_size=256)


CALLS: dict[str, tuple[Callable[[], torch.nn.Module], Callable[[Any, torch.Tensor], torch.Tensor]]] = {
    "RestoreFormer": (restoreformer, lambda network, face: network(face)[0]),
    "GFPGAN": (gfpgan, lambda network, face: network(face, randomize_noise=False)[0]),
    "CodeFormer": (codeformer, lambda network, face: network(face, weight=FIDELITY)[0]),
}
SLOW = {"GFPGAN", "CodeFormer"}


def made(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return CALLS[kind][0]().eval()
