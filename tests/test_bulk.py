"""Bulk restoration on Ray Data: the same files, a row for what is broken, and nothing twice or lost across kills."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from training_runs import ROOT

from gpen_core.errors import InputError, MissingPackageError

# Inverts pictures in two workers; the first that takes a block after "kill" was written ends itself with SIGKILL.
BULK = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from gpen_core.batch import BatchOptions, collect
from gpen_core.bulk import Workers, restore_archive

source, out, kill = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

def build():
    def process(pictures):
        if kill.exists():
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return [SimpleNamespace(picture=replace(p, pixels=255 - p.pixels), faces=[], changed=True) for p in pictures]
    return process, BatchOptions(report=out / "report.json")

summary = restore_archive(
    collect([source], out), build, out, Workers(count=2, block=2), settings={"kind": sys.argv[4]}
)
print(json.dumps({"done": summary.done, "skipped": summary.skipped, "failed": summary.failed}))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(7):
        Image.new("RGB", (24, 16), (30 * number, 10, 200)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def bulk(archive: Path, out: Path, kind: str = "a") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", BULK, str(archive), str(out), str(out.parent / "kill"), kind]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def said(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    # Ray speaks on the same stream, of workers that it starts anew.
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(answer))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray; install gpen[ray]")
def test_a_killed_worker_loses_nothing_and_the_same_command_does_what_is_left(archive, tmp_path):
    from pyarrow import parquet

    out = tmp_path / "out"
    (tmp_path / "kill").touch()
    first = said(bulk(archive, out))
    assert not (tmp_path / "kill").exists()
    assert (first["done"], first["skipped"], len(first["failed"])) == (7, 0, 1)
    rows = parquet.read_table(out / "report.parquet").to_pylist()
    assert sorted(Path(row["input"]).name for row in rows) == sorted(p.name for p in archive.iterdir())
    (broken,) = [row for row in rows if row["status"] == "failed"]
    assert "broken.png is not a picture" in broken["reason"]
    with Image.open(out / "3.png") as picture:
        assert picture.getpixel((0, 0)) == (255 - 90, 245, 55)
    # Of what is there nothing is done again; what is broken, gone or new is.
    (out / "2.png").unlink()
    Image.new("RGB", (24, 16)).save(archive / "broken.png")
    stamps = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    second = said(bulk(archive, out))
    assert (second["done"], second["skipped"], second["failed"]) == (2, 6, [])
    assert {name: (out / name).stat().st_mtime_ns for name in stamps} == stamps
    refused = bulk(archive, out, kind="b")
    assert "holds results made with other options" in refused.stderr


def test_workers_that_make_no_sense_are_refused():
    from gpen_core.bulk import Workers

    with pytest.raises(InputError, match="count and block must be at least 1"):
        Workers(count=0)


def test_without_ray_the_extra_is_named(archive, tmp_path, monkeypatch):
    from gpen_core.batch import collect
    from gpen_core.bulk import Workers, restore_archive

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingPackageError, match=r"gpen\[ray\]"):
        restore_archive(collect([archive], tmp_path / "out"), lambda: None, tmp_path / "out", Workers(), settings={})


def test_a_worker_does_what_the_plain_command_does(archive, tmp_path):
    pytest.importorskip("pyarrow")
    from gpen_core.batch import BatchOptions, collect, restoring, run_batch
    from gpen_core.bulk import _Worker
    from gpen_core.options import RestoreOptions

    class Nothing:
        """Finds no face, so a picture is copied."""

        def restore_many(self, pictures, options, **parts):
            for picture in pictures:
                yield type("Result", (), {"picture": picture, "faces": []})()

        model = type("M", (), {"parameters": lambda self: iter([torch.zeros(1)])})()

    process = restoring(Nothing(), RestoreOptions())
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    run_batch(collect([archive], plain), process, BatchOptions(report=plain / "report.json"))
    (tmp_path / "parts").mkdir()
    items = collect([archive], ours)
    block = {"source": [str(i.source) for i in items], "target": [str(i.target) for i in items]}
    rows = _Worker(lambda: (process, BatchOptions(report=ours / "report.json")), tmp_path / "parts", "{}")(block)
    assert rows["status"].count("failed") == 1
    assert len(list((tmp_path / "parts").iterdir())) == 1
    for path in plain.glob("*.png"):
        assert path.read_bytes() == (ours / path.name).read_bytes()
