"""The damage of photographs: prints, grain, colour noise, sharpening, and files that were sent on."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from test_degradation import scene

from gpen_core.data import PRESETS, Degradation, Pass, Ranges
from gpen_core.data.compression import Codec, compress
from gpen_core.data.marks import grey
from gpen_core.data.prints import Screen, Tone, halftone, tone
from gpen_core.data.ranges import draw
from gpen_core.data.texture import Sharpening, Texture, add_texture, sharpen
from gpen_core.errors import ConfigError


@pytest.mark.parametrize("coloured", [True, False])
@pytest.mark.parametrize("value", [0.2, 0.5, 0.8])
def test_a_halftone_keeps_the_mean_tone_and_is_dots(coloured, value):
    flat = torch.full((1, 3, 120, 120), value)
    printed = halftone(flat, [Screen(pitch=6.0, angle=0.1, coloured=coloured)])
    assert printed.mean((0, 2, 3)).tolist() == pytest.approx([value] * 3, abs=0.02)
    assert float(printed.std()) > 0.25


def test_dots_of_a_halftone_lie_a_pitch_apart():
    flat = torch.full((1, 3, 128, 128), 0.5)
    printed = halftone(flat, [Screen(pitch=8.0, angle=-np.pi / 4, coloured=False)])[0, 0]
    spectrum = torch.fft.rfft2(printed - printed.mean()).abs()
    row, column = divmod(int(spectrum.argmax()), spectrum.shape[1])
    assert (min(row, 128 - row), column) in ((0, 16), (16, 0))


def test_a_halftone_of_a_black_screen_has_no_colour():
    printed = halftone(scene(1), [Screen(pitch=4.0, coloured=False)])
    assert torch.equal(printed[:, 0], printed[:, 2])


def test_texture_has_the_drawn_strength_and_colour_noise_leaves_the_brightness():
    flat = torch.full((2, 3, 96, 96), 0.5)
    both = [
        Texture(grain=0.1, grain_size=1.2, colour=0.0, colour_size=1.0, key=1),
        Texture(grain=0.0, grain_size=1.0, colour=0.05, colour_size=2.0, key=2),
    ]
    grain, colour = add_texture(flat, [96, 96], both) - 0.5
    assert float(grain.std()) == pytest.approx(0.1, rel=0.1)
    assert torch.allclose(grain[0], grain[2])
    assert float(grey(colour).abs().max()) < 1e-5
    assert float(colour[2].std()) == pytest.approx(0.05 * 1.772, rel=0.2)


def test_grain_is_coarser_where_its_size_is_larger():
    def neighbours(size: float) -> float:
        texture = Texture(grain=0.1, grain_size=size, colour=0.0, colour_size=1.0, key=3)
        field = add_texture(torch.full((1, 3, 96, 96), 0.5), [96], [texture])[0, 0] - 0.5
        return float((field[:, 1:] * field[:, :-1]).mean() / field.square().mean())

    assert neighbours(0.1) < 0.1
    assert neighbours(0.8) > 0.5
    assert neighbours(1.5) > 0.8


def test_sharpening_puts_rims_on_both_sides_of_an_edge_and_leaves_flat_areas():
    edge = torch.full((1, 3, 48, 48), 0.3)
    edge[..., 24:] = 0.7
    result = sharpen(edge, [48], [Sharpening(amount=1.5, radius=1.5)])[0, 0, 24]
    assert float(result[23]) < 0.2
    assert float(result[24]) > 0.8
    assert result[:8].tolist() == pytest.approx([0.3] * 8, abs=1e-4)


def test_an_old_print_has_lifted_blacks_and_no_colours_but_its_paper_s():
    paper = Tone(black=(0.2, 0.18, 0.15), white=(0.9, 0.8, 0.65))
    levels = torch.tensor([0.0, 1.0]).expand(3, 1, 2)
    assert tone(levels, paper)[:, 0, 0].tolist() == pytest.approx(paper.black)
    assert tone(levels, paper)[:, 0, 1].tolist() == pytest.approx(paper.white)
    toned = tone(scene(1)[0], paper)
    share = (toned - torch.tensor(paper.black)[:, None, None]) / (
        torch.tensor(paper.white) - torch.tensor(paper.black)
    )[:, None, None]
    assert torch.allclose(share[0], share[2], atol=1e-5)


def test_a_toned_pair_keeps_its_tone():
    always = Ranges(flip=0.0, toned_pair=1.0)
    damaged, clean = Degradation(always).pairs(scene(2), 0, [3, 4])
    assert torch.equal(damaged, clean)
    assert not torch.allclose(clean, scene(2), atol=0.02)
    assert not torch.allclose(clean[0], clean[1], atol=0.02)


def test_only_the_damaged_one_fades_where_only_it_is_drawn():
    damaged, clean = Degradation(Ranges(flip=0.0, faded=1.0)).pairs(scene(1), 0, [0])
    assert torch.equal(clean, scene(1))
    assert float(damaged.std()) < float(clean.std())


@pytest.mark.parametrize("offset", [0, 3, 7])
def test_blocks_begin_where_the_picture_was_cut_out(offset):
    picture = (scene(1, 40) * 255).round() / 255
    whole = torch.nn.functional.pad(picture, (offset, 0, offset, 0), mode="replicate")
    buffer = io.BytesIO()
    levels = (whole[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(buffer, "JPEG", quality=30)
    expected = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)[None, :, offset:, offset:] / 255
    codec = Codec(quality=30, offset=offset)
    assert torch.allclose(compress(picture, [40], [codec], "pillow"), expected)
    blocks = compress(picture, [40], [codec], "torch")
    assert float((blocks - expected).abs().mean()) < 0.5 * float((picture - expected).abs().mean())


def test_further_damage_does_not_change_what_else_is_drawn():
    plain = PRESETS["second-order"]
    more = replace(
        plain,
        toned_pair=0.5,
        faded=0.5,
        chains=tuple(
            tuple(replace(p, grain=(1, 9), halftone=0.5, sharpen=0.5, blocks_anywhere=True) for p in chain)
            for chain in plain.chains
        ),
    )
    for index in range(20):
        before, after = draw(plain, 5, index, 256), draw(more, 5, index, 256)
        stripped = tuple(
            replace(p, screen=None, texture=None, sharpening=None, codec=p.codec and replace(p.codec, offset=0))
            for p in after.passes
        )
        assert replace(after, passes=stripped, tone_pair=None, fade=None) == before


def test_photographs_are_mostly_damaged_as_before_and_a_quarter_mildly():
    ranges = PRESETS["photographs"]
    drawn = [draw(ranges, 0, i, 256) for i in range(2000)]
    plain = [d for d in drawn if len(d.passes) == 1 and d.passes[0].texture is None and d.passes[0].screen is None]
    mild = [d for d in plain if d.passes[0].shrink <= 2.8 and max(d.passes[0].sigma) <= 1.5]
    assert 0.6 < len(plain) / len(drawn) < 0.75
    assert len(mild) / len(drawn) > 0.2
    for part in ("screen", "texture", "sharpening"):
        assert any(getattr(p, part) is not None for d in drawn for p in d.passes)
    assert 0.1 < sum(d.tone_pair is not None for d in drawn) / len(drawn) < 0.2


@pytest.mark.parametrize("preset", ["balanced", "photographs"])
def test_mixtures_with_sound_pictures_leave_a_sixth_nearly_as_they_were(preset):
    def share(name: str) -> float:
        drawn = [draw(PRESETS[name], 0, i, 512).passes for i in range(2000)]
        return sum(len(p) == 1 and p[0].shrink <= 1.5 and max(p[0].sigma) <= 1.4 for p in drawn) / len(drawn)

    assert share(preset) < 0.1
    assert 0.16 < share(f"{preset}-sound") < 0.33


def test_the_paper_s_damage_has_motion_blur():
    drawn = [draw(PRESETS["gpen-paper"], 0, i, 512).passes[0].motion for i in range(200)]
    assert 60 < sum(m > 0 for m in drawn) < 140


@pytest.mark.parametrize(
    ("field", "value"), [("grain", (0, 300)), ("halftone", 2.0), ("dot_pitch", (1, 4)), ("sharpen_radius", (0.0, 9.0))]
)
def test_damage_that_no_photograph_has_is_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        Pass(**{field: value})
