"""Films of many frames in a real ComfyUI; see test_real_comfyui.py."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from comfyui_server import Server
from real_graphs import example, frames_of, write_film

from gpen_core.cli.main import main

pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.timeout(3600)]
FRAMES = 300


class Watch:
    """The memory of a process, (seconds, bytes) every tenth of a second, until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.seen: list[int] = []
        self._pid, self._done = pid, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(0.1):
            self.seen.append(int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * 4096)

    def stop(self) -> list[int]:
        self._done.set()
        self._thread.join()
        return self.seen


def restored(server: Server, film: str, prefix: str) -> tuple[Path, int, list[int]]:
    """(the saved film, its faces, the server's memory while it was made)."""
    video = {"class_type": "SaveVideo", "inputs": {"filename_prefix": prefix, "format": "auto", "format.codec": "auto"}}
    nodes = {
        "film": {"class_type": "LoadVideo", "inputs": {"file": film}},
        "restore": {
            "class_type": "GPEN_RestoreVideo",
            "inputs": {"video": ["film", 0], "visibility": 1.0, "temporal_smoothing": True, "detection_threshold": 0.9},
        },
        "saved": {**video, "inputs": {**video["inputs"], "video": ["restore", 0]}},
        "count": {"class_type": "PreviewAny", "inputs": {"source": ["restore", 1]}},
    }
    watch = Watch(server.pid)
    began = time.monotonic()
    try:
        outputs = server.run(nodes, seconds=3000)
    finally:
        seen = watch.stop()
    print(f"{film}: {time.monotonic() - began:.0f} s, {min(seen) / 1e6:.0f} to {max(seen) / 1e6:.0f} MB")
    (written,) = (server.base / "output").glob(f"{prefix}_*.mp4")
    return written, int(outputs["count"]["text"][0]), seen


def test_a_film_of_300_frames_takes_no_more_memory_than_one_of_30_and_is_what_the_shell_makes(
    server: Server, tmp_path: Path
) -> None:
    for name, frames in (("first", 4), ("short", 30), ("long", FRAMES)):
        write_film(server.base / "input" / f"{name}.mp4", example(), frames=frames)
    restored(server, "first.mp4", "first")  # loads what there is to load
    _, _, few = restored(server, "short.mp4", "short")
    written, count, many = restored(server, "long.mp4", "long")
    assert count == FRAMES
    assert max(many) <= max(few) + 30e6
    third = len(many) // 3
    assert np.median(many[-third:]) <= 1.03 * np.median(many[third : 2 * third])
    words = ["restore", server.base / "input" / "long.mp4", "-o", tmp_path / "shell", "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    (by_shell,) = (tmp_path / "shell").glob("*.mp4")
    for ours, theirs in zip(frames_of(written), frames_of(by_shell), strict=True):
        assert np.abs(ours - theirs).max() <= 1.01 / 255
