"""What GPEN is compared with, as models of the same contract: trained, saved, loaded and judged alike."""

from __future__ import annotations

from .base import Comparator
from .pix2pixhd import Pix2PixHD
from .psp import PSP
from .unet import UNet

COMPARATORS: dict[str, type[Comparator]] = {
    "unet": UNet,
    "pix2pixhd": Pix2PixHD,
    "psp": PSP,
}

__all__ = ["COMPARATORS", "PSP", "Comparator", "Pix2PixHD", "UNet"]
