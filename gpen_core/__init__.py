"""Blind face restoration with a GAN prior embedded in a U-shaped network (GPEN, CVPR 2021)."""

__version__ = "0.1.0"
