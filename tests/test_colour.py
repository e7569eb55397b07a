"""Colour profiles, to sRGB and back."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from small_pictures import smooth

from gpen_core.images import Picture, colour, from_srgb, to_srgb
from gpen_core.images.profile import Curve


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


@pytest.mark.parametrize("power", [1.0, 1.8, 2.4])
def test_the_inverse_of_a_table_is_that_of_bisection_to_a_hundredth_of_a_level(power: float) -> None:
    table = np.linspace(0, 1, 1024) ** power
    light = np.random.default_rng(0).uniform(0, 1, (1, 100, 100))
    exact = np.interp(light, table, np.linspace(0, 1, 1024))
    stored = Curve(table=tuple(table.tolist())).stored(torch.from_numpy(light)).numpy()
    assert np.abs(stored - exact).max() < 0.01 / 255
