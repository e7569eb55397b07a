"""Folders, shards and their order; and commands given a folder that will not do."""

from __future__ import annotations

import io
import itertools
import os
import platform
import subprocess
import sys
import tarfile

import pytest
import torch
from PIL import Image
from training_runs import make_faces

from gpen_core.cli.main import main
from gpen_core.data import Degradation, FaceFolder, Feed, plan, read_weights
from gpen_core.data.order import Order
from gpen_core.errors import InputError, TrainingError


def test_each_pass_shows_every_picture_once_in_another_order():
    order = Order(10, seed=1)
    passes = [[order[p] for p in range(first, first + 10)] for first in (0, 10, 20)]
    assert all(sorted(one) == list(range(10)) for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert [Order(10, seed=1)[p] for p in range(20, 30)] == passes[2]


def test_weights_decide_how_often_a_picture_comes():
    order = Order(3, seed=0, weights=[1, 0, 3])
    drawn = [order[p] for p in range(4000)]
    assert drawn.count(1) == 0
    assert drawn.count(2) / len(drawn) == pytest.approx(0.75, abs=0.03)
    with pytest.raises(InputError, match="2 weights for 3 pictures"):
        Order(3, seed=0, weights=[1, 2])


def test_the_ranks_together_take_every_position_once():
    ranks = [plan(100, size=2, step=12, rank=r, ranks=3) for r in range(3)]
    taken = [p for rank in ranks for positions in itertools.islice(rank, 4) for p in positions]
    assert sorted(taken) == list(range(100, 124))


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_and_devices_see_the_same_pairs(tmp_path, workers):
    faces = FaceFolder(make_faces(tmp_path), 16)
    degradation = Degradation("gpen-released", jpeg="torch")
    plain = Feed(faces, degradation, seed=4)
    other = Feed(faces, degradation, seed=4, on_device=workers == 0)
    for a, b in zip(
        plain.batches(plan(6, size=2)),
        itertools.islice(other.batches(plan(6, size=2), workers=workers), 3),
        strict=False,
    ):
        device = torch.device("cpu")
        one, two = plain.finish(a, device, torch.float32), other.finish(b, device, torch.float32)
        assert one.position == two.position
        assert torch.equal(one.clean, two.clean)
        assert torch.allclose(one.damaged, two.damaged, atol=1e-5)


def test_shards_and_folders_hold_the_same_faces(tmp_path):
    files = make_faces(tmp_path / "files", 4)
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "faces-000.tar", "w") as archive:
        for file in sorted(files.iterdir()):
            archive.add(file, file.name)
        text = tarfile.TarInfo("face_0.json")
        text.size = 2
        archive.addfile(text, io.BytesIO(b"{}"))
    plain, sharded = FaceFolder(files, 16), FaceFolder(tmp_path / "shards", 16)
    assert len(plain) == len(sharded) == 4
    assert all(torch.equal(plain.load(i), sharded.load(i)) for i in range(4))


def test_sources_weigh_what_the_csv_says(tmp_path):
    make_faces(tmp_path / "faces" / "studio", 2)
    make_faces(tmp_path / "faces" / "street", 1)
    (tmp_path / "weights.csv").write_text("source,weight\nstudio,0.5\nface,2\n")
    weights = FaceFolder(tmp_path / "faces", 16, weights=read_weights(tmp_path / "weights.csv")).weights
    assert weights == [2.0, 0.5, 0.5]
    (tmp_path / "weights.csv").write_text("source,weight\nstudio,much\n")
    with pytest.raises(TrainingError, match=r"line 2: the weight 'much'"):
        read_weights(tmp_path / "weights.csv")
    for odd in ("nan", "inf", "-1"):
        (tmp_path / "weights.csv").write_text(f"source,weight\nstreet,1\nstudio,{odd}\n")
        with pytest.raises(TrainingError, match=rf"line 3: the weight is {odd}.*; expected 0 or more"):
            read_weights(tmp_path / "weights.csv")
    with pytest.warns(RuntimeWarning, match="no picture in .* is of the source stret, which the weights name"):
        FaceFolder(tmp_path / "faces", 16, weights={"studio": 2.0, "stret": 3.0})


def test_a_file_that_breaks_in_the_middle_is_replaced_by_the_next(tmp_path):
    faces = FaceFolder(make_faces(tmp_path, 3), 16)
    path = tmp_path / "face_1.png"
    path.write_bytes(path.read_bytes()[:80])
    with pytest.warns(RuntimeWarning, match=r"^face_1\.png is damaged [^;]*; another picture takes its place"):
        picture = faces.load(1)
    assert torch.equal(picture, faces.load(2))


def test_unreadable_files_are_listed_at_the_start(tmp_path):
    make_faces(tmp_path, 3)
    (tmp_path / "face_9.png").write_bytes(b"no picture")
    faces = FaceFolder(tmp_path, 16)
    assert faces.unreadable == ["face_9.png"]
    assert len(faces) == 3


def test_larger_pictures_are_shrunk_and_smaller_ones_enlarged_only_if_allowed(tmp_path):
    make_faces(tmp_path, 1, size=32)
    assert FaceFolder(tmp_path, 16).load(0).shape == (3, 16, 16)
    with pytest.raises(TrainingError, match=r"smaller than 64×64: face_0.png \(32×32\).*data.upscale"):
        FaceFolder(tmp_path, 64)
    assert FaceFolder(tmp_path, 64, upscale=True).load(0).shape == (3, 64, 64)


def test_sixteen_bit_and_grey_pictures_become_rgb(tmp_path):
    Image.new("I;16", (16, 16), 32768).save(tmp_path / "deep.png")
    Image.new("LA", (16, 16), (200, 9)).save(tmp_path / "grey.png")
    faces = FaceFolder(tmp_path, 16)
    assert [int(faces.load(i).float().mean()) for i in (0, 1)] == [128, 200]


def test_one_picture_is_enough(tmp_path):
    faces = FaceFolder(make_faces(tmp_path, 1), 16)
    batch = Feed(faces, Degradation("none"), seed=0)[[0, 1, 2]]
    assert batch.clean.shape == (3, 3, 16, 16)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "is not a folder"),
        (lambda folder: folder.mkdir(), "holds no pictures"),
        (lambda folder: (folder.mkdir(), (folder / "a.png").write_bytes(b"x")), "none of the 1 pictures"),
        (lambda folder: (folder.mkdir(), Image.new("RGB", (20, 16)).save(folder / "a.png")), "not square"),
        (lambda folder: (folder.mkdir(), Image.new("RGB", (8, 8)).save(folder / "a.png")), "smaller than 256×256"),
    ],
)
def test_gpen_train_refuses_a_folder_that_will_not_do_in_one_line(tmp_path, capsys, prepare, message):
    prepare(tmp_path / "faces")
    status = main(["train", "prior-256", "--data", str(tmp_path / "faces"), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status != 0
    assert message in error
    assert "Traceback" not in error


def test_gpen_degrade_writes_pictures_and_a_sheet(tmp_path, capsys):
    faces = make_faces(tmp_path / "faces", 3, size=32)
    arguments = [
        "degrade",
        str(faces),
        "-o",
        str(tmp_path / "out"),
        "--sheet",
        str(tmp_path / "sheet.png"),
        "--size",
        "32",
    ]
    assert main([*arguments, "--preset", "balanced", "inpainting"]) == 0
    assert len(list((tmp_path / "out" / "balanced").iterdir())) == 3
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (96, 96)
    assert "clean, balanced, inpainting" in capsys.readouterr().out


def test_gpen_degrade_asks_where_to_write(tmp_path, capsys):
    assert main(["degrade", str(make_faces(tmp_path, 1))]) != 0
    assert "--sheet" in capsys.readouterr().err


def test_gpen_degrade_does_not_write_a_sheet_under_the_name_of_another_format(tmp_path, capsys):
    assert main(["degrade", str(make_faces(tmp_path / "faces", 1)), "--sheet", str(tmp_path / "sheet.jpg")]) == 1
    assert "expected a name that ends in .png" in capsys.readouterr().err
    assert not (tmp_path / "sheet.jpg").exists()


_FAULTS = """
import resource, sys
import torch
from gpen_core.data.feed import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for turn in range(60):
    if turn == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    big = [torch.ones(3, 512, 512) for _ in range(8)]
    del big
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is asked to keep memory")
@pytest.mark.slow
def test_a_worker_keeps_the_memory_of_its_pictures():
    # Without these glibc sets its own limits as a process goes, to the first sizes it sees freed.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    asked = [
        subprocess.run(
            [sys.executable, "-c", _FAULTS, how], env=environment, capture_output=True, text=True, check=True
        )
        for how in ("kept", "given back")
    ]
    kept, given_back = (int(done.stdout) for done in asked)
    assert kept < 2000 < given_back


@pytest.mark.filterwarnings("always:cut.png:RuntimeWarning")
def test_degrade_writes_every_face_under_a_name_of_its_own_and_none_for_another(tmp_path, capsys):
    for folder in ("a", "b"):
        make_faces(tmp_path / "in" / folder, 1)
    (tmp_path / "in" / "a" / "face_0.jpg").write_bytes((tmp_path / "in" / "a" / "face_0.png").read_bytes())
    (tmp_path / "in" / "empty.png").touch()
    whole = (tmp_path / "in" / "a" / "face_0.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    make_faces(tmp_path / "in" / "c", 2)
    make_faces(tmp_path / "cut", 1)
    (tmp_path / "cut" / "cut.png").write_bytes(whole[: len(whole) // 2])  # the first
    command = ["degrade", str(tmp_path / "in"), "--size", "16", "-o"]
    assert main([*command, str(tmp_path / "out")]) == 0
    names = ["a_face_0.jpg.png", "a_face_0.png.png", "b_face_0.png.png", "c_face_0.png.png", "face_1.png"]
    for folder in ("clean", "balanced"):
        assert sorted(path.name for path in (tmp_path / "out" / folder).iterdir()) == names
    said = capsys.readouterr().out
    assert "left out, as they cannot be read: empty.png" in said
    assert "5 faces × 2" in said
    one = ["--count", "1", "--sheet", str(tmp_path / "sheet.png")]
    assert main(["degrade", str(tmp_path / "cut"), "--size", "16", *one]) == 0
    assert main([*command, str(tmp_path / "in" / "out")]) == 1
    assert "lies within" in capsys.readouterr().err
