"""The published protocols of blind face restoration, as far as numbers can say them."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a test set is judged. count: its pictures, 0 for any; size: of the aligned faces, 0 for any.

    originals: whether there are any; fid: whether FID against FFHQ-512 belongs to it. gate: least cosine of AdaFace
    between result and input in the NTIRE 2025 and 2026 challenges, where ten results below it fail a submission; 0:
    none. source: where the set was made.
    """

    count: int
    size: int
    originals: bool
    measures: tuple[str, ...]
    fid: bool
    gate: float
    source: str


def _in_the_wild(count: int, gate: float, source: str) -> Protocol:
    """Real photographs, of which nobody has the originals."""
    return Protocol(count=count, size=512, originals=False, measures=("clip_iqa",), fid=True, gate=gate, source=source)


PROTOCOLS: dict[str, Protocol] = {
    "celeba-test": Protocol(
        count=3000,
        size=512,
        originals=True,
        measures=("psnr", "ssim", "ssim_basicsr", "lpips", "dists", "deg", "lmd"),
        fid=True,
        gate=0.5,
        source="CelebA-Test: 3,000 faces of CelebA-HQ with synthetic damage (Wang et al., GFPGAN, CVPR 2021)",
    ),
    "lfw": _in_the_wild(
        1711, 0.6, "LFW-Test: the first picture of each of 1,711 people in LFW's validation part (GFPGAN)"
    ),
    "webphoto": _in_the_wild(407, 0.3, "WebPhoto-Test: 407 faces of 188 old photographs from the net (GFPGAN)"),
    "wider": _in_the_wild(
        970, 0.3, "WIDER-Test: 970 badly damaged faces of WIDER FACE (Zhou et al., CodeFormer, NeurIPS 2022)"
    ),
    "celebchild": _in_the_wild(180, 0.6, "CelebChild-Test: 180 childhood photographs of celebrities (GFPGAN)"),
    "folder": Protocol(
        count=0,
        size=0,
        originals=True,
        measures=("psnr", "ssim", "sharpness", "detail", "perceptual"),
        fid=False,
        gate=0.0,
        source="any folder of results beside their originals",
    ),
}


def protocol(name: str) -> Protocol:
    """Raises InputError for a name that there is not."""
    if name not in PROTOCOLS:
        raise InputError(f"no protocol is called {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
