"""What stands beside the pixels is carried, or a note says that it was left out; and TIFF in all its layouts."""

import io
import struct
import zlib

import numpy as np
import pytest
from damaged_pictures import ORIENTATION, encoded, exif, png_with
from PIL import ExifTags, Image, ImageCms
from small_pictures import noise, smooth

from gpen_core.errors import PictureError
from gpen_core.images import Picture, read_picture, write_picture
from gpen_core.images.metadata import Provenance, of_another_picture

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
#: Photoshop's resource 0x0404, IPTC: one record, the caption "hello".
IPTC = b"8BIM\x04\x04\0\0" + struct.pack(">L", 10) + b"\x1c\x02\x78\0\x05hello"
LINEAR = (b"gAMA", struct.pack(">L", 100_000))
BT2100 = (b"cICP", bytes((9, 16, 0, 1)))


def test_xmp_survives_from_every_format_to_every_format(tmp_path):
    picture = Picture(pixels=smooth(48, 64), xmp=XMP)
    for suffix in (".png", ".jpg", ".webp", ".tif", ".avif"):
        assert write_picture(picture, tmp_path / f"a{suffix}") == ()
        assert read_picture(tmp_path / f"a{suffix}").xmp == XMP
    deep = Picture(pixels=noise(48, 64, 3, np.uint16), xmp=XMP)
    deep.save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png").xmp == XMP


def test_iptc_and_comments_survive_where_the_format_has_a_place_and_are_named_where_not(tmp_path):
    data = encoded("JPEG", comment=b"first")
    extra = b"\xff\xed" + struct.pack(">H", 2 + 14 + len(IPTC)) + b"Photoshop 3.0\0" + IPTC
    (tmp_path / "a.jpg").write_bytes(data[:2] + extra + b"\xff\xfe\0\x08second" + data[2:])
    picture = read_picture(tmp_path / "a.jpg")
    assert (picture.iptc, set(picture.comments)) == (IPTC, {b"first", b"second"})
    for suffix in (".jpg", ".tif", ".png", ".webp"):
        notes = write_picture(picture, tmp_path / f"b{suffix}", provenance=Provenance(model="m"))
        again = read_picture(tmp_path / f"b{suffix}")
        assert (again.iptc == IPTC) == (suffix in (".jpg", ".tif"))
        assert any("IPTC" in note for note in notes) == (suffix in (".png", ".webp"))
        assert any("comments" in note for note in notes) == (suffix in (".tif", ".webp"))
    assert set(read_picture(tmp_path / "b.jpg").comments) == {b"first", b"second"}
    assert set(read_picture(tmp_path / "b.png").text["Comment"].split("\n")) == {"first", "second"}


def test_a_long_iptc_block_goes_into_as_many_segments_as_it_needs(tmp_path):
    block = b"8BIM\x04\x04\0\0" + struct.pack(">L", 200_000) + bytes(200_000)
    Picture(pixels=smooth(48, 64), iptc=block).save(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").iptc == block


@pytest.mark.parametrize("chunk", [LINEAR, BT2100])
def test_what_a_png_says_about_its_colours_is_carried_or_named(tmp_path, chunk):
    (tmp_path / "a.png").write_bytes(png_with(chunk))
    picture = read_picture(tmp_path / "a.png")
    assert picture.png_colour == dict([chunk])
    assert write_picture(picture, tmp_path / "b.png") == ()
    assert read_picture(tmp_path / "b.png").png_colour == dict([chunk])
    (note,) = write_picture(picture, tmp_path / "b.jpg")
    assert chunk[0].decode() in note
    assert "colours may look different" in note
    deep = Picture(pixels=noise(8, 8, 3, np.uint16), png_colour=picture.png_colour)
    deep.save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png").png_colour == dict([chunk])


def test_colours_that_are_srgb_anyway_or_have_a_profile_make_no_noise(tmp_path):
    for chunk in ((b"sRGB", b"\0"), (b"gAMA", struct.pack(">L", 45455))):
        (tmp_path / "a.png").write_bytes(png_with(chunk))
        assert write_picture(read_picture(tmp_path / "a.png"), tmp_path / "b.jpg") == ()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "a.png").write_bytes(png_with((b"iCCP", b"sRGB\0\0" + zlib.compress(profile)), LINEAR))
    assert write_picture(read_picture(tmp_path / "a.png"), tmp_path / "b.jpg") == ()


# ---- TIFF


def tiff(
    values: np.ndarray, *, planar: bool, compression: int, order: str = "<", photometric: int | None = None
) -> bytes:
    """A TIFF of strips of 7 rows, with the predictor for what is compressed; (H, W, C) of any kind of number."""
    height, width, channels = values.shape
    kind = {"u": 1, "f": 3}[values.dtype.kind]
    planes = [values[..., i : i + 1] for i in range(channels)] if planar else [values]
    strips = []
    for plane in planes:
        for top in range(0, height, 7):
            rows = plane[top : top + 7]
            if compression == 8 and kind == 1:
                rows = np.concatenate([rows[:, :1], rows[:, 1:] - rows[:, :-1]], axis=1)
            if compression == 8 and kind == 3:
                sorted_bytes = rows.astype(rows.dtype.newbyteorder(">")).view(np.uint8)
                sorted_bytes = sorted_bytes.reshape(len(rows), -1, rows.dtype.itemsize).swapaxes(1, 2)
                flat = sorted_bytes.reshape(len(rows), -1, plane.shape[2])
                raw = np.concatenate([flat[:, :1], flat[:, 1:] - flat[:, :-1]], axis=1).tobytes()
            else:
                raw = rows.astype(rows.dtype.newbyteorder(order)).tobytes()
            strips.append(zlib.compress(raw) if compression == 8 else raw)
    entries = {256: (width,), 257: (height,), 258: (8 * values.itemsize,) * channels, 259: (compression,)}
    entries |= {262: (photometric if photometric is not None else 2 if channels > 2 else 1,), 277: (channels,)}
    entries |= {278: (7,), 284: (2 if planar else 1,), 339: (kind,) * channels}
    entries |= {317: ({1: 2, 3: 3}[kind] if compression == 8 else 1,)}
    if channels in (2, 4):
        entries[338] = (2,)
    offset, at = 8, []
    for strip in strips:
        at.append(offset)
        offset += len(strip)
    entries |= {273: tuple(at), 279: tuple(len(strip) for strip in strips)}
    blocks, lines = b"", []
    behind = offset + 2 + 12 * len(entries) + 4
    for tag, numbers in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(numbers)}L", *numbers)
        if len(numbers) > 1:
            packed, blocks = struct.pack(order + "L", behind + len(blocks)), blocks + packed
        lines.append(struct.pack(order + "HHL", tag, 4, len(numbers)) + packed)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", offset)
    return head + b"".join(strips) + struct.pack(order + "H", len(lines)) + b"".join(lines) + b"\0\0\0\0" + blocks


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_of_every_depth_layout_and_order_gives_its_numbers(tmp_path, dtype, channels, planar, compression):
    values = noise(20, 13, channels, np.uint16)
    values = values if dtype is np.uint16 else (values / 65535).astype(dtype)
    for order in "<>":
        (tmp_path / "a.tif").write_bytes(tiff(values, planar=planar, compression=compression, order=order))
        read = read_picture(tmp_path / "a.tif").interleaved()
        want = values if dtype is np.uint16 else values.astype(np.float32)
        np.testing.assert_array_equal(read, want)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", None])
def test_grey_of_sixteen_bits_and_of_floats_is_read_in_every_compression(tmp_path, compression):
    deep = noise(20, 30, 1, np.uint16)[..., 0]
    for values in (deep, (deep / 65535).astype(np.float32)):
        Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").interleaved()[..., 0], values)


def test_eight_bits_in_planes_and_white_that_is_nought_are_read(tmp_path):
    values = noise(20, 13, 2)
    (tmp_path / "a.tif").write_bytes(tiff(values, planar=True, compression=1))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.tif").interleaved(), values)
    deep = noise(20, 13, 1, np.uint16)
    (tmp_path / "b.tif").write_bytes(tiff(deep, planar=False, compression=1, photometric=0))
    np.testing.assert_array_equal(read_picture(tmp_path / "b.tif").interleaved(), 65535 - deep)


def test_floats_that_are_no_lights_are_said_in_words(tmp_path):
    values = np.full((20, 13, 1), 0.5, np.float32)
    values[0, 0], values[0, 1] = np.nan, 7.0
    (tmp_path / "a.tif").write_bytes(tiff(values, planar=False, compression=1))
    picture = read_picture(tmp_path / "a.tif")
    assert picture.notes == ("pixels that were no numbers became black", "light brighter than white was cut off")
    assert (picture.pixels[0, 0, 0], picture.pixels[0, 1, 0]) == (0, 1)
    (tmp_path / "b.tif").write_bytes(tiff(values * 200, planar=False, compression=1))
    with pytest.raises(PictureError, match=r"holds floats from 100 to 1400; save it with 0 as black and 1 as white"):
        read_picture(tmp_path / "b.tif")


def test_any_page_of_a_file_can_be_read(tmp_path):
    pages = [Image.fromarray(smooth(20, 30)), Image.fromarray(noise(9, 8)), Image.fromarray(noise(5, 6))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for number, page in enumerate(pages):
        picture = read_picture(tmp_path / "a.tif", page=number)
        np.testing.assert_array_equal(picture.pixels, np.asarray(page))
        assert (picture.pages, picture.notes) == (3, ())
    assert read_picture(tmp_path / "a.tif").notes == ("the file holds 3 pictures; the first was used",)
    with pytest.raises(PictureError, match=r"a\.tif is damaged"):
        read_picture(tmp_path / "a.tif", page=3)
    stream = io.BytesIO()
    Image.fromarray(noise(9, 8, 1, np.uint16)[..., 0]).save(
        stream, "TIFF", save_all=True, append_images=[Image.fromarray(noise(5, 6, 1, np.uint16)[..., 0])]
    )
    (tmp_path / "deep.tif").write_bytes(stream.getvalue())
    assert read_picture(tmp_path / "deep.tif", page=1).pixels.shape == (5, 6, 3)


@pytest.mark.parametrize(
    "told", [b'<a tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>", b"tiff:Orientation>6<"]
)
def test_an_orientation_that_only_xmp_tells_is_applied_and_reset(tmp_path, told):
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", xmp=told))
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.pixels.shape == (64, 48, 3)
    picture.save(tmp_path / "b.jpg")
    again = read_picture(tmp_path / "b.jpg")
    assert again.pixels.shape == (64, 48, 3)
    assert again.xmp == told.replace(b"6", b"1")


@pytest.mark.parametrize(("kind", "count"), [(3, 1), (4, 1), (1, 1), (3, 2), (8, 1), (9, 1), (3, 0)])
def test_an_orientation_of_any_type_is_applied_once(tmp_path, kind, count):
    field = {1: b"\6\0\0\0", 4: b"\0\0\0\6", 9: b"\0\0\0\6"}.get(kind, b"\0\6\0\0")
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=exif(ORIENTATION, kind, count, field)))
    picture = read_picture(tmp_path / "a.jpg")
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        write_picture(picture, tmp_path / f"b{suffix}", provenance=Provenance(model="m"))
        assert read_picture(tmp_path / f"b{suffix}").pixels.shape == picture.pixels.shape


def photograph_with_preview(stored: np.ndarray, orientation: int, kind: int) -> tuple[bytes, bytes]:
    """A JPEG whose EXIF tells its width and height (as numbers of this TIFF kind) and holds a small preview, and that
    preview.
    """
    small = io.BytesIO()
    Image.fromarray(stored[::4, ::4]).save(small, "JPEG")
    preview = small.getvalue()

    def entries(*lines: tuple[int, int, int], following: int = 0) -> bytes:
        fields = (struct.pack("<HHL4s", tag, k, 1, struct.pack("<H" if k == 3 else "<L", n)) for tag, k, n in lines)
        return struct.pack("<H", len(lines)) + b"".join(fields) + struct.pack("<L", following)

    own, second = 8 + 30, 8 + 30 + 30
    block = b"II*\0" + struct.pack("<L", 8) + entries((274, 3, orientation), (34665, 4, own), following=second)
    block += entries((40962, kind, stored.shape[1]), (40963, kind, stored.shape[0]))
    block += entries((513, 4, second + 30), (514, 4, len(preview))) + preview
    whole = io.BytesIO()
    Image.fromarray(stored).save(whole, "JPEG", exif=b"Exif\0\0" + block)
    return whole.getvalue(), preview


@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_a_result_has_no_preview_of_what_the_photograph_was_and_its_own_size(tmp_path, suffix, kind):
    data, preview = photograph_with_preview(smooth(48, 64), 6, kind)
    (tmp_path / "lying.jpg").write_bytes(data)
    with Image.open(tmp_path / "lying.jpg") as before:
        assert before.getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(preview)
    write_picture(read_picture(tmp_path / "lying.jpg"), tmp_path / f"a{suffix}", provenance=Provenance(model="m"))
    assert preview[-40:] not in (tmp_path / f"a{suffix}").read_bytes()
    with Image.open(tmp_path / f"a{suffix}") as after:
        tags = after.getexif()
        assert after.size == (48, 64)
        assert tags.get(274, 1) == 1
        assert tags.get_ifd(ExifTags.IFD.IFD1) == {}
        assert (tags.get_ifd(34665)[40962], tags.get_ifd(34665)[40963]) == (48, 64)


def test_what_stands_behind_a_preview_stays_where_it_is():
    before = b"II*\0" + struct.pack("<LHL", 8, 0, 14)  # nothing, then a directory at 14
    second = struct.pack("<HHHLLHHLLL", 2, 513, 4, 1, 44, 514, 4, 1, 6, 0)
    exif = of_another_picture(before + second + b"a face" + b"the maker's own", 64, 48)
    assert exif[44:65] == bytes(6) + b"the maker's own"
    exif = of_another_picture(before + second + b"the maker's own", 64, 48)
    assert b"the ma" not in exif


PHONE = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" hdrgm:Version="1.0" dc:title="hers"%b>%b</rdf:Description></rdf:RDF></x:xmpmeta>"""
FILM = b' GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" Camera:MicroVideoOffset="4711"'
DIRECTORY = b"""<Container:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic="Primary"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="4711"/></rdf:li>
<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Depth" Item:Length="815"/></rdf:li>
</rdf:Seq></Container:Directory>"""


def test_what_a_phone_put_behind_its_photograph_is_named_and_xmp_claims_it_no_more(tmp_path):
    data = encoded("JPEG", xmp=PHONE % (FILM, DIRECTORY)) + b"\xff\xd8 a map of light, then a film"
    (tmp_path / "a.jpg").write_bytes(data)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.xmp == (PHONE % (b"", b"")).replace(b' hdrgm:Version="1.0"', b"")
    assert picture.notes == ("what stood behind the photograph in its file was left out (GainMap, Depth, MotionPhoto)",)


def test_xmp_that_goes_on_elsewhere_or_lists_something_else_is_told_apart(tmp_path):
    guid = b' xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"'
    (tmp_path / "long.jpg").write_bytes(encoded("JPEG", xmp=PHONE % (guid, b"")))
    picture = read_picture(tmp_path / "long.jpg")
    assert picture.xmp is not None
    assert b"HasExtendedXMP" not in picture.xmp
    assert any("further blocks" in note for note in picture.notes)
    other = b"<mine:Directory>of people</mine:Directory><mine:Directory>"
    plain = PHONE.replace(b' hdrgm:Version="1.0"', b"") % (b"", other)
    (tmp_path / "other.jpg").write_bytes(encoded("JPEG", xmp=plain))
    assert (read_picture(tmp_path / "other.jpg").xmp, read_picture(tmp_path / "other.jpg").notes) == (plain, ())


def resource(number: int, content: bytes, name: bytes = b"") -> bytes:
    """One of Photoshop's resources."""
    said = bytes([len(name)]) + name + b"\0" * (1 - len(name) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + said
        + struct.pack(">L", len(content))
        + content
        + b"\0" * (len(content) % 2)
    )


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_photoshop_s_preview_of_what_the_picture_was_is_left_out(tmp_path, suffix):
    preview = resource(0x040C, b"\xff\xd8 how it looked \xff\xd9")
    others = (
        resource(0x0404, b"\x1c\x02\x78\0\x05hello"),
        resource(0x07D0, b"a path", name=b"odd"),
        b"8BIM\x04\x0ccut short",
    )
    Picture(pixels=smooth(48, 64), iptc=b"".join((others[0], preview, *others[1:]))).save(tmp_path / f"a{suffix}")
    assert read_picture(tmp_path / f"a{suffix}").iptc == b"".join(others)
    assert read_picture(tmp_path / f"a{suffix}").notes == ()


#: Content credentials, as JUMBF's box of boxes begins.
CREDENTIALS = struct.pack(">L4sL4s", 60, b"jumb", 52, b"jumd") + b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0"


def with_credentials(kind: str, box: bytes) -> bytes:
    data = encoded(kind)
    if kind == "JPEG":
        content = b"JP\0\x01\0\0\0\x01" + box
        return data[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(content)) + content + data[2:]
    if kind == "PNG":
        return png_with((b"caBX", box))
    if kind == "WEBP":
        return (
            data[:4] + struct.pack("<L", len(data) + len(box)) + data[8:] + b"C2PA" + struct.pack("<L", len(box)) + box
        )
    kind_of_box = b"uuid\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81"
    return data + struct.pack(">L", 4 + len(kind_of_box) + len(box)) + kind_of_box + box


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_credentials_of_a_photograph_are_named_when_they_are_left_out(tmp_path, kind):
    (tmp_path / "a").write_bytes(with_credentials(kind, CREDENTIALS))
    assert [note for note in read_picture(tmp_path / "a").notes if "C2PA" in note]
    (tmp_path / "a").write_bytes(with_credentials(kind, CREDENTIALS.replace(b"c2pa", b"mine")))
    assert read_picture(tmp_path / "a").notes == ()
