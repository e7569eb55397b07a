"""What is no picture, or cannot be written, is said in one line and harms nothing."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_pictures import noise, smooth

from gpen_core.errors import InputError, PictureError
from gpen_core.images import (
    as_picture,
    convert_like,
    copy_picture,
    read_picture,
    write_picture,
)
from gpen_core.images.writing import whole_file

# ---- reading


def test_what_is_no_picture_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.jpg").write_text("this is not a picture\n" * 20)
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in (
        ("text.jpg", "is not a picture"),
        ("empty.png", "is empty"),
        ("none.jpg", "no such file"),
        (".", "folder"),
    ):
        with pytest.raises(PictureError, match=words) as caught:
            read_picture(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_unless_what_decodes_is_wanted(tmp_path, progressive):
    stream = io.BytesIO()
    Image.fromarray(smooth(128, 128)).save(stream, "JPEG", quality=90, progressive=progressive)
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) * 2 // 3])
    with pytest.raises(PictureError, match="allow-truncated"):
        read_picture(tmp_path / "cut.jpg")
    picture = read_picture(tmp_path / "cut.jpg", allow_truncated=True)
    assert "cut short" in picture.notes[-1]
    assert np.abs(picture.pixels[:40].astype(int) - smooth(128, 128)[:40]).mean() < 12


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_truncated_png_gives_its_first_rows_when_asked(tmp_path, dtype):
    picture = as_picture(noise(60, 60, 3, dtype))
    picture.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(PictureError, match="cut short"):
        read_picture(tmp_path / "a.png")
    read = read_picture(tmp_path / "a.png", allow_truncated=True)
    np.testing.assert_array_equal(read.pixels[:20], picture.pixels[:20])


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">LLBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">L", 13) + chunk + struct.pack(">L", zlib.crc32(chunk))
    idat = b"IDAT" + zlib.compress(b"\0" * 100)
    bomb += struct.pack(">L", len(idat) - 4) + idat + struct.pack(">L", zlib.crc32(idat))
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(PictureError, match=r"10000 million.*limit is 500 million"):
        read_picture(tmp_path / "bomb.png")
    as_picture(noise(20, 20)).save(tmp_path / "small.png")
    with pytest.raises(PictureError, match="max-pixels"):
        read_picture(tmp_path / "small.png", max_pixels=399)
    assert read_picture(tmp_path / "small.png", max_pixels=400).width == 20


@pytest.mark.slow
def test_twenty_thousand_pixels_square_go_through(tmp_path):
    Image.new("1", (20_000, 20_000), 1).save(tmp_path / "large.png")
    picture = read_picture(tmp_path / "large.png")
    assert picture.pixels.shape == (20_000, 20_000, 3)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4, 3), np.nan, np.float32), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "infinity"),
        (np.full((4, 4, 3), 200.0, np.float32), "divide"),
        (np.full((4, 4, 3), -1.6, np.float32), "expected"),
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((2, 3, 4, 4), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.zeros((4, 4, 3), bool), "bool"),
        ([[1, 2], [3, 4]], "list"),
        (torch.zeros(1, 3, 4, 4), "shape"),
        (torch.zeros(8, 8, 3), "shape"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(array, words):
    with pytest.raises(InputError, match=words):
        as_picture(array)


def test_floats_that_overshoot_a_little_are_taken():
    assert as_picture(np.full((2, 2, 3), 1.4, np.float64)).pixels.dtype == np.float32


def test_the_result_is_of_the_kind_that_was_given():
    for given_array in (noise(5, 6), noise(5, 6, 4), noise(5, 6, 1)[..., 0], noise(5, 6, 3, np.uint16), noise(5, 6, 1)):
        back = convert_like(as_picture(given_array), given_array)
        assert back.dtype == given_array.dtype
        np.testing.assert_array_equal(back, given_array)
    tensor = torch.rand(3, 5, 6)
    torch.testing.assert_close(convert_like(as_picture(tensor), tensor), tensor, rtol=0, atol=0)
    assert convert_like(as_picture(tensor.half()), tensor.half()).dtype == torch.float16
    for mode in ("L", "LA", "RGB", "RGBA"):
        image = Image.fromarray(smooth(5, 6)).convert(mode)
        assert convert_like(as_picture(image), image).mode == mode
    picture = as_picture(tensor)
    assert convert_like(picture, "path.png") is picture


# ---- writing


def test_writing_over_the_input_takes_an_explicit_word(tmp_path):
    as_picture(noise(8, 8)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path / "x" / ".." / "a.png"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(PictureError, match="overwrite"):
            picture.save(path)
    with pytest.raises(PictureError, match="overwrite"):
        copy_picture(tmp_path / "a.png", tmp_path / "a.png")
    picture.save(tmp_path / "a.png", overwrite=True)


def test_a_copy_is_the_same_byte_for_byte(tmp_path):
    as_picture(noise(8, 8)).save(tmp_path / "a.png")
    copy_picture(tmp_path / "a.png", tmp_path / "sub" / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "sub" / "b.png").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")

    def fail_half_way() -> None:
        with whole_file(tmp_path / "a.bin") as file:
            file.write(b"new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    really_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *a, **k: really_open(Path("/dev/full") if self.suffix == ".part" else self, *a, **k)
    )
    with pytest.raises(PictureError, match="no space left"):
        write_picture(as_picture(noise(64, 64)), tmp_path / "a.png")
    with pytest.raises(PictureError, match="no space left"):
        write_picture(as_picture(noise(64, 64, 3, np.uint16)), tmp_path / "a.tif")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_or_quality_is_refused(tmp_path):
    picture = as_picture(noise(8, 8))
    with pytest.raises(PictureError, match=r"\.xyz"):
        picture.save(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="quality is 0"):
        picture.save(tmp_path / "a.jpg", quality=0)
    with pytest.raises(PictureError, match="cannot be written as WEBP"):
        as_picture(np.zeros((1, 17_000, 3), np.uint8)).save(tmp_path / "wide.webp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("low", "high", "remedy"),
    [(-1, 1, r"\(x \+ 1\) / 2"), (-0.6, 0.9, r"\(x \+ 1\) / 2"), (0, 255, "divide"), (-255, 255, "divide")],
)
def test_floats_of_another_range_are_refused_with_the_way_to_ours(low, high, remedy):
    values = np.linspace(low, high, 48, dtype=np.float32).reshape(4, 4, 3)
    for given in (values, torch.from_numpy(values).movedim(-1, 0)):
        with pytest.raises(InputError, match=rf"from {low:g} to {high:g}; expected \[0, 1\] \(.*{remedy}"):
            as_picture(given)


def test_floats_that_ring_beyond_black_and_white_are_a_picture():
    stripes = torch.zeros(1, 3, 12, 12)
    stripes[..., ::2, :] = 1
    ringing = torch.nn.functional.interpolate(stripes, scale_factor=2.3, mode="bicubic")[0]
    assert ringing.max() > 1.1
    np.testing.assert_array_equal(as_picture(ringing).pixels, ringing.movedim(0, -1))
