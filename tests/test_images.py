"""Pictures in and out: what a file holds is what comes back."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from gpen_core.errors import InputError, PictureError
from gpen_core.images import (
    JpegSettings,
    Picture,
    as_picture,
    colour,
    convert_like,
    copy_picture,
    from_srgb,
    read_picture,
    to_srgb,
    write_picture,
)
from gpen_core.images.metadata import Provenance
from gpen_core.images.picture import to_depth
from gpen_core.images.writing import replacing

RNG = np.random.default_rng(20)


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return RNG.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


# ---- round trips


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_formats_give_back_every_number(tmp_path, suffix, dtype, channels):
    given_picture = as_picture(noise(67, 43, channels, dtype))
    given_picture.save(tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.pixels.dtype == dtype
    np.testing.assert_array_equal(read.pixels, given_picture.pixels)
    if given_picture.alpha is not None:
        np.testing.assert_array_equal(read.alpha, given_picture.alpha)
    # a grey TIFF of 16 bits with alpha is written as RGBA, because hardly a program reads the other
    assert read.grey == (channels < 3 and not (suffix == ".tif" and dtype == np.uint16 and channels == 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4]), st.sampled_from(["uint8", "uint16"]))
def test_pictures_of_any_size_survive_png(tmp_path, height, width, channels, kind):
    picture = as_picture(noise(height, width, channels, np.dtype(kind).type))
    picture.save(tmp_path / "p.png")
    read = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(read.pixels, picture.pixels)
    assert read.grey == picture.grey
    assert (read.alpha is None) == (picture.alpha is None)


@pytest.mark.parametrize("size", [(1, 1), (8, 8)])
def test_tiny_pictures_are_pictures(tmp_path, size):
    for suffix in (".png", ".jpg", ".webp", ".tif", ".bmp"):
        as_picture(noise(*size)).save(tmp_path / f"t{suffix}")
        assert read_picture(tmp_path / f"t{suffix}").pixels.shape == (*size, 3)


def test_sixteen_bit_rgb_keeps_low_bytes_in_every_tiff_compression(tmp_path):
    deep = noise(30, 20, 3, np.uint16)
    raw = deep.astype("<u2")
    packed = zlib.compress(raw.tobytes())
    for compression, data in ((1, raw.tobytes()), (8, packed)):
        tags = [(256, 3, 20), (257, 3, 30), (259, 3, compression), (262, 3, 2), (277, 3, 3), (278, 3, 30)]
        count = len(tags) + 3
        after = 8 + 2 + 12 * count + 4
        tags += [(258, 3, after), (273, 4, after + 6), (279, 4, len(data))]
        entries = b"".join(
            struct.pack("<HHL", t, k, 3 if t == 258 else 1) + struct.pack("<L", v) for t, k, v in sorted(tags)
        )
        body = b"II*\0" + struct.pack("<LH", 8, count) + entries + b"\0\0\0\0" + struct.pack("<3H", 16, 16, 16) + data
        (tmp_path / "d.tif").write_bytes(body)
        np.testing.assert_array_equal(read_picture(tmp_path / "d.tif").pixels, deep)


def test_depth_conversions_are_rounded_and_invertible():
    eight = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_depth(to_depth(eight, np.uint16), np.uint8), eight)
    np.testing.assert_array_equal(to_depth(to_depth(eight, np.float32), np.uint8), eight)
    sixteen = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_depth(to_depth(sixteen, np.float32), np.uint16), sixteen)
    np.testing.assert_array_equal(to_depth(sixteen, np.uint8), np.rint(sixteen / 257.0).astype(np.uint8))


# ---- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_every_exif_orientation_is_applied_and_reset(tmp_path, orientation, suffix):
    upright = Image.fromarray(smooth(32, 48))
    stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # Transpose members that undo the orientation
    image = upright if stored is None else upright.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    lossless = (
        {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    )
    image.save(tmp_path / f"o{suffix}", exif=exif.tobytes(), **lossless)
    picture = read_picture(tmp_path / f"o{suffix}")
    assert picture.pixels.shape == (32, 48, 3)
    assert np.abs(picture.pixels.astype(int) - np.asarray(upright)).max() <= (6 if suffix == ".jpg" else 0)
    picture.save(tmp_path / f"again{suffix}")
    with Image.open(tmp_path / f"again{suffix}") as again:
        assert again.getexif().get(0x0112, 1) == 1
        assert again.getexif()[0x010F] == "Maker"
    assert read_picture(tmp_path / f"again{suffix}").pixels.shape == (32, 48, 3)


def test_a_pil_image_is_taken_as_it_lies():
    image = Image.fromarray(smooth(10, 20))
    image.info["exif"] = b""
    assert as_picture(image).pixels.shape == (10, 20, 3)


# ---- modes


def test_palette_cmyk_and_black_and_white_become_rgb_or_grey_and_say_so(tmp_path):
    source = Image.fromarray(smooth(20, 30))
    source.convert("CMYK").save(tmp_path / "c.jpg")
    source.quantize(16).save(tmp_path / "p.png")
    source.convert("1").save(tmp_path / "b.png")
    assert read_picture(tmp_path / "c.jpg").notes == ("CMYK became RGB",)
    assert read_picture(tmp_path / "p.png").notes == ("the palette became RGB",)
    black_and_white = read_picture(tmp_path / "b.png")
    assert black_and_white.grey
    assert "grey of 8 bits" in black_and_white.notes[0]


def test_transparency_of_palettes_and_key_colours_becomes_alpha(tmp_path):
    image = Image.fromarray(smooth(20, 30)).quantize(8)
    image.save(tmp_path / "p.png", transparency=3)
    picture = read_picture(tmp_path / "p.png")
    np.testing.assert_array_equal(picture.alpha == 0, np.asarray(image) == 3)
    key = Image.new("RGB", (4, 4), (1, 2, 3))
    key.putpixel((0, 0), (9, 9, 9))
    key.save(tmp_path / "k.png", transparency=(1, 2, 3))
    assert read_picture(tmp_path / "k.png").alpha[0, 0] == 255
    assert read_picture(tmp_path / "k.png").alpha[1, 1] == 0


def test_a_grey_file_stays_a_grey_file(tmp_path):
    Image.fromarray(smooth(20, 30)).convert("L").save(tmp_path / "g.jpg")
    picture = read_picture(tmp_path / "g.jpg")
    assert picture.grey
    picture.save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.mode == "L"


def test_only_the_first_of_several_frames_is_used_and_said(tmp_path):
    frames = [Image.fromarray(smooth(10, 10)).quantize(4), Image.new("P", (10, 10))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "2 pictures" in read_picture(tmp_path / "a.gif").notes[0]


# ---- what a JPEG keeps


def test_a_jpeg_is_written_with_its_own_tables_and_subsampling(tmp_path):
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            Image.fromarray(smooth(64, 64)).save(
                tmp_path / "in.jpg", quality=61, subsampling=subsampling, progressive=progressive
            )
            picture = read_picture(tmp_path / "in.jpg")
            assert picture.jpeg is not None
            assert (picture.jpeg.subsampling, picture.jpeg.progressive) == (subsampling, progressive)
            picture.save(tmp_path / "out.jpg")
            assert read_picture(tmp_path / "out.jpg").jpeg == picture.jpeg
    assert picture.save(tmp_path / "out.jpg", quality=95) == ()
    assert read_picture(tmp_path / "out.jpg").jpeg != picture.jpeg


def test_a_jpeg_written_with_its_own_tables_stays_where_it_was(tmp_path):
    Image.fromarray(smooth(64, 64)).save(tmp_path / "in.jpg", quality=75)
    picture = read_picture(tmp_path / "in.jpg")
    picture.save(tmp_path / "same.jpg")
    difference = np.abs(read_picture(tmp_path / "same.jpg").pixels.astype(int) - picture.pixels).mean()
    assert difference < 0.5


def test_profile_exif_resolution_and_text_survive(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8769] = {0x9003: "2001:02:03 04:05:06"}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for dtype in (np.uint8, np.uint16):
        picture = Picture(
            pixels=noise(16, 16, 3, dtype),
            icc_profile=profile,
            exif=exif.tobytes()[6:],
            dpi=(300.0, 300.0),
            text={"Title": "über"},
        )
        for suffix in (".png", ".tif", ".jpg", ".webp"):
            picture.save(tmp_path / f"m{suffix}")
            read = read_picture(tmp_path / f"m{suffix}")
            assert read.icc_profile == profile, suffix
            tags = Image.Exif()
            tags.load(b"Exif\0\0" + read.exif)
            assert tags[0x010F] == "Maker"
            assert tags.get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"
            if suffix != ".webp":
                assert read.dpi is not None
                assert abs(read.dpi[0] - 300) < 0.1
        assert read_picture(tmp_path / "m.png").text["Title"] == "über"


def test_provenance_is_noted_unless_it_is_not_given(tmp_path):
    provenance = Provenance(model="gpen-open-256", sha256="ab" * 32, strength=0.8, version="1.2.3")
    exif = Image.Exif()
    exif[0x0131] = "camera firmware"
    for dtype in (np.uint8, np.uint16):
        picture = Picture(pixels=noise(16, 16, 3, dtype), exif=exif.tobytes()[6:])
        for suffix in (".png", ".tif", ".jpg", ".webp"):
            picture.save(tmp_path / f"p{suffix}", provenance=provenance)
            tags = Image.Exif()
            tags.load(b"Exif\0\0" + read_picture(tmp_path / f"p{suffix}").exif)
            assert tags[0x000B] == str(provenance)
            assert tags[0x0131] == "camera firmware"
            assert "gpen-open-256" in str(provenance)
            assert "strength 0.8" in str(provenance)
            picture.save(tmp_path / f"q{suffix}")
            assert b"gpen-open" not in (tmp_path / f"q{suffix}").read_bytes()
    assert read_picture(tmp_path / "p.png").text["Processing"] == str(provenance)


def test_formats_without_alpha_or_depth_say_what_they_drop(tmp_path):
    picture = as_picture(noise(8, 8, 4, np.uint16))
    notes = picture.save(tmp_path / "a.jpg")
    assert len(notes) == 2
    assert "8 bits" in notes[0]
    assert "transparency" in notes[1]


def test_unusual_jpegs_are_written_without_loss_of_chroma(tmp_path):
    picture = Picture(pixels=smooth(16, 16), jpeg=JpegSettings(quantization={0: [1] * 64}, subsampling=-1))
    picture.save(tmp_path / "u.jpg")
    assert read_picture(tmp_path / "u.jpg").jpeg.subsampling == 0


# ---- refusals


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
        with replacing(tmp_path / "a.bin") as file:
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


# ---- colour


def matrix_profile_bytes(primaries: list[tuple[float, float, float]], curve: bytes) -> bytes:
    """A minimal ICC profile of version 4: three columns (D50) and one curve."""
    tags = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3l", *(round(v * 65536) for v in column))
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + struct.pack(">3l", 63190, 65536, 54061)
    text = "t".encode("utf-16-be")
    mluc = b"mluc\0\0\0\0" + struct.pack(">LL", 1, 12) + b"enUS" + struct.pack(">LL", len(text), 28) + text
    tags[b"desc"] = tags[b"cprt"] = mluc
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += struct.pack(">4sLL", name, offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack(">L4sL4s4s4s", size, b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ") + struct.pack(
        ">6H", 2020, 1, 1, 0, 0, 0
    )
    header += b"acsp" + b"\0" * 28 + struct.pack(">3l", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body


WIDE_PRIMARIES = [
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
]  # Adobe RGB (1998)
GAMMA = b"curv\0\0\0\0" + struct.pack(">LH", 1, 563)
PARAMETRIC = b"para\0\0\0\0" + struct.pack(
    ">HH5l", 3, 0, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
TABLE = b"curv\0\0\0\0" + struct.pack(">L1024H", 1024, *(round(65535 * (i / 1023) ** 1.8) for i in range(1024)))


@pytest.mark.parametrize("curve", [GAMMA, PARAMETRIC, TABLE])
def test_matrix_profiles_convert_as_littlecms_does_but_without_rounding(curve):
    profile = matrix_profile_bytes(WIDE_PRIMARIES, curve)
    eight = smooth(40, 60)
    theirs = ImageCms.profileToProfile(
        Image.fromarray(eight),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    crops = torch.from_numpy(eight).permute(2, 0, 1).float() / 255
    ours = to_srgb(crops, profile)
    assert (ours * 255 - torch.from_numpy(np.array(theirs)).permute(2, 0, 1)).abs().max() < 2.5
    inside = (ours > 0.02).all(dim=0) & (ours < 0.98).all(dim=0)
    assert inside.float().mean() > 0.2
    assert (from_srgb(ours, profile) - crops).abs().amax(dim=0)[inside].max() < 1e-3


def test_without_a_profile_or_with_srgbs_own_nothing_is_converted():
    crops = torch.rand(2, 3, 8, 8)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (None, b"", b"damaged", own):
        assert to_srgb(crops, profile) is crops
        assert from_srgb(crops, profile) is crops


def test_a_coloured_result_of_a_grey_picture_drops_the_grey_profile():
    profile = b"\0" * 16 + b"GRAY" + b"\0" * 108
    picture = Picture(pixels=smooth(4, 4), grey=True, icc_profile=profile)
    assert picture.with_pixels(smooth(4, 4)).icc_profile == profile
    coloured = picture.with_pixels(smooth(4, 4), grey=False)
    assert coloured.icc_profile is None
    assert "grey colour profile" in coloured.notes[0]


def test_profiles_made_of_tables_are_sampled_finely_enough(monkeypatch):
    profile = matrix_profile_bytes(WIDE_PRIMARIES, GAMMA)
    crops = torch.from_numpy(smooth(40, 60)).permute(2, 0, 1).float() / 255 * 0.6 + 0.2
    exact = to_srgb(crops, profile)
    monkeypatch.setattr(colour, "matrix_profile", lambda icc_profile: None)
    colour._transform.cache_clear()
    try:
        sampled = to_srgb(crops[None], profile)
        back = from_srgb(sampled, profile)
    finally:
        colour._transform.cache_clear()
    # where a colour leaves sRGB's gamut a channel is clipped, and the lattice rounds that kink off
    inside = (exact > 0.1).all(dim=0) & (exact < 0.98).all(dim=0)
    assert inside.float().mean() > 0.4
    error = (sampled[0] - exact).abs().amax(dim=0)[inside] * 255
    assert error.mean() < 0.7
    assert error.max() < 6
    assert (back[0] - crops).abs().amax(dim=0)[inside].mean() * 255 < 1.5
