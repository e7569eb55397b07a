"""In which numbers a network computes: what a device can do, what pays there, and TF32 for the length of a call."""

from __future__ import annotations

import contextlib
import math
import platform
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from ..errors import ConfigError, DeviceError

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

FAITHFUL_DB = 45.0
"""The PSNR to float32, in dB, that `auto` asks of a lower precision."""


def check_precision(precision: str, device: torch.device) -> None:
    """Raises ConfigError for an unknown precision, DeviceError for one that `device` does not have."""
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r}; it must be one of {', '.join(PRECISIONS)}")
    if precision == "tf32" and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)):
        raise DeviceError(f"TF32 needs an NVIDIA GPU of compute capability 8.0 or newer, not {device}; use fp32")


@lru_cache(maxsize=8)
def bfloat16_pays(device: torch.device) -> bool:
    """Whether convolutions are faster in bfloat16 than in float32 on `device`."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        # Elsewhere (MPS, XPU) nobody has measured it.
        return False
    listed = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and listed.exists():
        features = set(listed.read_text().split())
        return bool(features & {"avx512_bf16", "amx_bf16"})
    return _bfloat16_was_faster()


def _bfloat16_was_faster() -> bool:
    best = {torch.float32: math.inf, torch.bfloat16: math.inf}
    x = torch.zeros(1, 64, 32, 32, device="cpu").to(memory_format=torch.channels_last)
    weight = torch.zeros(64, 64, 3, 3, device="cpu").to(memory_format=torch.channels_last)
    given = {dtype: (x.to(dtype), weight.to(dtype)) for dtype in best}
    for _ in range(30):
        for dtype, (faces, kernel) in given.items():
            start = time.perf_counter()
            F.conv2d(faces, kernel, padding=1)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
    # Native bfloat16 is near twice as fast, emulated much slower: the margin keeps the answer from wavering.
    return best[torch.bfloat16] < 0.8 * best[torch.float32]


@contextlib.contextmanager
def float32_as(precision: str, device: torch.device) -> Iterator[None]:
    """Within: float32 products on CUDA run in TF32 where `precision` is tf32, else in full. What was set comes back."""
    if device.type != "cuda":
        yield
        return
    allowed = precision == "tf32"
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
