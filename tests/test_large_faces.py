"""What of a face stays the picture's own: what is sound of a large one, and the finest of a small one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from small_restorers import Network, face, inverted
from torch.nn import functional as F

from gpen_core.batch import BatchOptions, collect, restoring, run_batch
from gpen_core.faces import own
from gpen_core.faces.own import noise_of, shares_of
from gpen_core.images import as_picture, read_picture
from gpen_core.measures.figures import face_figures
from gpen_core.measures.metrics import detail
from gpen_core.options import Blending, RestoreOptions
from gpen_core.report import FaceReport
from gpen_core.restore import FaceRestorer

FACE = face(60, 50, 200)
WITHOUT = RestoreOptions(blending=Blending(keep_detail=False))


def sharp(side: int = 320) -> np.ndarray:
    """(side, side, 3) uint8: patches of all sizes down to single pixels, as a sharp photograph has."""
    source = torch.Generator().manual_seed(3)
    picture = torch.zeros(3, side, side)
    for cells in (5, 20, 40, 80, side):
        layer = torch.rand(1, 3, cells, cells, generator=source)
        strength = 0.06 if cells == side else 0.2
        picture += strength * F.interpolate(layer, (side, side), mode="nearest")[0]
    return (picture / picture.max() * 255).round().byte().permute(1, 2, 0).numpy()


def drawn(side: int) -> np.ndarray:
    """(side, side, 3) uint8: shapes with hard edges and nothing between, as eyes and mouths are to the skin."""
    random = np.random.default_rng(2)
    picture = Image.new("RGB", (side, side), (150, 120, 110))
    draw = ImageDraw.Draw(picture)
    for number in range(80):
        x, y, wide, high = (int(n) for n in (*random.integers(0, side, 2), *random.integers(side // 40, side // 8, 2)))
        colour = tuple(int(level) for level in random.integers(40, 230, 3))
        (draw.ellipse if number % 2 else draw.line)((x, y, x + wide, y + high), fill=colour)
    return np.asarray(picture)


def soft() -> Network:
    """A network that gives a face back a little softer, as small ones do."""
    return Network(lambda x: 0.7 * x + 0.3 * F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


def planes(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def test_a_sound_face_keeps_its_detail_and_loses_it_otherwise() -> None:
    picture, restorer = sharp(), FaceRestorer(soft(), lambda x: [[]])
    kept = restorer.restore(picture, detections=[FACE])
    lost = restorer.restore(picture, WITHOUT, detections=[FACE])
    assert float(detail(planes(kept.picture), planes(picture))) >= 0.98
    assert float(detail(planes(lost.picture), planes(picture))) < 0.9
    assert kept.faces[0].kept == pytest.approx(1.0, abs=0.05)
    assert lost.faces[0].kept is None


def test_a_face_of_which_the_network_leaves_nothing_is_the_networks() -> None:
    picture, restorer = sharp(), FaceRestorer(inverted(), lambda x: [[]])
    result = restorer.restore(picture, detections=[FACE])
    np.testing.assert_array_equal(result.picture, restorer.restore(picture, WITHOUT, detections=[FACE]).picture)
    assert result.faces[0].kept == 0


def test_noise_of_a_large_face_goes_and_its_edges_stay() -> None:
    clean = np.full((320, 320, 3), 90, np.uint8)
    clean[:, 160:162] = 220  # a hair of two pixels, which a network of 64 px knows nothing of
    noise = np.random.default_rng(5).normal(0, 20, clean.shape)
    picture = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert 10 < 255 * noise_of(planes(picture)[0]) < 20
    restorer = FaceRestorer(soft(), lambda x: [[]])
    kept = restorer.restore(picture, detections=[FACE]).picture[120:200].astype(float)
    lost = restorer.restore(picture, WITHOUT, detections=[FACE]).picture[120:200].astype(float)
    assert kept[:, 110:150].std() < 0.6 * picture[120:200, 110:150].std()
    assert kept[:, 160:162].mean() > 200
    assert lost[:, 160:162].mean() < 170


def test_another_tone_is_taken_although_the_fine_structure_is_kept() -> None:
    # In good light, with black and white: what spans less is shown to the network otherwise.
    picture = sharp()
    picture[100:112, 110:210], picture[208:220, 110:210] = 255, 0
    restorer = FaceRestorer(Network(lambda x: 0.6 * x), lambda x: [[]])
    result = restorer.restore(picture, detections=[FACE])
    middle = np.s_[120:200, 120:200]
    assert np.mean(result.picture[middle]) == pytest.approx(0.6 * np.mean(picture[middle]), abs=6)
    inner = planes(result.picture[middle].copy()), planes(picture[middle].copy())
    assert float(detail(*inner)) >= 0.98


def inside(picture: np.ndarray) -> torch.Tensor:
    """The middle of the small face."""
    return planes(picture[60:76, 70:86].copy())


def test_a_small_face_loses_nothing_by_being_cut_out_and_is_judged_by_nobody() -> None:
    picture, restorer = sharp(), FaceRestorer(Network(lambda x: x), lambda x: [[]])
    small = face(60, 50, 30)
    result = restorer.restore(picture, detections=[small])
    assert result.faces[0].kept is None
    kept, lost = (inside(restorer.restore(picture, how, detections=[small]).picture) for how in (None, WITHOUT))
    assert float((kept - inside(picture)).abs().mean()) < 0.5 * float((lost - inside(picture)).abs().mean())
    assert float(detail(kept, inside(picture))) > 0.98


def test_a_weave_that_a_network_took_away_does_not_come_back() -> None:
    picture = np.full((320, 320, 3), 110, np.uint8)
    picture[:, ::2] = 130  # as columns, which are no noise
    restorer = FaceRestorer(Network(lambda x: F.avg_pool2d(x, 9, 1, 4, count_include_pad=False)), lambda x: [[]])
    result = restorer.restore(picture, detections=[face(60, 50, 36)])
    assert result.faces[0].kept is None
    assert result.picture[56:72, 66:80].std() < 0.15 * picture.std()


def test_an_aligned_face_larger_than_the_network_keeps_its_detail_too() -> None:
    picture, restorer = sharp(256), FaceRestorer(soft())
    result = restorer.restore(picture, aligned=True)
    assert float(detail(planes(result.picture), planes(picture))) >= 0.98
    lost = restorer.restore(picture, WITHOUT, aligned=True)
    assert float(detail(planes(lost.picture), planes(picture))) < 0.9


@pytest.mark.parametrize("side", [200, 300])
def test_an_aligned_face_goes_back_at_another_size_closer_than_by_bilinear_sampling(side: int) -> None:
    picture = sharp(side)
    result = FaceRestorer(Network(lambda x: x, 256)).restore(picture, WITHOUT, aligned=True).picture
    linear = planes(picture)
    for size in (256, side):
        linear = F.interpolate(linear, (size, size), mode="bilinear", antialias=True)
    error, more = (float((face - planes(picture)).abs().mean()) for face in (planes(result), linear))
    assert error < 0.92 * more


def test_the_report_says_how_much_a_face_keeps_and_warns_of_no_loss() -> None:
    restorer = FaceRestorer(soft(), lambda x: [[]])
    result = restorer.restore(sharp(), detections=[FACE])
    row = FaceReport.of(result.faces[0], 0, as_picture(result.picture), [face_figures])
    assert row.kept == pytest.approx(1.0, abs=0.05)
    assert row.warnings == ()
    assert (row.left, row.spared) == (result.faces[0].left, result.faces[0].spared) == (True, False)
    plain = replace(result.faces[0], kept=None)
    assert FaceReport.of(plain, 0, as_picture(result.picture), [face_figures]).warnings


def test_faces_left_as_they_are_are_named_in_the_row_and_counted_at_the_end(
    tmp_path: Path,
) -> None:
    Image.fromarray(sharp()).save(tmp_path / "a.png")
    report, rows = tmp_path / "report.json", []
    restorer = FaceRestorer(soft(), lambda x: [[FACE]])
    summary = run_batch(
        collect([tmp_path / "a.png"], tmp_path / "out"),
        restoring(restorer, RestoreOptions()),
        BatchOptions(report=report),
        finished=rows.append,
    )
    assert rows[0].notes == ("left face 0 as found: larger than the model's own size, and sound at that size",)
    assert summary.faces_left == 1


@pytest.fixture
def told_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blind, patches are no good face."""
    monkeypatch.setattr(own, "told_blind", lambda crops: torch.full((len(crops),), 0.15))


def test_damage_is_told_blind_where_the_crop_is_large_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = torch.zeros(3, 8, 8)
    for told, change in ((0.15, 0.0), (0.25, 0.0), (0.6, 1.0)):
        monkeypatch.setattr(own, "told_blind", lambda crops, told=told: torch.full((len(crops),), told))
        face = planes(sharp(256))[0]
        assert shares_of(face, face, quiet, 2.0).change == pytest.approx(change, abs=0.01)
        small = planes(sharp(64))[0]
        assert shares_of(small, small, quiet, 2.0).change == 0, "of 64 px it knows nothing"


def test_a_sound_face_is_sound_to_a_network_of_512_pixels_too(told_good: None) -> None:
    sound = F.interpolate(planes(drawn(256)), (512, 512), mode="bilinear")[0]
    rows = torch.arange(512)
    texture = 0.06 * (1 - 2 * ((rows[:, None] + rows) % 2))
    blurred = F.avg_pool2d(sound[None], 9, 1, 4, count_include_pad=False)[0]
    # What a network adds of the finest structure says nothing of the face; what it brings back of the coarser does.
    assert shares_of(sound, (sound + texture).clamp(0, 1), sound, 0.8).change == pytest.approx(0, abs=0.05)
    assert shares_of(blurred, sound, blurred, 0.8).change == 1
    assert shares_of(sound, sound, sound, 0.4).change == 1, "it is smaller than 256 px"


def test_a_large_face_that_lacks_what_512_pixels_could_show_is_not_sound(told_good: None) -> None:
    face, quiet = planes(drawn(512)), torch.zeros(3, 8, 8)
    shrunk = F.interpolate(face, (170, 170), mode="area")
    blunt = F.interpolate(shrunk, (512, 512), mode="bicubic").clamp(0, 1)[0]
    assert shares_of(face[0], face[0], quiet, 2.0).change == pytest.approx(0, abs=0.01)
    assert shares_of(blunt, blunt, quiet, 2.0).change == 1
    assert shares_of(blunt, blunt, quiet, 0.9).change == 0, "the picture has no pixels for it"
    halved = F.interpolate(blunt[None], (256, 256), mode="area")[0]
    assert shares_of(halved, halved, quiet, 2.0).change == 0, "nothing of it is for a network of 256 px to give"


@pytest.mark.parametrize(("side", "scale"), [(256, 1.5), (512, 0.8), (512, 2.0)])
def test_noise_that_came_after_blur_is_no_structure(told_good: None, side: int, scale: float) -> None:
    portrait = read_picture(Path(__file__).parent / "golden" / "astronaut.jpg").pixels[:256, 32:288]
    face = F.interpolate(planes(portrait), (side, side), mode="bicubic").clamp(0, 1)[0]
    small = F.interpolate(face[None], (40, 40), mode="area")
    blurred = F.interpolate(small, (side, side), mode="bicubic")[0]
    noise = torch.randn(face.shape, generator=torch.Generator().manual_seed(1)) * 6 / 255
    noisy, quiet = (blurred + noise).clamp(0, 1), torch.zeros(3, 8, 8)
    assert shares_of(noisy, noisy, quiet, scale).change == pytest.approx(1, abs=0.02)
    if side == 256:
        assert shares_of(face, face, quiet, scale).change == pytest.approx(0, abs=0.02)
        assert shares_of((face + noise).clamp(0, 1), face, quiet, scale).change < 0.3
