"""Ten thousand pictures, one in a hundred broken: all but those done, those named, memory flat."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from campaign.budget import TABLE, seconds
from campaign.mutation import seeds
from small_batches import OPTIONS, RESTORER, photograph, report_of, run

from gpen_core.batch import collect, restoring

PAGE = os.sysconf("SC_PAGE_SIZE")
pytestmark = pytest.mark.campaign


def test_ten_thousand_pictures_of_which_one_in_a_hundred_is_broken(tmp_path):
    count = 10_000 if seconds(1) >= 600 else 1_000
    good = photograph(tmp_path / "good.png", 3)
    broken = [seeds()[".png"][0][:200], b"no picture", b"", seeds()[".jpg"][0][:120]]
    folder = tmp_path / "in"
    for index in range(count):
        path = folder / f"{index // 500:02}" / f"{index:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index % 100 == 57:
            path.write_bytes(broken[index // 100 % len(broken)])
        else:
            shutil.copy(good, path)
    memory: list[int] = []

    def watched(pictures):
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE)
        return restoring(RESTORER, OPTIONS)(pictures)

    summary = run(collect([folder], tmp_path / "out"), tmp_path / "out", watched)
    early, late = max(memory[len(memory) // 10 : len(memory) // 5]), max(memory[-len(memory) // 10 :])
    grown = (late - early) / 2**20
    TABLE.add(
        "pictures, 1 % broken", count, f"{summary.done} done, {len(summary.failed)} named, memory {grown:+.1f} MB"
    )
    assert (summary.done, len(summary.failed)) == (count - count // 100, count // 100)
    assert {Path(row.input).name[-6:-4] for row in summary.failed} == {"57"}
    assert report_of(tmp_path / "out")["totals"]["pictures"] == count
    assert grown < 30
