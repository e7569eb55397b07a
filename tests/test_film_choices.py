"""What is asked of films beyond restoring them whole: a part, a larger one, marks, figures, a plot."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from small_films import HEIGHT, SIDE, WIDTH, KnownFaces, Sharpener, decoded, frames_of, sound_packets, write_film
from task_models import face_at

from gpen_core.background import Larger, Upscaler
from gpen_core.cli import restore
from gpen_core.cli.film import film_options
from gpen_core.cli.main import main, parser_for
from gpen_core.errors import ConfigError, DeviceError, InputError
from gpen_core.film_options import FilmOptions
from gpen_core.measures.identity import Identity
from gpen_core.options import RestoreOptions, Selection
from gpen_core.restore import FaceRestorer
from gpen_core.video import FilmReport, restore_film
from gpen_core.video.info import probe
from gpen_core.video.plot import track_plot

#: Stand-in detectors know the faces by the number of their frame, so they are to see each, in order.
FAST = {"preset": "ultrafast", "quality": 4, "detect_every": 1}
STILL = (12.0, 14.0)


def restorer(count: int = 60, *, model=None, missing: tuple[int, ...] = (), scale: int = 1) -> FaceRestorer:
    place = tuple(scale * p for p in STILL)
    return FaceRestorer(model or Sharpener(), KnownFaces([[] if k in missing else [place] for k in range(count)]))


def film_of(path: Path, count: int = 40, **settings) -> Path:
    return write_film(path, frames_of([STILL] * count, noise=4), sound=True, **settings)


def times_of(path: Path) -> list[float]:
    return decoded(path)[1]


# ---- a part of the film


def test_a_part_is_restored_with_its_own_sound(tmp_path):
    film = film_of(tmp_path / "in.mp4", options={"g": "12", "crf": "4"})
    report = restore_film(film, tmp_path / "out.mp4", restorer(), film=FilmOptions(start=0.6, end=1.2, **FAST))
    assert report.frames == 15
    np.testing.assert_allclose(times_of(tmp_path / "out.mp4"), np.arange(15) / 25, atol=1e-3)
    restore_film(film, tmp_path / "whole.mp4", restorer(), film=FilmOptions(**FAST))
    for part, whole in zip(decoded(tmp_path / "out.mp4")[0], decoded(tmp_path / "whole.mp4")[0][15:], strict=False):
        assert np.abs(part.astype(int) - whole).mean() < 1.5
    packets = dict(enumerate(sound_packets(film)))
    sound = sound_packets(tmp_path / "out.mp4")
    wanted = [(time - 0.6, data) for time, data in packets.values() if 0.6 - 0.032 <= time < 1.2]
    assert [data for _, data in sound] == [data for _, data in wanted]
    np.testing.assert_allclose([t for t, _ in sound], [t for t, _ in wanted], atol=2e-3)


def test_a_part_that_is_interrupted_is_gone_on_with_to_the_same_file(tmp_path):
    film = film_of(tmp_path / "in.mp4", options={"g": "12", "crf": "4"})
    options = {"start": 0.3, "end": 1.3, "segment": 8, **FAST}
    restore_film(film, tmp_path / "whole.mp4", restorer(), film=FilmOptions(**options))

    def stop(progress):
        assert progress.frames == 25
        if progress.done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_film(film, tmp_path / "out.mp4", restorer(), film=FilmOptions(**options), progress=stop)
    restore_film(film, tmp_path / "out.mp4", restorer(), film=FilmOptions(resume=True, **options))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize("hidden", [0, 4])
def test_masks_of_a_part_are_those_of_its_frames(tmp_path, hidden):
    film = film_of(tmp_path / "in.mp4", 24 + hidden, hidden=hidden)
    assert (probe(film).frames, probe(film).ends_early, len(decoded(film)[0])) == (24, None, 24)
    masks = [np.full((HEIGHT, WIDTH, 3), 255 * (k >= 12), dtype=np.uint8) for k in range(24)]
    write_film(tmp_path / "masks.mp4", masks)
    part = FilmOptions(start=0.32, end=0.64, smoothing=None, **FAST)
    for name, given in (("masked.mp4", tmp_path / "masks.mp4"), ("free.mp4", None)):
        restore_film(film, tmp_path / name, restorer(), film=part, masks=given)
    restore_film(film, tmp_path / "plain.mp4", FaceRestorer(Sharpener(), KnownFaces([[]] * 60)), film=part)
    masked, free, plain = (decoded(tmp_path / f"{name}.mp4")[0] for name in ("masked", "free", "plain"))
    face = (slice(20, 48), slice(18, 46))
    for k in range(8):
        same_as = plain if k < 4 else free
        other = free if k < 4 else plain
        near, far = (np.abs(masked[k][face].astype(int) - films[k][face]).mean() for films in (same_as, other))
        assert near < 0.5 * far, k


def test_parts_that_hold_no_picture_are_refused_in_words(tmp_path):
    film = film_of(tmp_path / "in.mp4", 10)
    with pytest.raises(InputError, match=r"last picture at 0\.36 seconds; none is from 7 to the end"):
        restore_film(film, tmp_path / "out.mp4", restorer(), film=FilmOptions(start=7))
    with pytest.raises(ConfigError, match="from 2 to 1 seconds; expected a later end"):
        FilmOptions(start=2, end=1)


@pytest.mark.parametrize(("said", "seconds"), [("90", 90), ("1:30", 90), ("0:01:30.5", 90.5)])
def test_times_are_said_in_seconds_or_with_colons(said, seconds, capsys):
    options = film_options(parser_for(restore).parse_args(["in.mp4", "-o", "out", "--from", said, "--to", "9:59:59"]))
    assert (options.start, options.end) == (seconds, 35999)
    assert main(["restore", "in.mp4", "-o", "out", "--from", "soon"]) == 2
    assert "'soon' is no time" in capsys.readouterr().err


# ---- decoders


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_decoder_that_this_machine_has_not_is_refused_before_anything_is_written(tmp_path):
    film = film_of(tmp_path / "in.mp4", 10)
    with pytest.raises(DeviceError, match=r"in\.mp4 cannot be decoded by CUDA on this machine .*--decoder"):
        restore_film(film, tmp_path / "out.mp4", restorer(), film=FilmOptions(decoder="cuda", **FAST))
    assert not (tmp_path / "out.mp4").exists()


def test_a_film_in_a_codec_that_cuda_does_not_know_is_refused_in_words(tmp_path):
    film = write_film(tmp_path / "in.mkv", frames_of([STILL] * 8), codec="ffv1")
    with pytest.raises(DeviceError, match=r"in\.mkv cannot be decoded by CUDA .*--decoder"):
        restore_film(film, tmp_path / "out.mkv", restorer(), film=FilmOptions(decoder="cuda", **FAST))
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here, whose decoder it needs")
def test_films_are_the_same_whatever_decodes_them(tmp_path):
    film = film_of(tmp_path / "in.mp4", 20)
    for decoder in ("cpu", "cuda"):
        restore_film(
            film, tmp_path / f"{decoder}.mp4", restorer(), film=FilmOptions(decoder=decoder, start=0.2, **FAST)
        )
    assert (tmp_path / "cuda.mp4").read_bytes() == (tmp_path / "cpu.mp4").read_bytes()


# ---- larger, marked, judged


class Nearest:
    scale = 2

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return F.interpolate(image, scale_factor=2, mode="nearest")


@pytest.mark.parametrize("upscaler", [None, Upscaler(network=Nearest())])
def test_a_film_is_made_larger_and_its_faces_with_it(tmp_path, upscaler):
    film = film_of(tmp_path / "in.mp4", 12)
    larger = Larger(scale=2, upscaler=upscaler)
    detector = KnownFaces([[]] * 60)

    def twice(pictures):
        """Faces at twice the place and size: they are looked for in the larger frame."""
        return [[face_at(2 * STILL[0], 2 * STILL[1], 2 * SIDE)] for _ in pictures]

    chosen = RestoreOptions(selection=Selection(min_size=SIDE - 5))
    restore_film(
        film, tmp_path / "plain.mp4", FaceRestorer(Sharpener(), detector), larger=larger, film=FilmOptions(**FAST)
    )
    report = restore_film(
        film, tmp_path / "out.mp4", FaceRestorer(Sharpener(128), twice), chosen, larger=larger, film=FilmOptions(**FAST)
    )
    assert report.tracks[0].frames == 12
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames) == (2 * WIDTH, 2 * HEIGHT, 12)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(film)
    for before, plain, after in zip(
        *(decoded(p)[0] for p in (film, tmp_path / "plain.mp4", tmp_path / "out.mp4")), strict=True
    ):
        assert np.abs(plain[::2, ::2].astype(int) - before).mean() < 4
        assert np.abs(plain[:, 130:].astype(int) - after[:, 130:]).mean() < 1
        assert np.abs(plain[40:90, 40:90].astype(int) - after[40:90, 40:90]).mean() > 1


class TwoSizes(Sharpener):
    """A network for faces of 32 px and one for those of 64; remembers which it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.larger, self.asked = Sharpener(64).config, set()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.add(x.shape[-1])
        return super().__call__(x)


@pytest.mark.parametrize(("sides", "size"), [((240, 240), 64), ((120, 120), 32), ((240, 120), 32), ((120, 240), 64)])
def test_the_network_is_chosen_once_for_the_film_by_how_large_its_faces_are(tmp_path, sides, size):
    """sides: of the face in the first third of the film, and in the rest of it."""
    shape, first = (270, 300, 3), 8
    grain = np.random.default_rng(3).normal(0, 4, shape)
    frames = [np.clip(50 + 100 * (k >= first) + grain, 0, 255).astype(np.uint8) for k in range(24)]
    film = write_film(tmp_path / "in.mp4", frames, options={"g": "4", "crf": "4"})

    def detector(pictures):
        return [[face_at(15, 15, sides[0] if float(p.mean()) < 0.4 else sides[1])] for p in pictures]

    network = TwoSizes()
    done = restore_film(film, tmp_path / "out.mp4", FaceRestorer(network, detector), film=FilmOptions(**FAST))
    assert network.asked == {size}
    assert [note for note in done.notes if "px large" in note] == (
        [f"faces are about 240 px large: the network of {size} px restores them"] if size == 64 else []
    )


@pytest.mark.parametrize(("side", "scale", "size"), [(130, 2, 64), (90, 2, 32), (130, 1, 32)])
def test_a_larger_film_meets_the_network_of_its_larger_faces(tmp_path, side, scale, size):
    film = write_film(tmp_path / "in.mp4", [np.full((160, 160, 3), 60 + k, np.uint8) for k in range(8)])

    def detector(pictures):
        return [[face_at(15, 15, side * p.shape[-1] / 160)] for p in pictures]

    network, larger = TwoSizes(), Larger(scale=scale) if scale > 1 else None
    restore_film(film, tmp_path / "out.mp4", FaceRestorer(network, detector), larger=larger, film=FilmOptions(**FAST))
    assert network.asked == {size}


def test_a_larger_film_and_masks_are_refused_together(tmp_path):
    film = film_of(tmp_path / "in.mp4", 8)
    Image.new("L", (WIDTH, HEIGHT)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="larger without masks"):
        restore_film(film, tmp_path / "o.mp4", restorer(), larger=Larger(scale=2), masks=tmp_path / "mask.png")


class Never(Sharpener):
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the network was asked")


def test_marks_show_the_faces_and_ask_no_network(tmp_path):
    film = film_of(tmp_path / "in.mp4", 20)
    options = FilmOptions(segment=8, **FAST)
    report = restore_film(film, tmp_path / "out.mp4", restorer(model=Never()), film=options, mark=True)
    assert [(t.first, t.last, t.frames, t.flicker) for t in report.tracks] == [(0, 19, 20, None)]
    x, y = round(STILL[0]), round(STILL[1])
    for before, after in zip(decoded(film)[0], decoded(tmp_path / "out.mp4")[0], strict=True):
        edge = after[y : y + SIDE, x].astype(int) - before[y : y + SIDE, x]
        assert np.abs(edge).mean() > 40
        assert np.abs(after[60:, 70:].astype(int) - before[60:, 70:]).mean() < 4


def test_the_report_tells_of_each_face_what_was_missed_how_it_flickers_and_who_it_is(tmp_path):
    film = film_of(tmp_path / "in.mp4", 40)

    def embedder(faces):
        return F.adaptive_avg_pool2d(faces, 8).flatten(1)

    report = restore_film(
        film,
        tmp_path / "out.mp4",
        restorer(missing=(9, 10, *range(30, 40))),
        film=FilmOptions(**FAST),
        identity=Identity(embedder, "gpen"),
        report=tmp_path / "out.report.json",
    )
    (track,) = report.tracks
    assert (track.first, track.last, track.frames, track.missed, track.dropouts) == (0, 29, 30, 2, 0)
    assert track.flicker < track.flicker_without_smoothing
    assert report.flicker == pytest.approx(track.flicker)
    assert 0 < report.flicker_of_source < report.flicker_without_smoothing
    assert 0.9 < track.least_identity <= track.identity <= 1
    assert len(track.course) == 4
    root = ElementTree.parse(tmp_path / "out.report.svg").getroot()
    said = "".join(root.itertext())
    assert "face 0" in said
    assert "30 frames, 2 missed, identity" in said


def test_frames_without_a_face_in_a_track_count_as_dropouts(tmp_path):
    film = film_of(tmp_path / "in.mp4", 20)
    options = FilmOptions(smoothing=None, **FAST)
    report = restore_film(film, tmp_path / "out.mp4", restorer(missing=(8,)), film=options)
    assert [(t.first, t.last, t.dropouts) for t in report.tracks] in ([(0, 19, 1)], [(0, 7, 0), (9, 19, 0)])


def test_the_plot_of_a_film_without_faces_is_a_picture_as_well():
    empty = FilmReport(
        input="<a>", output="b", frames=0, faces=0, cuts=(), tracks=(), flicker=None, flicker_without_smoothing=None
    )
    assert ElementTree.fromstring(track_plot(empty)).tag.endswith("svg")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "mediun"], r"preset is 'mediun'; expected one of ultrafast, .*did you mean medium\?"),
        (["--preset", "nope"], "preset is 'nope'; expected one of ultrafast, .*, veryslow, the fastest .*"),
        (
            ["--codec", "libsvtav1", "--preset", "14"],
            r"preset is '14'; libsvtav1 takes 0 to 13, or one of ultrafast, .*",
        ),
        (
            ["--codec", "h264_nvenc", "--preset", "p8"],
            r"preset is 'p8'; h264_nvenc takes p1 to p7, or one of ultrafast, .*",
        ),
        (["--codec", "libx265", "--preset", "p4"], "preset is 'p4'; expected one of ultrafast, .*, veryslow, .*"),
        (["--codec", "mpeg4", "--preset", "faster"], r"preset is 'faster'; mpeg4 has none, leave it out \(--preset\)"),
        (["--codec", "prores_ks", "--crf", "18"], r"quality is 18; prores_ks takes none, leave it out \(--crf\)"),
        (["--codec", "nope"], "this PyAV has no encoder called 'nope'; leave the codec out for the usual one"),
        (
            ["--film-mask", "nope.png"],
            r"there is no file nope.png with the film's masks; give a picture or a film \(--film-mask\)",
        ),
    ],
)
def test_a_preset_and_a_mask_that_there_are_not_are_named_before_the_first_frame(
    tmp_path, words, said, monkeypatch, capfd
):
    film = write_film(tmp_path / "in.mp4", frames_of([(20.0, 15.0)] * 4))
    unused = FaceRestorer(Sharpener(), lambda pictures: pytest.fail("a frame was looked at"))
    monkeypatch.setattr(restore, "restorer_of", lambda arguments, options: (unused, unused.model))
    assert main(["restore", str(film), "-o", str(tmp_path / "out.mp4"), "--quiet", *words]) == 1
    assert re.fullmatch(f"gpen restore: {said}\n", capfd.readouterr().err)
    assert not (tmp_path / "out.mp4").exists()


def test_a_preset_that_there_is_not_is_named_before_the_pictures_beside_the_films(tmp_path, monkeypatch, capfd):
    (tmp_path / "in").mkdir()
    write_film(tmp_path / "in" / "a.mp4", frames_of([(20.0, 15.0)] * 4))
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    monkeypatch.setattr(restore, "restorer_of", lambda arguments, options: pytest.fail("networks were loaded"))
    assert main(["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--preset", "mediun"]) == 1
    assert "did you mean medium?" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
