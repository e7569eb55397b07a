"""Damaged files: a picture, or one line; damaged metadata costs itself, never the picture."""

import contextlib
import gc
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from damaged_pictures import BROKEN_CHUNKS, BROKEN_EXIF, BROKEN_SEGMENTS, FORMATS, HARMS, encoded, exif, png_with
from PIL import Image, ImageFile, JpegImagePlugin
from small_pictures import smooth

from gpen_core.batch.inputs import Item
from gpen_core.batch.results import BatchOptions
from gpen_core.batch.steps import decode
from gpen_core.errors import ConfigError, PictureError, TrainingError
from gpen_core.images import Picture, as_picture, read_picture, write_picture
from gpen_core.images import memory as memory_left
from gpen_core.images.damage import DamageError, guarded
from gpen_core.images.metadata import Provenance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what it finds
BY = Provenance(model="a model", sha256="0" * 64, version="1")
WRITTEN = (".jpg", ".png", ".webp", ".tif", ".avif")


def go_through(path: Path, *, written: tuple[str, ...] = (".jpg", ".png", ".tif")) -> Picture:
    """The picture, after it has been written in some formats and read back."""
    picture = read_picture(path)
    for suffix in written:
        target = path.with_name(f"result{suffix}")
        write_picture(picture, target, provenance=BY)
        assert read_picture(target).pixels.shape == picture.pixels.shape
    return picture


@pytest.mark.parametrize("what", BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_never_costs_the_picture(tmp_path, kind, what):
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(encoded(kind, exif=BROKEN_EXIF[what]))
    picture = go_through(path, written=WRITTEN if kind == "PNG" else (".jpg",))
    assert picture.pixels.shape == (48, 64, 3)
    if picture.exif is None and what != "no entries":
        assert any("EXIF" in note for note in picture.notes)
    assert b"a model" in (tmp_path / "result.jpg").read_bytes()


@pytest.mark.parametrize("allow_truncated", [False, True])
def test_a_picture_that_cannot_be_read_is_let_go_at_once(tmp_path, allow_truncated):
    def opened():
        return sum(issubclass(type(found), ImageFile.ImageFile) for found in gc.get_objects())

    path = tmp_path / "a.tif"
    Image.fromarray(np.zeros((64, 64), np.float32)).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    gc.collect()
    before = opened()
    gc.disable()
    try:
        row = decode(
            Item(source=path, target=path),
            BatchOptions(report=tmp_path / "report.json", allow_truncated=allow_truncated),
        )
        assert (row.error is None) == allow_truncated
        with contextlib.suppress(PictureError):
            read_picture(path, allow_truncated=allow_truncated)
        assert opened() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("what", BROKEN_CHUNKS)
def test_damaged_chunks_of_a_png_never_cost_the_picture(tmp_path, what):
    path = tmp_path / "a.png"
    path.write_bytes(BROKEN_CHUNKS[what])
    np.testing.assert_array_equal(go_through(path).pixels, smooth(48, 64))


@pytest.mark.parametrize("what", BROKEN_SEGMENTS)
def test_damaged_segments_of_a_jpeg_never_cost_the_picture(tmp_path, what):
    path = tmp_path / "a.jpg"
    path.write_bytes(BROKEN_SEGMENTS[what])
    assert np.abs(go_through(path).pixels.astype(int) - smooth(48, 64)).mean() < 3


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("harm", HARMS)
def test_any_damage_gives_a_picture_or_one_line(tmp_path, suffix, harm):
    kind, settings = FORMATS[suffix]
    said: list[str] = []
    for seed in range(25):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(HARMS[harm](seed, kind, **settings))
        for allow_truncated in (False, True):
            try:
                picture = read_picture(path, allow_truncated=allow_truncated, max_pixels=10**7)
                write_picture(picture, tmp_path / "result.png", provenance=BY)
                read_picture(tmp_path / "result.png")
            except PictureError as error:
                said.append(str(error))
    assert all("\n" not in line and len(line) < 500 for line in said)


def test_what_is_cut_short_within_its_metadata_is_told_as_damaged(tmp_path):
    whole = encoded("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08" + bytes(40_000))
    (tmp_path / "cut.jpg").write_bytes(whole[:9_000])
    with pytest.raises(PictureError, match="damaged or cut short before its first pixels"):
        read_picture(tmp_path / "cut.jpg")
    with pytest.raises(PictureError, match="nothing of it can be decoded"):
        read_picture(tmp_path / "cut.jpg", allow_truncated=True)


def test_what_gives_no_pixel_at_all_is_refused_also_when_what_decodes_is_wanted(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded("PNG")[:45])
    with pytest.raises(PictureError, match="nothing of it can be decoded"):
        read_picture(tmp_path / "a.png", allow_truncated=True)


def test_layers_that_make_no_sense_cost_the_jpegs_settings_and_not_the_picture(tmp_path, monkeypatch):
    def no_such_layer(image: object) -> int:
        raise IndexError("list index out of range")

    (tmp_path / "a.jpg").write_bytes(encoded("JPEG"))
    monkeypatch.setattr(JpegImagePlugin, "get_sampling", no_such_layer)
    assert read_picture(tmp_path / "a.jpg").jpeg is None


def test_whatever_a_decoder_raises_is_damage_and_what_the_disk_says_is_not():
    for kind in (AssertionError, RuntimeError, SystemError, AttributeError, SyntaxError, struct.error, RecursionError):
        with pytest.raises(DamageError, match=kind.__name__), guarded("the file is damaged"):
            raise kind
    with pytest.raises(PictureError, match="not enough memory"), guarded("the file"):
        raise MemoryError
    with pytest.raises(OSError, match="No space"), guarded("the file", disk=True):
        raise OSError(28, "No space left on device")
    with pytest.raises(DamageError, match="No space"), guarded("the file"):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), guarded("the file"):
        raise KeyboardInterrupt


def test_damage_is_told_as_the_error_that_the_caller_wants_with_its_remedy():
    wanted = {"error": TrainingError, "remedy": "leave it out", "passing": (FileNotFoundError,)}
    for trouble in (RuntimeError("no such row"), PictureError("the list (RuntimeError no such row)"), MemoryError()):
        with pytest.raises(TrainingError, match=r"^the list.*; leave it out$"), guarded("the list", **wanted):
            raise trouble
    for passes in (FileNotFoundError("gone"), ConfigError("no such choice")):
        with pytest.raises(type(passes)), guarded("the list", **wanted):
            raise passes


# ---- size and kind


def test_a_small_file_that_claims_the_world_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">LLBBBBB", 10_354_752, 48, 8, 2, 0, 0, 0)
    whole = encoded("PNG")
    body = zlib.compress(b"\0" * 16_000_000)
    path = tmp_path / "a.png"
    path.write_bytes(
        whole[:8]
        + struct.pack(">L", 13) + b"IHDR" + header + struct.pack(">L", zlib.crc32(b"IHDR" + header))
        + struct.pack(">L", len(body)) + b"IDAT" + body + struct.pack(">L", zlib.crc32(b"IDAT" + body))
    )  # fmt: skip
    for allow_truncated in (False, True):
        with pytest.raises(PictureError, match="more than such a file can hold"):
            read_picture(path, allow_truncated=allow_truncated)


def test_a_picture_that_does_not_fit_into_memory_is_refused_in_words(tmp_path, monkeypatch):
    Image.new("1", (6000, 6000)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").width == 6000
    monkeypatch.setattr(memory_left, "available_memory", lambda: 200_000_000)
    with pytest.raises(PictureError, match=r"needs about 0\.3 GB of memory, 0\.2 GB are left"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(memory_left, "available_memory", lambda: None)
    assert read_picture(tmp_path / "a.png").width == 6000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes that have names")
def test_a_pipe_or_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("x.jpg", "zero.png"):
        with pytest.raises(PictureError, match="is a pipe or device; expected a picture"):
            read_picture(tmp_path / name)


def test_a_name_that_no_file_can_have_is_refused_in_words():
    for name in ("a\0b.jpg", "x" * 300 + ".jpg"):
        with pytest.raises(PictureError, match="cannot be read"):
            read_picture(name)


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    tall = as_picture(np.zeros((32_832, 48, 3), np.uint8))
    with pytest.raises(PictureError, match=r"cannot be read back|cannot be written"):
        write_picture(tall, tmp_path / "a.avif")
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_an_encoder_refuses_is_dropped_and_the_picture_written(tmp_path):
    picture = Picture(pixels=smooth(48, 64), xmp=b"x" * 100, text={"k" * 100_000: "v"}, icc_profile=b"no profile")
    for suffix in (*WRITTEN, ".bmp", ".jp2", ".ppm"):
        write_picture(picture, tmp_path / f"a{suffix}", provenance=BY)
        assert read_picture(tmp_path / f"a{suffix}").pixels.shape == (48, 64, 3)


def test_a_model_whose_name_is_no_text_still_signs_its_results(tmp_path):
    odd = Provenance(model="m\udcff\N{CJK UNIFIED IDEOGRAPH-4EBA}", version="1")
    for suffix in WRITTEN:
        write_picture(as_picture(smooth(48, 64)), tmp_path / f"a{suffix}", provenance=odd)
        assert b"faces restored with" in (tmp_path / f"a{suffix}").read_bytes()
    write_picture(as_picture(smooth(48, 64).astype(np.uint16)), tmp_path / "b.png", provenance=odd)


def test_maker_notes_stay_byte_for_byte_beside_the_provenance(tmp_path):
    note = bytes(range(200))
    block = exif(0x927C, 7, len(note), struct.pack(">L", 26)) + note
    (tmp_path / "a.png").write_bytes(png_with((b"eXIf", block[6:])))
    picture = read_picture(tmp_path / "a.png")
    for suffix in (".jpg", ".png", ".webp"):
        write_picture(picture, tmp_path / f"b{suffix}", provenance=BY)
        written = read_picture(tmp_path / f"b{suffix}").exif
        assert note in written
        assert b"a model" in written
