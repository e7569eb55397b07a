"""What travels between the stages of a bulk run, packed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

HAS_ARROW = importlib.util.find_spec("pyarrow") is not None


@pytest.mark.skipif(not HAS_ARROW, reason="needs pyarrow")
def test_what_travels_of_a_face_is_what_it_shows():
    import torch

    from gpen_core.bulk.stages import packed, unpacked

    batch = torch.rand(64, 3, 32, 32)
    table = packed([batch[7], batch[8].t() if batch[8].ndim == 2 else batch[8, :, ::2]])
    assert table.nbytes < 3 * batch[7].nbytes
    first, second = unpacked(table)
    assert torch.equal(first, batch[7])
    assert torch.equal(second, batch[8, :, ::2])


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc; run it on Linux")
@pytest.mark.skipif(not HAS_ARROW, reason="needs pyarrow; install gpen[ray]")
def test_what_is_packed_is_let_go_of() -> None:
    """pyarrow keeps for good what it is given as a view: two megabytes a picture."""
    from gpen_core.bulk.stages import packed, unpacked

    given = np.zeros(2_000_000, np.uint8)
    packed([given])
    before = resident_megabytes()
    for _ in range(100):
        (found,) = unpacked(packed([given]))
        assert found.shape == given.shape
    assert resident_megabytes() - before < 50
