"""Bulk restoration on Ray Data: the same files, a row for what is broken, and nothing twice or lost across kills."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from PIL import Image
from small_batches import OPTIONS, RESTORER, photograph
from test_bulk_inputs import tar
from training_runs import ROOT

from gpen_core.archives import Entry
from gpen_core.batch import BatchOptions, collect, restoring, run_batch
from gpen_core.bulk import Workers, collect_archive, restore_archive, run
from gpen_core.bulk.inputs import ArchiveItem
from gpen_core.bulk.tries import MOST, Tries, Watch
from gpen_core.errors import ConfigError, InputError, MissingPackageError, PictureError

HAS_RAY = importlib.util.find_spec("ray") is not None
HAS_ARROW = importlib.util.find_spec("pyarrow") is not None


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for number in range(5):
        photograph(tmp_path / "archive" / f"{number}.png", number, bright=number != 3)
    photograph(tmp_path / "archive" / "deep" / "5.jpg", 5)
    (tmp_path / "archive" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "archive"


@pytest.fixture
def plain(archive: Path, tmp_path: Path) -> dict[str, bytes]:
    """The results of the plain command by their names."""
    run_batch(collect([archive], tmp_path / "plain"), restoring(RESTORER, OPTIONS), options_of(tmp_path / "plain"))
    return pictures(tmp_path / "plain")


@pytest.fixture
def in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three stages one after the other in this process, in the place of Ray."""
    pytest.importorskip("pyarrow")
    from gpen_core.bulk.stages import Networks, Reader, Writer, packed, unpacked

    def stages(todo, build, workers, options):
        tries = Tries()
        networks = Networks(build, tries)
        for item in todo:
            for read in Reader(options, tries)(packed([item])):
                for done in networks(read):
                    for table in Writer(options, tries)(done):
                        (one,) = unpacked(table)
                        if one.fatal:
                            raise PictureError(one.fatal)
                        yield one.report, one.stamps

    monkeypatch.setattr(run, "_on_ray", stages)
    monkeypatch.setattr(run, "_ray_data", lambda: None)


def options_of(folder: Path, **settings) -> BatchOptions:
    return BatchOptions(report=folder / "report.json", settings=settings)


def pictures(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("report", ".")))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def bulk(inputs: list[str], out: str, **settings):
    items = collect_archive(inputs, out)
    build = lambda: restoring(RESTORER, OPTIONS, pasted=False)  # noqa: E731
    return restore_archive(items, build, out, Workers(), options_of(Path("unused"), **settings))


def rows_of(report: Path) -> list[dict]:
    from pyarrow import parquet

    return list(parquet.read_table(report).to_pylist())


def test_the_stages_write_what_the_plain_command_writes(archive, plain, tmp_path, in_turns):
    out = tmp_path / "out"
    summary = bulk([str(archive)], str(out))
    assert (summary.done, summary.faces, summary.faceless) == (6, 5, 1)
    assert pictures(out) == plain
    rows = {Path(row["input"]).name: row for row in rows_of(out / "report.parquet")}
    assert len(rows) == 7
    assert "broken.png is not a picture" in rows["broken.png"]["reason"]
    assert (rows["0.png"]["face"], rows["0.png"]["left"]) == (0, 25.0)
    assert rows["3.png"]["status"] == "copied"
    assert rows["3.png"]["face"] is None


def test_the_table_has_the_notes_that_the_plain_report_has(tmp_path, in_turns):
    first, second = (Image.open(photograph(tmp_path / f"{number}.png", number)) for number in (1, 2))
    first.save(tmp_path / "two.tif", save_all=True, append_images=[second])
    bulk([str(tmp_path / "two.tif"), str(tmp_path / "1.png")], str(tmp_path / "out"))
    two, one = rows_of(tmp_path / "out" / "report.parquet")
    assert two["notes"] == ["the file holds 2 pictures; the first was used"]
    assert one["notes"] == []


def test_pictures_of_an_archive_meet_the_masks_of_their_folders(tmp_path, in_turns):
    from gpen_core.batch.masks import painted_masks

    members = {}
    for number, folder in enumerate("ab"):
        members[f"{folder}/x.png"] = photograph(tmp_path / "in" / folder / "x.png", number).read_bytes()
        mask = np.zeros((60, 80), np.uint8)
        mask[:, 40 * number : 40 * number + 40] = 255
        (tmp_path / "masks" / folder).mkdir(parents=True)
        Image.fromarray(mask).save(tmp_path / "masks" / folder / "x.png")
    masks = painted_masks(folder=tmp_path / "masks")
    work = restoring(RESTORER, OPTIONS, within=masks)
    run_batch(collect([tmp_path / "in"], tmp_path / "plain"), work, options_of(tmp_path / "plain"))
    out = tmp_path / "out"
    items = collect_archive([str(tar(tmp_path / "t.tar", members))], str(out))
    build = lambda: restoring(RESTORER, OPTIONS, within=masks, pasted=False)  # noqa: E731
    summary = restore_archive(items, build, str(out), Workers(), options_of(Path("unused")))
    assert [report.reason for report in summary.failed] == []
    plain = pictures(tmp_path / "plain")
    assert pictures(out) == {f"t/{name}": data for name, data in plain.items()}
    assert plain["a/x.png"] != members["a/x.png"]


def test_the_same_run_again_does_what_is_broken_gone_or_new(archive, tmp_path, in_turns):
    out = tmp_path / "out"
    bulk([str(archive)], str(out))
    (out / "2.png").unlink()
    photograph(archive / "1.png", 77)
    photograph(archive / "broken.png", 8)
    photograph(archive / "new.png", 9)
    kept = (out / "0.png").stat().st_mtime_ns
    summary = bulk([str(archive)], str(out))
    assert (summary.done, summary.skipped, summary.failed) == (4, 4, ())
    assert (out / "0.png").stat().st_mtime_ns == kept
    assert len(rows_of(out / "report.parquet")) == 8
    with pytest.raises(ConfigError, match=r"strength was None, now 0\.5"):
        bulk([str(archive)], str(out), strength=0.5)


def test_archives_and_object_stores_give_the_same_files(archive, plain, tmp_path, in_turns):
    members = {p.relative_to(archive).as_posix(): p.read_bytes() for p in archive.rglob("*") if p.is_file()}
    shard = tar(tmp_path / "shard.tar", members)
    assert bulk([str(shard)], str(tmp_path / "from-tar")).done == 6
    assert pictures(tmp_path / "from-tar" / "shard") == plain
    far = fsspec.filesystem("memory")
    far.put(str(archive), "/in/album", recursive=True)
    assert bulk(["memory://in/album"], "memory://out/album").done == 6
    found = {path.removeprefix("/out/album/"): far.cat_file(path) for path in far.find("/out/album")}
    assert {name: data for name, data in found.items() if not name.startswith("report")} == plain
    rows = {row["input"]: row for row in rows_of_bytes(found["report.parquet"], tmp_path)}
    assert "memory:///in/album/broken.png is not a picture" in rows["memory:///in/album/broken.png"]["reason"]
    assert rows["memory:///in/album/0.png"]["output"] == "memory:///out/album/0.png"
    # From anywhere the same command goes on: what is gone or has changed is done, nothing else.
    far.rm_file("/out/album/4.png")
    far.pipe("/in/album/broken.png", members["1.png"])
    summary = bulk(["memory://in/album"], "memory://out/album")
    assert (summary.done, summary.skipped, summary.failed) == (2, 5, ())


def rows_of_bytes(data: bytes, folder: Path) -> list[dict]:
    (folder / "rows.parquet").write_bytes(data)
    return rows_of(folder / "rows.parquet")


def test_a_run_into_an_object_store_goes_on_from_what_was_sent(archive, plain, tmp_path, in_turns, monkeypatch):
    from gpen_core.bulk import afar

    monkeypatch.setattr(afar, "_EVERY", 0.0)
    items = collect_archive([str(archive)], "memory://cut")
    seen = []

    def stop(report):
        seen.append(report.input)
        if len(seen) == 4:
            raise KeyboardInterrupt

    parts = (lambda: restoring(RESTORER, OPTIONS, pasted=False), "memory://cut", Workers(), options_of(Path("unused")))
    with pytest.raises(KeyboardInterrupt):
        restore_archive(items, *parts, finished=stop)
    # The fourth was noted, and not yet sent.
    assert restore_archive(items, *parts, finished=stop).skipped == 3
    pieces = fsspec.filesystem("memory").find("/cut/report.parquet.parts")
    assert sum(b'"settings": {}' in fsspec.filesystem("memory").cat_file(piece) for piece in pieces) == 1


def test_while_a_run_writes_to_an_address_another_is_refused_and_loses_it_nothing(archive, plain, tmp_path, in_turns):
    far, refused = fsspec.filesystem("memory"), []
    items = collect_archive([str(archive)], "memory://shared")
    build = lambda: restoring(RESTORER, OPTIONS, pasted=False)  # noqa: E731

    def meanwhile(report):
        if not refused:
            with pytest.raises(InputError, match=r"another run .* writes to memory://shared; wait") as no:
                bulk([str(archive)], "memory://shared")
            refused.append(str(no.value))

    parts = (items, build, "memory://shared", Workers(), options_of(Path("unused")))
    assert restore_archive(*parts, finished=meanwhile).done == 6
    assert len(refused) == 1
    assert not far.exists("/shared/report.parquet.lease")
    assert bulk([str(archive)], "memory://shared").skipped == 6


def test_a_row_that_is_no_picture_is_told_in_a_line_and_the_others_are_done(archive, tmp_path, in_turns):
    (tmp_path / "list.csv").write_text(
        "input,output\narchive/0.png,a.png\n,b.png\nmemory://gone/x.png,c.png\narchive/none.png,d.png\n"
        "archive/1.png,../e.png\narchive/2.png,f.xyz\n"
    )
    summary = bulk([str(tmp_path / "list.csv")], str(tmp_path / "out"))
    assert summary.done == 1
    said = [report.reason for report in summary.failed]
    assert [text.split(" (")[0].split(";")[0] for text in said] == [
        f"{tmp_path}/list.csv, row 2: input is ''",
        "memory://gone/x.png cannot be fetched",
        f"{tmp_path}/archive/none.png: no such file",
        f"{tmp_path}/list.csv, row 5: ../e.png leads out of the folder of results",
        f"{tmp_path}/out/f.xyz: no format has the suffix '.xyz'",
    ]
    assert not any("\n" in text for text in said)
    assert sorted(pictures(tmp_path / "out")) == ["a.png"]


def test_what_ends_every_process_that_works_on_it_is_given_up_alone_and_the_others_are_done():
    entries = [SimpleNamespace(key=(name, None)) for name in "abcd"]
    tries, done, given_up = Tries(), set(), set()

    def process(stage: str) -> bool:
        """Whether it lived: it dies over c."""
        for part, lost in Watch(stage, tries).parts(entries):
            names = {entry.key[0] for entry in part}
            if lost:
                given_up.update(names)
            elif "c" in names:
                return False
            else:
                done.update(names)
        return True

    assert [process("being read") for _ in range(MOST + 1)] == [False] * MOST + [True]
    assert (done, given_up) == ({"a", "b", "d"}, {"c"})
    # It came to an end, so nothing is held against anybody, nor was it in another stage.
    assert not process("being read")
    assert not process("being written")


def test_a_picture_that_is_given_up_in_any_stage_is_a_row_that_says_so(archive, tmp_path, in_turns):
    begin, ended = Tries.begin, {"being read": "0.png", "being restored": "1.png", "being written": "2.png"}

    def before(self, stage, keys):
        gone = ended.get(stage, "nothing")
        counts = zip(keys, begin(self, stage, keys), strict=True)
        return [MOST if key[0].endswith(gone) else count for key, count in counts]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tries, "begin", before)
        summary = bulk([str(archive)], str(tmp_path / "out"))
    said = {Path(report.input).name: report.reason for report in summary.failed}
    for stage, name in ended.items():
        assert f"{name} ended {MOST} processes, each while it was {stage}" in said[name]
    assert (summary.done, len(summary.failed)) == (3, 4)
    assert bulk([str(archive)], str(tmp_path / "out")).done == 3


@pytest.mark.skipif(not HAS_ARROW, reason="needs pyarrow")
def test_a_picture_with_a_long_signature_behind_its_address_is_read(archive, monkeypatch):
    from gpen_core.bulk.stages import Reader, packed, unpacked

    data = (archive / "0.png").read_bytes()
    monkeypatch.setattr(Entry, "read", lambda entry: data)
    address = f"https://host/0.png?sig={'x' * 300}"
    item = ArchiveItem(entry=Entry(name=address, file=address), target="/out/0.png", stamp=[0])
    (table,) = Reader(options_of(Path("unused")), Tries())(packed([item]))
    (carried,) = unpacked(table)
    assert (carried.decoded.error, carried.decoded.picture.width) == (None, 80)


def child(archive: Path, out: Path, kind: str = "a") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, str(ROOT / "tests" / "bulk_run.py"), str(archive), str(out), str(out.parent / "kill")]
    return subprocess.run(
        [*command, "0", kind], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def said(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    # Ray speaks on the same stream, of workers that it starts anew.
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(answer))


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="needs Ray; install gpen[ray]")
def test_a_killed_worker_loses_nothing_and_the_same_command_does_what_is_left(archive, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "kill").touch()
    first = said(child(archive, out))
    assert not (tmp_path / "kill").exists()
    assert (first["done"], first["skipped"], len(first["failed"])) == (6, 0, 1)
    rows = rows_of(out / "report.parquet")
    names = sorted(p.name for p in archive.rglob("*") if p.is_file())
    assert sorted(Path(row["input"]).name for row in rows) == names
    with Image.open(out / "3.png") as ours, Image.open(archive / "3.png") as theirs:
        assert ours.getpixel((0, 0)) == tuple(255 - value for value in theirs.getpixel((0, 0)))
    stamps = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    (out / "2.png").unlink()
    second = said(child(archive, out))
    assert (second["done"], second["skipped"], len(second["failed"])) == (1, 5, 1)
    assert {p.name for p in out.glob("*.png") if p.stat().st_mtime_ns != stamps[p.name]} == {"2.png"}
    assert "had other settings (kind was 'a', now 'b')" in child(archive, out, kind="b").stderr


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="needs Ray; install gpen[ray]")
def test_a_picture_that_ends_its_workers_is_a_row_that_names_it_and_the_others_are_done(archive, tmp_path):
    photograph(archive / "deadly.png", 9, size=(32, 13))
    ended = said(child(archive, tmp_path / "out"))
    assert ended["done"] == 6
    (told,) = [reason for reason in ended["failed"] if "deadly.png" in reason]
    assert f"ended {MOST} processes, each while it was being restored" in told


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="needs Ray; install gpen[ray]")
def test_workers_that_end_while_they_load_their_networks_end_the_run_with_a_line(archive, tmp_path):
    ended = child(archive, tmp_path / "out", kind="unloadable")
    assert ended.returncode != 0
    assert "workers ended while they loaded the networks" in ended.stderr.splitlines()[-1]


def test_without_ray_the_extra_is_named(archive, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingPackageError, match=r"gpen\[ray\]"):
        bulk([str(archive)], str(tmp_path / "out"))
