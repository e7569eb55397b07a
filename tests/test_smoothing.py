"""Smoothing over time: less flicker, no lag, nothing across a cut."""

import numpy as np
import pytest
import torch
from small_films import SIDE, KnownFaces, Sharpener, frames_of, scene
from task_models import face_at

from gpen_core.background import Larger, Upscaler
from gpen_core.errors import ConfigError, InputError
from gpen_core.images import as_picture
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.video import Smoothing, restore_frames
from gpen_core.video.moments import FrameRestoration
from gpen_core.video.smoothing import blend, mean_mask, motion_view, smooth_landmarks

STEADY = Smoothing()
# What large faces keep of themselves is not smoothed.
PLAIN = RestoreOptions(blending=Blending(keep_detail=False))


def landmarks_over(path) -> torch.Tensor:
    return torch.stack([face_at(x, y, 100).landmarks for x, y in path])


def smoothed(points: torch.Tensor, times: torch.Tensor | None = None) -> torch.Tensor:
    times = torch.arange(len(points), dtype=torch.float64) if times is None else times
    result, reach = [], STEADY.landmark_reach
    for t in range(len(points)):
        window = slice(max(0, t - reach), t + reach + 1)
        spacing = float(times[-1] - times[0]) / (len(times) - 1)
        result.append(smooth_landmarks(times[window], points[window], float(times[t]), spacing, STEADY))
    return torch.stack(result)


def test_even_motion_is_met_exactly_at_the_ends_too():
    points = landmarks_over([(3.0 * t, 50 - 2.0 * t) for t in range(15)])
    torch.testing.assert_close(smoothed(points), points, atol=1e-3, rtol=0)


def test_uneven_frame_times_do_not_bend_even_motion():
    times = torch.tensor([0, 0.04, 0.08, 0.2, 0.21, 0.3, 0.34, 0.38, 0.5], dtype=torch.float64)
    points = landmarks_over([(100 * float(t), 20.0) for t in times])
    torch.testing.assert_close(smoothed(points, times), points, atol=1e-3, rtol=0)


@pytest.mark.parametrize("period", [20, 40])
def test_landmarks_lag_less_than_half_a_frame(period):
    t = np.arange(120)
    noise = 0.7 * torch.randn(120, 5, 2, generator=torch.Generator().manual_seed(0))
    clean = landmarks_over(zip(30 * np.sin(2 * np.pi * t / period), np.zeros(120), strict=True))
    out = smoothed(clean + noise)[10:-10, :, 0].mean(1).numpy()
    shifts = np.arange(-2, 2.01, 0.05)
    wave = [np.corrcoef(out, np.sin(2 * np.pi * (t[10:-10] - s) / period))[0, 1] for s in shifts]
    assert abs(shifts[int(np.argmax(wave))]) <= 0.5
    assert float((smoothed(clean + noise) - clean)[10:-10].square().mean()) < float(noise.square().mean())


def test_jitter_of_a_still_face_is_more_than_halved():
    noise = torch.randn(200, 5, 2, generator=torch.Generator().manual_seed(1))
    points = landmarks_over([(10.0, 10.0)] * 200) + noise

    def jitter(x):
        return float((x[2:] - 2 * x[1:-1] + x[:-2]).abs().mean())

    assert jitter(smoothed(points)) < 0.3 * jitter(points)


def test_noise_is_averaged_and_what_moved_is_not():
    still, generator = (
        torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2)),
        torch.Generator().manual_seed(3),
    )
    noisy = [still + 0.05 * torch.randn(3, 64, 64, generator=generator) for _ in range(5)]
    calm = blend(noisy, list(motion_view(torch.stack(noisy))), 2, STEADY)
    assert float((calm - still).square().mean()) < 0.45 * float((noisy[2] - still).square().mean())
    opened = [crop.clone() for crop in noisy]
    for crop in opened[3:]:
        crop[:, 30:50, 20:44] = 0.0
    for crop in opened[:3]:
        crop[:, 30:50, 20:44] = 1.0
    mouth = blend(opened, list(motion_view(torch.stack(opened))), 2, STEADY)[:, 34:46, 24:40]
    assert float((mouth - 1).abs().mean()) < 0.01


def test_identical_frames_stay_what_they_are():
    crop = torch.rand(3, 32, 32)
    torch.testing.assert_close(blend([crop] * 3, list(motion_view(torch.stack([crop] * 3))), 1, STEADY), crop)
    assert torch.equal(mean_mask([crop[0]], 0, STEADY), crop[0])


def restored(frames, places, smoothing, jitter=0.5) -> list[np.ndarray]:
    restorer = FaceRestorer(Sharpener(), KnownFaces([[place] for place in places], jitter))
    return [result.picture for result in restore_frames(frames, restorer, PLAIN, smoothing=smoothing)]


def face_windows(frames, places) -> np.ndarray:
    """(T, 24, 24, 3): the middle of the face, followed by whole pixels."""
    return np.stack(
        [
            f[round(y) + 8 : round(y) + 32, round(x) + 8 : round(x) + 32]
            for f, (x, y) in zip(frames, places, strict=True)
        ]
    ).astype(float)


def flicker(windows: np.ndarray) -> float:
    return float(np.abs(windows[2:] - 2 * windows[1:-1] + windows[:-2]).mean())


@pytest.mark.parametrize("motion", [(0, 0), (1, 0), (2, 1)])
def test_flicker_falls_below_six_tenths_and_the_picture_comes_closer_to_the_clean_one(motion):
    places = [(10 + motion[0] * t, 12 + motion[1] * t) for t in range(24)]
    noisy, clean = frames_of(places, noise=8), frames_of(places)
    target = face_windows(restored(clean, places, None, jitter=0), places)
    without = face_windows(restored(noisy, places, None), places)
    smooth = face_windows(restored(noisy, places, STEADY), places)
    assert flicker(smooth) <= 0.6 * flicker(without)
    assert np.square(smooth - target).mean() <= np.square(without - target).mean()


def test_nothing_bleeds_over_a_cut():
    before = [np.rint(scene(20, 15, seed=1) * 255).astype(np.uint8)] * 6
    after = [np.rint(scene(20, 15, seed=2, background=0.8) * 255).astype(np.uint8)] * 6
    places = [(20, 15)] * 12
    together = restored(before + after, places, STEADY, jitter=0)
    apart = restored(before, places[:6], STEADY, jitter=0) + restored(after, places[6:], STEADY, jitter=0)
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_face_missed_for_a_frame_is_restored_all_the_same():
    frames = frames_of([(20, 15)] * 10)
    places = [[(20, 15)]] * 4 + [[]] + [[(20, 15)]] * 5
    restorer = FaceRestorer(Sharpener(), KnownFaces(places))
    results = list(restore_frames(frames, restorer, smoothing=STEADY))
    assert [len(result.faces) for result in results] == [1] * 10
    np.testing.assert_array_equal(results[4].picture, results[5].picture)


def test_the_flicker_figure_tells_with_and_without():
    places = [(20, 15)] * 16
    run = FrameRestoration(FaceRestorer(Sharpener(), KnownFaces([[p] for p in places])), RestoreOptions(), STEADY)
    frames = frames_of(places, noise=8)
    for start in (0, 8):
        run.push([(start + k, (start + k) / 25, frames[start + k]) for k in range(8)])
    assert sum(len(list(block)) for block in run.drain()) == 16
    assert run.flicker.with_smoothing <= 0.6 * run.flicker.without_smoothing
    assert run.flicker.without_smoothing > 5


def test_without_smoothing_every_frame_is_what_restore_makes_of_it():
    places = [(10 + t, 12) for t in range(5)]
    frames = frames_of(places, noise=5)
    for frame, place, result in zip(frames, places, restored(frames, places, None, jitter=0), strict=True):
        alone = FaceRestorer(Sharpener()).restore(frame, PLAIN, detections=[face_at(*place, SIDE)])
        np.testing.assert_array_equal(result, alone.picture)


def test_without_smoothing_larger_frames_are_what_restore_many_makes_of_them_on_the_same_canvas():
    class Twice(torch.nn.Module):
        scale = 2

        def forward(self, image):
            return image.repeat_interleave(2, 2).repeat_interleave(2, 3)

    frames, larger = frames_of([(10, 12)] * 3, noise=5), Larger(scale=2, upscaler=Upscaler(network=Twice()))
    pictures, found = [as_picture(frame) for frame in frames], face_at(10, 12, SIDE)
    wanted = FaceRestorer(Sharpener()).restore_many(
        [larger.plain(picture) for picture in pictures],
        detections=[[found.scaled(2, 2)]] * 3,
        canvases=[larger.canvas(picture) for picture in pictures],
    )
    done = restore_frames(frames, FaceRestorer(Sharpener()), detections=[[found]] * 3, larger=larger)
    for one, other in zip(done, wanted, strict=True):
        np.testing.assert_array_equal(one.picture, other.decoded.pixels)


@pytest.mark.parametrize("given", [2, 11])
def test_fewer_detections_than_frames_are_refused_with_both_counts(given):
    found = [[face_at(10, 12, SIDE)]] * given
    results = restore_frames(frames_of([(10, 12)] * 12), FaceRestorer(Sharpener()), detections=found)
    with pytest.raises(InputError, match=f"the faces of {given} frames, and at least {8 if given < 8 else 12} frames"):
        list(results)


def test_smoothing_options_check_themselves():
    with pytest.raises(ConfigError, match="crops is 0; expected a number of frames above 0"):
        Smoothing(crops=0)
    with pytest.raises(ConfigError, match="landmark_reach is 17"):
        Smoothing(landmark_reach=17)
