"""Training sets in shards: the same faces at once, from the middle, for any number of ranks and workers, from afar."""

from __future__ import annotations

import itertools
import json
import re
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from training_runs import make_faces
from training_scripts import script

from gpen_core.data import Degradation, FaceFolder, Feed, plan, shares
from gpen_core.data.shards import INDEX, write_index, write_shards
from gpen_core.errors import MissingPackageError, TrainingError


def sharded(folder: Path, count: int = 12, shard_bytes: int = 6_000) -> Path:
    make_faces(folder / "faces", count)
    assert write_shards(folder / "faces", folder / "shards", shard_bytes=shard_bytes) == count
    return folder / "shards"


def test_shards_hold_the_folder_s_faces_and_are_the_same_bytes_every_time(tmp_path):
    shards = sharded(tmp_path)
    assert len(list(shards.glob("*.tar"))) > 2
    plain, packed = FaceFolder(tmp_path / "faces", 16), FaceFolder(shards, 16)
    assert all(torch.equal(plain.load(i), packed.load(i)) for i in range(12))
    assert [e.name.split("/", 1)[1] for e in packed.entries] == [e.name for e in plain.entries]
    again = tmp_path / "again"
    write_shards(tmp_path / "faces", again, shard_bytes=6_000)
    assert all(p.read_bytes() == (shards / p.name).read_bytes() for p in again.iterdir())


def test_another_reader_finds_them_too(tmp_path):
    shards = sharded(tmp_path)
    names = []
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as archive:
            names += archive.getnames()
    assert names == sorted(p.name for p in (tmp_path / "faces").iterdir())


def test_with_an_index_no_shard_is_opened_at_the_start(tmp_path, monkeypatch):
    shards = sharded(tmp_path)
    monkeypatch.setattr("gpen_core.archives.tarfile.open", None)
    monkeypatch.setattr("gpen_core.archives.Entry.read", lambda entry: entry.file.read_bytes())
    assert len(FaceFolder(shards, 16)) == 12


def test_without_an_index_shards_are_read_through_and_a_stale_one_is_said(tmp_path):
    shards = sharded(tmp_path)
    names = [e.name for e in FaceFolder(shards, 16).entries]
    index = (shards / INDEX).read_text()
    (shards / INDEX).unlink()
    assert [e.name for e in FaceFolder(shards, 16).entries] == names
    stale = json.loads(index)
    stale["shards"]["faces-000001.tar"]["bytes"] += 1
    (shards / INDEX).write_text(json.dumps(stale))
    with pytest.warns(RuntimeWarning, match="faces-000001.tar has changed since its index was made"):
        assert [e.name for e in FaceFolder(shards, 16).entries] == names
    assert write_index(shards) == 12
    assert (shards / INDEX).read_text() == index
    (shards / INDEX).write_text("{}")
    with pytest.raises(TrainingError, match=r"index .* is damaged.*training/shard.py"):
        FaceFolder(shards, 16)


def test_a_face_that_is_too_small_is_named_from_the_index(tmp_path):
    make_faces(tmp_path / "faces", 3)
    make_faces(tmp_path / "faces" / "small", 1, size=8)
    write_shards(tmp_path / "faces", tmp_path / "shards", shard_bytes=10**6)
    with pytest.raises(TrainingError, match=r"faces-000000.tar/small/face_0.png \(8×8\)"):
        FaceFolder(tmp_path / "shards", 16)


@pytest.mark.parametrize("start", [0, 7, 13])
def test_a_run_goes_on_at_any_sample_in_the_same_order_with_any_ranks(start, tmp_path):
    faces = FaceFolder(sharded(tmp_path), 16)
    feed = Feed(faces, Degradation("none"), seed=5)
    straight = torch.cat([feed[[p]].clean for p in range(24)])
    for ranks in (2, 3):
        turns = len(shares(6, 2, ranks)[0])
        plans = [plan(start, size=2, step=6, rank=r, ranks=ranks) for r in range(ranks)]
        batches = [feed[b] for mine in plans for b in itertools.islice(mine, turns)]
        batches.sort(key=lambda b: b.position)
        assert torch.equal(torch.cat([b.clean for b in batches]), straight[start : start + 6])


def test_none_comes_twice_in_an_epoch_across_a_resume_with_other_ranks(tmp_path):
    faces = FaceFolder(sharded(tmp_path), 16)
    feed = Feed(faces, Degradation("none"), seed=5)
    taken: list[int] = []
    for start, ranks, steps in ((0, 2, 1), (4, 3, 2)):
        for rank in range(ranks):
            mine = plan(start, size=2, step=4, rank=rank, ranks=ranks)
            taken += [p for b in itertools.islice(mine, steps * len(shares(4, 2, ranks)[0])) for p in b]
    assert sorted(feed.index(p) for p in taken) == list(range(12))


def test_an_index_is_found_from_afar_as_from_here(tmp_path, monkeypatch):
    far = fsspec.filesystem("memory")
    far.put(str(sharded(tmp_path)), "/indexed/set", recursive=True)
    monkeypatch.setattr("gpen_core.data.folder.faces_in", lambda *shard: pytest.fail("a shard was read through"))
    assert [len(FaceFolder(f"memory://indexed/{name}", 16)) for name in ("set", "set/", "")] == [12] * 3
    far.rm("/indexed", recursive=True)


def test_faces_come_from_afar_as_from_here(tmp_path):
    shards = sharded(tmp_path)
    far = fsspec.filesystem("memory")
    far.put(str(shards), "/training/set", recursive=True)
    far.put(str(tmp_path / "faces"), "/training/files", recursive=True)
    here = FaceFolder(shards, 16)
    for address in ("memory://training/set", "memory://training/files"):
        there = FaceFolder(address, 16)
        assert all(torch.equal(here.load(i), there.load(i)) for i in range(12))
    assert FaceFolder("memory://training/set", 16).fingerprint == here.fingerprint


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff\xfe\x00", b"[]", b'{"shards": [1]}', b'{"shards": {"a.tar": {}}}', b'{"shards": {"a.tar": 1}}'),
        b'{"shards": {"a.tar": {"bytes": 1, "pictures": null}}}',
        b'{"shards": {"a.tar": {"bytes": "1", "pictures": []}}}',
        b'{"shards": {"a.tar": {"bytes": 1, "pictures": [["a.png", 0, 1, 16]]}}}',
        b'{"shards": {"a.tar": {"bytes": 1, "pictures": [["a.png", "0", 1, 16, 16]]}}}',
    ],
)
def test_a_damaged_index_is_refused_in_a_line_with_the_remedy(tmp_path, content):
    shards = sharded(tmp_path)
    (shards / INDEX).write_bytes(content)
    with pytest.raises(TrainingError, match=r"shards\.json is damaged \(.*\); make it anew: training/shard\.py$"):
        FaceFolder(shards, 16)


class HttpError(Exception):
    """As gcsfs has one: no OSError."""


def test_a_picture_that_cannot_be_had_from_afar_is_replaced_by_the_next(tmp_path, monkeypatch):
    far = fsspec.filesystem("memory")
    far.put(str(make_faces(tmp_path, 3)), "/training/broken", recursive=True)
    faces, whole = FaceFolder("memory://training/broken", 16), type(far).cat_file

    def cat_file(self, path, **place):
        if "face_1" in path:
            raise HttpError("503: try again later")
        return whole(self, path, **place)

    monkeypatch.setattr(type(far), "cat_file", cat_file)
    with pytest.warns(RuntimeWarning, match=r"face_1\.png cannot be read \(503: try again later\); another picture"):
        picture = faces.load(1)
    assert torch.equal(picture, faces.load(2))
    assert FaceFolder("memory://training/broken", 16).unreadable == ["face_1.png"]


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("open", "the archive memory:///training/refused/faces-000000.tar cannot be read (503: try again later)"),
        ("find", "memory://training/refused cannot be read (503: try again later); is the address right?"),
        ("cat_file", "the index memory://training/refused/shards.json cannot be read (503: try again later)"),
    ],
)
def test_shards_that_cannot_be_had_from_afar_are_refused_in_a_line(called, said, tmp_path, monkeypatch):
    def refuse(self, *place, **how):
        raise HttpError("503: try again later")

    far = fsspec.filesystem("memory")
    write_shards(make_faces(tmp_path / "in"), tmp_path / "out", shard_bytes=10**6)
    if called == "open":
        (tmp_path / "out" / INDEX).unlink()
    far.put(str(tmp_path / "out"), "/training/refused", recursive=True)
    monkeypatch.setattr(type(far), called, refuse)
    try:
        with pytest.raises(TrainingError, match=re.escape(said)):
            FaceFolder("memory://training/refused", 16)
    finally:
        monkeypatch.undo()
        far.rm("/training/refused", recursive=True)


def test_an_address_that_nothing_reaches_is_refused_in_a_line():
    with pytest.raises(MissingPackageError, match="nowhere://faces cannot be reached"):
        FaceFolder("nowhere://faces", 16)
    with pytest.raises(TrainingError, match="memory://empty holds no pictures"):
        FaceFolder("memory://empty", 16)


def test_prepare_and_shard_write_shards_with_an_index(tmp_path, monkeypatch, capsys):
    prepare, shard = script("prepare.py"), script("shard.py")
    prepare.pack(make_faces(tmp_path / "train"), 10**6)
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == ["faces-000000.tar", INDEX]
    (tmp_path / "train" / INDEX).unlink()
    monkeypatch.setattr("sys.argv", ["shard.py", str(tmp_path / "train"), "--index"])
    shard.main()
    assert capsys.readouterr().out == "6 pictures\n"
    assert len(FaceFolder(tmp_path / "train", 16)) == 6
    with pytest.raises(TrainingError, match="holds shards already"):
        write_shards(make_faces(tmp_path / "more"), tmp_path / "train", shard_bytes=10**6)


def test_seventy_thousand_entries_are_known_by_their_index_alone(tmp_path, monkeypatch):
    picture = np.zeros((16, 16, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "one.png")
    write_shards(tmp_path, tmp_path / "shards", shard_bytes=10**6)
    index = json.loads((tmp_path / "shards" / INDEX).read_text())
    shard = index["shards"]["faces-000000.tar"]
    shard["pictures"] = [[f"{n:06d}.png", *shard["pictures"][0][1:]] for n in range(70_000)]
    (tmp_path / "shards" / INDEX).write_text(json.dumps(index))
    monkeypatch.setattr(tarfile, "open", lambda *given, **named: pytest.fail("a shard is walked through"))
    faces = FaceFolder(tmp_path / "shards", 16)
    assert np.array_equal(faces.load(69_999), picture.transpose(2, 0, 1))
    assert len(faces) == 70_000


def test_an_index_of_no_shards_is_refused_and_no_folder_made_for_it(tmp_path):
    with pytest.raises(TrainingError, match="holds no shards"):
        write_index(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()
