"""What cameras, phones, tapes and discs put into films, kept, or said to be left out."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_films import HEIGHT, SIDE, WIDTH, KnownFaces, Sharpener, decoded, frames_of, sound_packets, write_film
from task_models import face_at

from gpen_core.errors import PictureError
from gpen_core.restore import FaceRestorer
from gpen_core.video import FilmOptions, FilmReport, restore_film
from gpen_core.video.encoding import choose_encoding, quality_options
from gpen_core.video.info import probe
from gpen_core.video.orientation import Orientation
from gpen_core.video.writing import black_segment

PLACES = [(10.0 + k, 12.0) for k in range(10)]


def restore(film: Path, out: Path, *, faces: bool = True, **options) -> FilmReport:
    restorer = FaceRestorer(Sharpener(), KnownFaces([[place] if faces else [] for place in PLACES * 6]))
    return restore_film(film, out, restorer, film=FilmOptions(**{"preset": "ultrafast", "quality": 4, **options}))


def heard(path: Path) -> np.ndarray:
    """Samples of the first sound, mixed to one channel."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def camera_film(path: Path, *, codec: str = "libx264", sound: str = "", **settings) -> Path:
    """A film of ten frames. settings: of the pictures' codec context; sound: a codec."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "4"} if codec == "libx264" else {"qscale": "2"})
        stream.height, stream.width = HEIGHT, WIDTH
        for name, value in {"pix_fmt": "yuv420p", **settings}.items():
            setattr(stream.codec_context, name, value)
        voice = container.add_stream(sound, rate=32000) if sound else None
        for pixels in frames_of(PLACES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if voice is not None:
            tone = np.sin(np.arange(2 * 12800) // 2 * 0.05) * 8000
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 32000, 0
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


def test_sound_that_the_container_refuses_is_encoded_anew_and_the_same_is_heard(tmp_path):
    film = camera_film(tmp_path / "dv.avi", codec="mjpeg", pix_fmt="yuvj420p", sound="pcm_s16le")
    report = restore(film, tmp_path / "out.mp4")
    assert report.notes == ("its sound (pcm_s16le) does not fit into mp4; it was encoded as aac",)
    before, after = heard(film), heard(tmp_path / "out.mp4")
    assert abs(len(after) - len(before)) < 2100
    middle = slice(4000, 8000)
    assert np.corrcoef(before[middle], after[middle])[0, 1] > 0.99
    assert restore(film, tmp_path / "out.mkv").notes == ()
    assert [data for _, data in sound_packets(tmp_path / "out.mkv")] == [data for _, data in sound_packets(film)]


def test_what_a_container_refuses_is_known_before_the_first_frame(tmp_path):
    film = camera_film(tmp_path / "in.mp4")

    def never(pictures):
        raise AssertionError("a frame was looked at")

    for name, codec, said in (
        ("out.webm", "libx264", r"webm does not take pictures of libx264 .* give .*out\.webm another suffix"),
        ("out.mp4", "h264_nvenc", "h264_nvenc does not encode 104×72 pictures here .* such as libx264"),
    ):
        with pytest.raises(PictureError, match=said):
            restore_film(
                film, tmp_path / name, FaceRestorer(Sharpener(), never), film=FilmOptions(codec=codec, quality=4)
            )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_pictures_larger_than_there_are_any_are_refused_with_the_scale(tmp_path):
    info = replace(probe(camera_film(tmp_path / "in.mp4")), width=4032, height=3024)
    encoding, _ = choose_encoding(info, tmp_path / "out.mp4", codec=None, quality=18, preset="faster", scale=8)
    with pytest.raises(PictureError, match=r"32256×24192, 8 times the film's 4032×3024; give a smaller scale"):
        black_segment(info, encoding)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_pixels_keep_their_aspect_and_films_their_rate(tmp_path, suffix):
    film = camera_film(tmp_path / "in.mkv", sample_aspect_ratio=Fraction(16, 15))
    report = restore(film, tmp_path / f"out{suffix}")
    after = probe(tmp_path / f"out{suffix}")
    assert (after.pixel_aspect, after.rate, after.frames) == (Fraction(16, 15), 25, 10)
    assert report.notes == ()


def with_matrix(film: Path, matrix: tuple[int, ...]) -> Path:
    """The film, shown by another display matrix (a, b, c, d) in its track's header."""
    data = film.read_bytes()
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (65536 * n for n in matrix)
    bytes_ = b"".join(n.to_bytes(4, "big", signed=True) for n in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    film.write_bytes(data[:at] + bytes_ + data[at + 36 :])
    return film


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_any_display_matrix_is_applied_as_what_it_is(tmp_path, turns, mirrored):
    orientation = Orientation(turns=turns, mirrored=mirrored)
    upright = frames_of(PLACES)
    # The inverse of what makes it upright: turned back first, then mirrored.
    lying = [np.ascontiguousarray(np.rot90(f, -turns)[:, ::-1] if mirrored else np.rot90(f, -turns)) for f in upright]
    np.testing.assert_array_equal(orientation.applied(lying[0]), upright[0])
    (a, b), (c, d) = {0: ((1, 0), (0, 1)), 1: ((0, -1), (1, 0)), 2: ((-1, 0), (0, -1)), 3: ((0, 1), (-1, 0))}[turns]
    film = write_film(tmp_path / "in.mp4", lying)
    with_matrix(film, (-a, -b, c, d) if mirrored else (a, b, c, d))
    assert probe(film).orientation == orientation
    assert restore(film, tmp_path / "out.mp4", faces=False).notes == ()
    after, _ = decoded(tmp_path / "out.mp4")
    for before, now in zip(upright, after, strict=True):
        assert np.abs(before.astype(int) - now).mean() < 4


def test_a_matrix_that_is_no_quarter_turn_is_spoken_of(tmp_path):
    film = with_matrix(write_film(tmp_path / "in.mp4", frames_of(PLACES)), (1, 1, -1, 1))
    report = restore(film, tmp_path / "out.mp4", faces=False)
    assert any("turns by no quarter" in note for note in report.notes)


def test_pixels_of_a_turned_film_are_turned_as_well(tmp_path):
    film = with_matrix(camera_film(tmp_path / "in.mp4", sample_aspect_ratio=Fraction(4, 3)), (0, 1, -1, 0))
    report = restore(film, tmp_path / "out.mp4", faces=False)
    assert probe(tmp_path / "out.mp4").pixel_aspect == Fraction(3, 4)
    assert report.notes == ()


def test_empty_frames_of_an_avi_are_no_end_and_a_cut_one_is(tmp_path):
    path = tmp_path / "gaps.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for pixels, pts in zip(frames_of(PLACES), (0, 1, 2, 5, 6, 9, 10, 11, 12, 30), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 31
    assert probe(path).ends_early is None
    assert restore(path, tmp_path / "out.mp4").frames == 10
    assert decoded(tmp_path / "out.mp4")[1] == decoded(path)[1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    with pytest.raises(PictureError, match=r"was cut short: it has .* bytes"):
        restore(path, tmp_path / "cut.mp4")


@pytest.mark.parametrize(("first", "order"), [("tff", "top"), ("bff", "bottom")])
def test_interlaced_fields_stay_what_they_are(tmp_path, first, order):
    film = tmp_path / "in.mkv"
    frames = frames_of(PLACES)
    write_film(film, frames, options={"crf": "4", "x264-params": f"{first}=1"})
    before = probe(film).inventory.fields
    assert before in ("top", order)  # PyAV before 18 does not say which is first
    report = restore(film, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").inventory.fields == before
    assert report.notes == ()
    report = restore(film, tmp_path / "out.webm", preset=None)
    assert report.notes == (f"its frames are two interlaced fields each, {before} first; the result does not say so",)


def test_chapters_tags_languages_and_attachments_are_carried_or_named(tmp_path):
    film = tmp_path / "in.mkv"
    write_film(tmp_path / "plain.mp4", frames_of(PLACES), sound=True)
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(film), "w") as target:
        target.metadata.update(title="Oma", composer="Bach", location="+52.5+013.4/")
        second = Fraction(1, 1000)
        target.set_chapters(
            [
                {"id": k, "start": 200 * k, "end": 200 * k + 200, "time_base": second, "metadata": {"title": title}}
                for k, title in enumerate(("Hochzeit", "Taufe"))
            ]
        )
        streams = [target.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        streams[1].metadata.update(language="deu", title="Ton")
        target.add_attachment("font.ttf", "font/ttf", b"some font")
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    assert restore(film, tmp_path / "out.mkv").notes == ()
    before, after = probe(film).inventory, probe(tmp_path / "out.mkv").inventory
    assert (after.chapters, after.tags) == (("Hochzeit", "Taufe"), before.tags)
    assert after.streams == before.streams
    assert restore(film, tmp_path / "out.mp4").notes == (
        "its attachment (font.ttf) left out: mp4 does not hold it",
        "mp4 does not keep the title of a stream: Ton",
    )
    after = probe(tmp_path / "out.mp4").inventory
    assert after.chapters == ("Hochzeit", "Taufe")
    assert after.tags.items() >= {"title": "Oma", "composer": "Bach"}.items()


def test_transparency_is_left_out_with_a_note(tmp_path):
    film = write_film(tmp_path / "in.mov", frames_of(PLACES), codec="qtrle", pixel_format="argb")
    assert restore(film, tmp_path / "out.mp4").notes == ("its transparency is left out",)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "notes"),
    [
        ("yuv422p12le", "ffv1", ("films are encoded with 10 bits; the film's yuv422p12le was rounded to them",)),
        ("gray16le", "ffv1", ("films are encoded with 10 bits; the film's gray16le was rounded to them",)),
        ("yuv422p10le", "ffv1", ()),
    ],
)
def test_bits_that_are_not_kept_are_named(tmp_path, pixel_format, codec, notes):
    film = write_film(tmp_path / "in.mkv", frames_of(PLACES[:1]), codec=codec, pixel_format=pixel_format)
    encoding, said = choose_encoding(probe(film), tmp_path / "out.mkv")
    assert encoding.pixel_format.endswith("p10le")
    assert said == notes


def test_a_matroska_without_a_rate_does_not_become_one_of_a_thousand(tmp_path):
    film = write_film(tmp_path / "in.mkv", frames_of(PLACES), times=[k * 40 for k in range(10)])
    restore(film, tmp_path / "out.mkv")
    assert probe(tmp_path / "out.mkv").rate == 25


def test_each_encoder_gets_its_own_scale_of_quality_and_none_one_that_it_ignores():
    for name, wanted in {
        "libx264": {"crf": "18", "preset": "slow"},
        "libsvtav1": {"crf": "30", "preset": "5"},
        "h264_nvenc": {"cq": "18", "rc": "vbr", "preset": "p5"},
        "hevc_qsv": {"global_quality": "18", "preset": "slow"},
        "hevc_videotoolbox": {"flags": "+qscale", "global_quality": str(118 * 65)},
        "h264_amf": {"rc": "cqp", "qp_i": "18", "quality": "quality"},
        "h264_vaapi": {"qp": "18"},
        "mpeg4": {"flags": "+qscale", "global_quality": str(118 * 11)},
    }.items():
        options = dict(quality_options(name, 18, "slow"))
        assert options.items() >= wanted.items(), name
        assert ("crf" in options) == name.startswith("lib"), name
    assert quality_options("prores_ks", 18, "slow") == ()
    for name, preset in {"libsvtav1": "13", "h264_nvenc": "p7", "av1_amf": "high_quality"}.items():
        assert preset in dict(quality_options(name, 18, preset)).values(), name
    better, worse = (dict(quality_options("h264_videotoolbox", q, "slow"))["global_quality"] for q in (0, 51))
    assert int(better) > int(worse)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_film_becomes_av1_whose_decoder_is_called_otherwise_than_its_encoder(tmp_path, suffix):
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this PyAV has no libsvtav1")
    film = write_film(tmp_path / "in.mkv", frames_of(PLACES))
    restore(film, tmp_path / f"out{suffix}", codec="libsvtav1", segment=8, preset="13")
    assert "av1" in probe(tmp_path / f"out{suffix}").codec
    assert len(decoded(tmp_path / f"out{suffix}")[0]) == len(PLACES)


def in_good_light(left: int, top: int) -> list[np.ndarray]:
    """Ten frames with a face of black, white and all between: it comes to the network as it is."""
    frames = frames_of([(left, top)] * 10)
    for frame in frames:
        frame[top + 6 : top + 12, left + 6 : left + 14], frame[top + 14 : top + 20, left + 6 : left + 14] = 0, 255
    return frames


def shown_wide(left: int, top: int) -> list[np.ndarray]:
    """The same frames, stored at half their width."""
    return [frame.reshape(HEIGHT, -1, 2, 3).mean(2).round().astype(np.uint8) for frame in in_good_light(left, top)]


def test_a_face_in_wide_pixels_comes_to_the_network_as_it_is_seen(tmp_path):
    seen = {}

    class Noting(Sharpener):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def __call__(self, x):
            seen.setdefault(self.name, x.clone())
            return x

    def finding(pictures):
        assert abs(pictures.shape[-1] / pictures.shape[-2] - WIDTH / HEIGHT) < 0.01
        scale = pictures.shape[-1] / WIDTH
        return [[face_at(30, 20, SIDE).scaled(scale, scale)] for _ in pictures]

    for name, frames, aspect in (
        ("square", in_good_light(30, 20), Fraction(1)),
        ("wide", shown_wide(30, 20), Fraction(2)),
    ):
        film = tmp_path / f"{name}.mkv"
        with av.open(str(film), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv444p", aspect
            for pixels in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        restore_film(film, tmp_path / f"{name}.mp4", FaceRestorer(Noting(name), finding))
    assert probe(tmp_path / "wide.mp4").pixel_aspect == 2
    difference = (seen["square"] - seen["wide"]).abs()
    assert float(difference.mean()) < 0.02 < float(seen["square"].std())
