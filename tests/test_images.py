"""Pictures in and out: what a file holds is what comes back."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from small_pictures import noise, smooth

from gpen_core.images import (
    JpegSettings,
    Picture,
    as_picture,
    read_picture,
)
from gpen_core.images.metadata import Provenance
from gpen_core.images.picture import to_depth

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
