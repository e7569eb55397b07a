"""Many pictures: every one once, in its place, reported; kills, broken files and full disks included."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_batches import OPTIONS, RESTORER, one_face, photograph, report_of, run

from gpen_core.batch import collect, finding, is_film, restoring
from gpen_core.errors import FaceError, InputError, PictureError
from gpen_core.images import Picture, as_picture, read_picture
from gpen_core.images.metadata import Provenance
from gpen_core.options import Selection

# ---- what is to be done


def test_folders_keep_their_structure_and_everything_is_found_once(tmp_path):
    for name in ("a.png", "sub/b.jpg", "sub/deep/c.tif"):
        photograph(tmp_path / "in" / name, 1)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    items = collect([tmp_path / "in", tmp_path / "in" / "a.png", str(tmp_path / "in" / "*.png")], tmp_path / "out")
    assert [i.target.relative_to(tmp_path / "out").as_posix() for i in items] == [
        "a.png",
        "sub/b.jpg",
        "sub/deep/c.tif",
    ]


def test_patterns_find_pictures_in_folders_below(tmp_path):
    photograph(tmp_path / "x" / "a.png", 1)
    photograph(tmp_path / "x" / "y" / "b.png", 1)
    assert len(collect([str(tmp_path / "**" / "*.png")], tmp_path / "out")) == 2


def test_results_inside_the_folder_of_inputs_are_not_inputs(tmp_path):
    photograph(tmp_path / "a.png", 1)
    photograph(tmp_path / "restored" / "a.png", 1)
    assert len(collect([tmp_path], tmp_path / "restored")) == 1


def test_two_pictures_that_would_have_one_name_are_refused(tmp_path):
    for name in ("one/a.png", "two/a.png", "three/b.jpg", "three/b.png"):
        photograph(tmp_path / name, 1)
    with pytest.raises(InputError, match="would both become"):
        collect([tmp_path / "one" / "a.png", tmp_path / "two" / "a.png"], tmp_path / "out")
    assert len(collect([tmp_path / "three"], tmp_path / "out")) == 2


def test_nothing_missing_or_written_over_goes_unsaid(tmp_path):
    (tmp_path / "empty").mkdir()
    photograph(tmp_path / "in" / "a.png", 1)
    photograph(tmp_path / "in" / "b.png", 1)
    with pytest.raises(InputError, match="no picture found"):
        collect([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        collect([tmp_path / "none.png"], tmp_path / "out")
    with pytest.raises(PictureError, match="overwrite"):
        collect([tmp_path / "in"], tmp_path / "in")
    assert len(collect([tmp_path / "in"], tmp_path / "in", overwrite=True)) == 2
    with pytest.raises(InputError, match="give a folder"):
        collect([tmp_path / "in"], tmp_path / "in" / "a.png")


def test_one_picture_may_name_its_result(tmp_path):
    photograph(tmp_path / "a.png", 1)
    assert collect([tmp_path / "a.png"], tmp_path / "b.jpg")[0].target == tmp_path / "b.jpg"
    assert collect([tmp_path / "a.png"], tmp_path / "b")[0].target == tmp_path / "b" / "a.png"


def test_films_are_told_by_their_names_and_else_by_what_they_begin_with(tmp_path):
    assert is_film("a.MP4")
    assert is_film("phone.3gp")
    assert not is_film("a.jpg")
    transport = b"".join(bytes(4) + b"\x47" + bytes(187) for _ in range(5))
    for name, head in {
        "matroska": b"\x1a\x45\xdf\xa3" + bytes(40),
        "disc.dat": b"\x00\x00\x01\xba" + bytes(40),
        "camera.mts": transport,
        "moved.txt": bytes(4) + b"ftypisom" + bytes(40),
    }.items():
        (tmp_path / name).write_bytes(head)
        assert is_film(tmp_path / name), name
    for name, head in {
        "module.ts": b"export const a = 'GGGGGGGG';\n" * 40,
        "sound.m4a": bytes(4) + b"ftypM4A ",
        "sound": bytes(4) + b"ftypM4A ",
        "photo": bytes(4) + b"ftypheic",
        "empty.ts": b"",
    }.items():
        (tmp_path / name).write_bytes(head)
        assert not is_film(tmp_path / name), name
    os.mkfifo(tmp_path / "pipe")
    assert not is_film(tmp_path / "pipe")
    assert not is_film(tmp_path)


# ---- the run


def test_outside_the_faces_files_keep_every_pixel_and_faceless_ones_every_byte(tmp_path):
    photograph(tmp_path / "in" / "face.png", 1)
    photograph(tmp_path / "in" / "dark.jpg", 2, bright=False)
    summary = run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out")
    assert (summary.done, summary.faces, summary.failed) == (2, 1, ())
    assert (tmp_path / "in" / "dark.jpg").read_bytes() == (tmp_path / "out" / "dark.jpg").read_bytes()
    before, after = (read_picture(tmp_path / name / "face.png").pixels for name in ("in", "out"))
    changed = np.argwhere((before != after).any(axis=2))
    assert len(changed) > 100
    result = RESTORER.restore(tmp_path / "in" / "face.png", OPTIONS)
    x1, y1, x2, y2 = result.faces[0].rectangle
    assert (changed.min(axis=0) >= (y1, x1)).all()
    assert (changed.max(axis=0) < (y2, x2)).all()
    np.testing.assert_array_equal(result.picture.pixels, after)


def test_the_report_holds_a_row_per_picture_and_face(tmp_path):
    photograph(tmp_path / "in" / "face.png", 1)
    photograph(tmp_path / "in" / "dark.png", 2, bright=False)
    (tmp_path / "in" / "text.jpg").write_text("not a picture")
    summary = run(
        collect([tmp_path / "in"], tmp_path / "out"),
        tmp_path / "out",
        settings={"model": "negative"},
        figures=(lambda face, picture: {"sharpness_before": 1.23456, "strength": picture.width / 160},),
    )
    report = report_of(tmp_path / "out")
    assert report["settings"] == {"model": "negative"}
    assert report["totals"] == {"pictures": 3, "restored": 1, "copied": 1, "converted": 0, "failed": 1, "faces": 1}
    dark, face, text = report["pictures"]
    assert (dark["status"], dark["reason"], text["status"]) == ("copied", "no face found", "failed")
    assert "is not a picture" in text["reason"]
    assert face["faces"][0]["box"] == [25.0, 15.0, 55.0, 45.0]
    assert face["faces"][0]["score"] == 0.97
    assert face["faces"][0]["strength"] == 0.5
    assert face["faces"][0]["sharpness_before"] == 1.2346
    assert set(face["seconds"]) == {"decode", "restore", "encode"}
    assert [row.input for row in summary.failed] == [text["input"]]
    assert not (tmp_path / "out" / "text.jpg").exists()


def test_a_picture_that_the_process_refuses_does_not_take_its_neighbours_along(tmp_path):
    for index in range(6):
        photograph(tmp_path / "in" / f"{index}.png", index)

    def picky(pictures):
        if any(picture.path.stem == "3" for picture in pictures):
            raise FaceError("3 is refused")
        return restoring(RESTORER, OPTIONS)(pictures)

    summary = run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out", picky, group=4)
    assert (summary.done, [Path(row.input).stem for row in summary.failed]) == (5, ["3"])
    assert len(list((tmp_path / "out").glob("*.png"))) == 5


def test_groups_of_pictures_give_what_single_ones_give(tmp_path):
    for index in range(5):
        photograph(tmp_path / "in" / f"{index}.png", index)
    for group in (1, 3):
        run(collect([tmp_path / "in"], tmp_path / str(group)), tmp_path / str(group), group=group)
    for index in range(5):
        one, three = (read_picture(tmp_path / group / f"{index}.png").pixels for group in ("1", "3"))
        np.testing.assert_array_equal(one, three)


def test_compare_faces_and_provenance_are_written_when_asked(tmp_path):
    photograph(tmp_path / "in" / "sub" / "a.png", 1)
    provenance = Provenance(model="negative", version="1")
    run(
        collect([tmp_path / "in"], tmp_path / "out"),
        tmp_path / "out",
        compare=True,
        save_faces=True,
        provenance=provenance,
    )
    out = tmp_path / "out"
    assert read_picture(out / "compare" / "sub" / "a.jpg").width == 2 * 80 + 8
    before, after = (read_picture(out / "faces" / "sub" / f"a_00_{name}.png").pixels for name in ("before", "after"))
    assert np.abs(255 - before.astype(int) - after).max() <= 1
    assert "negative" in read_picture(out / "sub" / "a.png").text["Processing"]


def test_a_preview_draws_the_faces_and_leaves_the_rest(tmp_path):
    photograph(tmp_path / "a.png", 1, size=(200, 200))
    run(collect([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out", finding(one_face, Selection()), preview=True)
    before, after = read_picture(tmp_path / "a.png").pixels, read_picture(tmp_path / "out" / "a.png").pixels
    assert tuple(after[50, 100]) == (255, 176, 0)
    assert (before != after).any(axis=2).mean() < 0.1
    assert report_of(tmp_path / "out")["pictures"][0]["faces"][0]["score"] == 0.97


def test_larger_results_are_cut_from_the_plainly_enlarged_picture(tmp_path):
    photograph(tmp_path / "a.png", 1)
    process = restoring(RESTORER, OPTIONS, scale=2)
    run(collect([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out", process)
    after = read_picture(tmp_path / "out" / "a.png")
    assert (after.width, after.height) == (160, 120)
    plain = np.asarray(Image.open(tmp_path / "a.png").resize((160, 120), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(after.pixels[:8], plain[:8])


def test_aligned_faces_go_through_at_their_own_size(tmp_path):
    photograph(tmp_path / "in" / "face.png", 1, size=(64, 64))
    photograph(tmp_path / "in" / "wide.png", 2)
    summary = run(
        collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out", restoring(RESTORER, OPTIONS, aligned=True)
    )
    before, after = (read_picture(tmp_path / name / "face.png").pixels for name in ("in", "out"))
    assert np.abs(255 - before.astype(int) - after).max() <= 1
    assert "an aligned face is square" in str(summary.failed[0].reason)


def test_a_process_may_be_anything_that_gives_pictures_back(tmp_path):
    photograph(tmp_path / "a.png", 1)

    class Flipped:
        faces = ()
        changed = True

        def __init__(self, picture: Picture) -> None:
            self.picture = picture.with_pixels(np.ascontiguousarray(picture.pixels[:, ::-1]))

    run(collect([tmp_path / "a.png"], tmp_path / "out"), tmp_path / "out", lambda ps: [Flipped(p) for p in ps])
    given = as_picture(np.asarray(Image.open(tmp_path / "a.png")))
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "a.png").pixels, given.pixels[:, ::-1])
