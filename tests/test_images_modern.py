"""Pictures of phones and cameras: HEIF and AVIF of ten bits, JPEG XL, camera RAW."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpen_core.batch.naming import result_names
from gpen_core.errors import MissingPackageError, PictureError
from gpen_core.images import Picture, read_picture, write_picture
from gpen_core.images.jpeg_xl import size_of_jpeg_xl
from gpen_core.images.reading import claims_of

#: An orientation of 6, and a maker's name.
EXIF = (
    b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIHH", 0x112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x10F, 2, 4, b"abc\0")
)
EXIF += bytes(4)


def ten_bits(height: int = 48, width: int = 64) -> np.ndarray:
    """(H, W, 3) of 0 to 1023: a soft shade in every level."""
    shade = np.linspace(0, 1023, height * width).reshape(height, width)
    return np.stack([shade, shade * 0.9 + 50, shade * 0.8 + 100], 2).astype(np.uint16)


def over_sixteen(values: np.ndarray) -> np.ndarray:
    return np.rint(values * (65535 / 1023)).astype(np.uint16)


def test_ten_bits_of_heif_come_in_and_go_out(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    values = ten_bits()
    picture = Picture(pixels=over_sixteen(values), exif=EXIF.replace(b"\x06\0\0\0", b"\x01\0\0\0"), format="HEIF")
    assert write_picture(picture, tmp_path / "a.heic", quality=100) == ()
    read = read_picture(tmp_path / "a.heic")
    assert read.pixels.dtype == np.uint16
    levels = np.rint(read.pixels * (1023 / 65535)).astype(int)
    assert np.abs(levels - values).mean() < 2
    assert len(np.unique(levels[..., 0])) > 500
    assert b"abc\0" in read.exif
    other = Picture(pixels=over_sixteen(values), alpha=np.full((48, 64), 65535, np.uint16))
    assert "written in 10 bits" in " ".join(write_picture(other, tmp_path / "b.heic"))
    assert read_picture(tmp_path / "b.heic").alpha is not None


def test_ten_bits_of_avif_come_in_and_eight_go_out_with_a_note(tmp_path: Path) -> None:
    codecs = pytest.importorskip("imagecodecs")
    values = ten_bits()
    (tmp_path / "a.avif").write_bytes(codecs.avif_encode(values, level=100, bitspersample=10))
    read = read_picture(tmp_path / "a.avif")
    np.testing.assert_array_equal(read.pixels, over_sixteen(values))
    assert "rounded to them" in " ".join(write_picture(read, tmp_path / "b.avif"))


def test_without_its_package_avif_is_read_in_eight_and_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codecs = pytest.importorskip("imagecodecs")
    (tmp_path / "a.avif").write_bytes(codecs.avif_encode(ten_bits(), level=100, bitspersample=10))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    read = read_picture(tmp_path / "a.avif")
    assert read.pixels.dtype == np.uint8
    assert "gpen[avif]" in read.notes[0]


def jpeg_xl(pixels: np.ndarray, **settings: object) -> bytes:
    pytest.importorskip("pillow_jxl")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JXL", lossless=True, **settings)
    return file.getvalue()


def test_jpeg_xl_is_read_with_its_bits_and_not_turned_twice(tmp_path: Path) -> None:
    codecs = pytest.importorskip("imagecodecs")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    (tmp_path / "a.jxl").write_bytes(jpeg_xl(pixels, exif=EXIF))
    read = read_picture(tmp_path / "a.jxl")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert b"abc\0" in read.exif
    deep = np.random.default_rng(0).integers(0, 65536, (40, 56, 3), np.uint16)
    (tmp_path / "b.jxl").write_bytes(codecs.jpegxl_encode(deep, lossless=True))
    np.testing.assert_array_equal(read_picture(tmp_path / "b.jxl").pixels, deep)
    assert claims_of(tmp_path / "b.jxl") == (56, 40, 1)
    assert result_names([Path("a.jxl")], None) == [Path("a.png")]


def test_a_jpeg_xl_that_claims_too_much_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    bits = 0b0 | 0b11 << 1 | ((1 << 30) - 1) << 3 | 1 << 33  # not small, 30 bits of height, as wide as high
    data = b"\xff\x0a" + bits.to_bytes(12, "little")
    assert size_of_jpeg_xl(data, Path("a.jxl")) == (1 << 30, 1 << 30)
    (tmp_path / "a.jxl").write_bytes(data)
    with pytest.raises(PictureError, match="claims 1073741824×1073741824 pixels"):
        read_picture(tmp_path / "a.jxl")
    (tmp_path / "b.jxl").write_bytes(data[:5])
    with pytest.raises(PictureError, match="damaged or cut short"):
        read_picture(tmp_path / "b.jxl")


@pytest.mark.parametrize("size", [(8, 8), (256, 256), (300, 200), (199, 1000), (1600, 900), (5000, 3)])
def test_the_header_of_jpeg_xl_tells_its_size(size: tuple[int, int]) -> None:
    width, height = size
    assert size_of_jpeg_xl(jpeg_xl(np.zeros((height, width, 3), np.uint8)), Path("a.jxl")) == size


def negative(path: Path) -> bytes:
    """A small DNG of a shade, as a camera writes it: one colour a pixel, 14 bits."""
    tifffile = pytest.importorskip("tifffile")
    rows, columns = np.mgrid[:96, :128]
    matrix = [value for row in range(3) for column in range(3) for value in (int(row == column), 1)]
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "Test", True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50721, "2i", 9, tuple(matrix), True),
        (50717, "I", 1, 16383, True),
        (50728, "2I", 3, (1,) * 6, True),
    ]
    shade = (500 + rows * 60 + columns * 70).astype(np.uint16)
    tifffile.imwrite(path, shade, photometric=32803, extratags=tags, metadata=None)
    return path.read_bytes()


def test_camera_raw_is_developed_in_sixteen_bits(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    data = negative(tmp_path / "a.dng")
    picture = read_picture(tmp_path / "a.dng")
    assert picture.pixels.shape == (96, 128, 3)
    assert picture.pixels.dtype == np.uint16
    grey = picture.pixels[8:-8, 8:-8].astype(float).mean(2)
    assert (np.diff(grey, axis=1) > 0).mean() > 0.9
    assert claims_of(tmp_path / "a.dng") == (128, 96, 1)
    assert result_names([Path("a.DNG")], None) == [Path("a.png")]
    (tmp_path / "b.nef").write_bytes(data[:300])
    with pytest.raises(PictureError, match="damaged"):
        read_picture(tmp_path / "b.nef")


@pytest.mark.parametrize(
    ("name", "data", "module", "extra"),
    [
        ("a.heic", b"\0\0\0\x1cftypheic" + bytes(40), "pillow_heif", "heif"),
        ("a.jxl", b"\xff\x0a\x01\0\0\0\0\0\0\0\0\0\0\0\0\0", "pillow_jxl", "jxl"),
        ("a.nef", b"II*\0" + bytes(40), "rawpy", "raw"),
    ],
)
def test_a_reader_that_is_missing_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)  # which writing HEIF brings
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MissingPackageError, match=rf"gpen\[{extra}\]"):
        read_picture(tmp_path / name)
    assert claims_of(tmp_path / name)[2] in (0, 1)
