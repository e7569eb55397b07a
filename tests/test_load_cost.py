"""What loading costs, on the real size; run with -m slow -s to see the figures."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gpen_core.config import GPENConfig, ModelCard
from gpen_core.weights import GPEN, checkpoint, load_model


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.slow
def test_loading_costs_little_more_than_looking_at_the_weights_and_laying_them_out_once(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    config = GPENConfig.standard(512)
    model = GPEN(config, generator=torch.Generator().manual_seed(0))
    checkpoint.write(path, model.state_dict(), config, ModelCard(name="random"))
    del model

    def build() -> GPEN:
        with torch.device("meta"):
            return GPEN(config)

    def lay_out(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        planes = [tensor[0] if tensor.ndim == 5 else tensor for tensor in tensors.values()]
        last = torch.channels_last
        return [plane.clone(memory_format=last) if plane.ndim == 4 else plane.clone() for plane in planes]

    ratios = []
    for _ in range(7):
        tensors = load_file(path)
        parts = (
            seconds(build),
            seconds(lambda held=tensors: [bool(torch.isfinite(tensor).all()) for tensor in held.values()]),
            seconds(lambda held=tensors: lay_out(held)),
        )
        del tensors
        ratios.append(seconds(lambda: load_model(path, precision="fp32", device="cpu")) / sum(parts))
    print(f"load_model over the sum of its parts: {statistics.median(ratios):.2f} (median of {len(ratios)})")
    assert statistics.median(ratios) <= 1.5
