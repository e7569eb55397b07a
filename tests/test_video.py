"""Films in and out: sound, times, rotation, depth, interruption, and what is refused."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from small_films import HEIGHT, WIDTH, KnownFaces, Sharpener, decoded, frames_of, sound_packets, write_film
from small_models import small_model

from gpen_core import weights
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError, InputError, PictureError
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.video import FilmOptions, restore_film, writing
from gpen_core.video.info import probe
from gpen_core.video.reading import read_frames
from gpen_core.weights import checkpoint

#: Stand-in detectors know the faces by the number of their frame, so they are to see each, in order.
FAST = {"preset": "ultrafast", "quality": 4, "detect_every": 1}


_KILLED_RUN = """
import sys
sys.path[:0] = {path!r}
from test_video import FAST, restorer
from gpen_core.video import FilmOptions, restore_film

def say(progress):
    print(progress.done, flush=True)

restore_film({film!r}, {out!r}, restorer(60), film=FilmOptions(segment=16, **FAST), progress=say)
"""


def places(count: int) -> list[tuple[float, float]]:
    return [(10 + t % 40, 12 + t % 15) for t in range(count)]


def restorer(count: int, *, start: int = 0, faces: bool = True) -> FaceRestorer:
    here = [[place] if faces else [] for place in places(count)]
    return FaceRestorer(Sharpener(), KnownFaces(here, jitter=0.5, start=start))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(a.astype(float) - b).mean())))


def test_a_film_keeps_its_times_its_size_and_its_sound(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(20)), sound=True)
    seen = []
    report = restore_film(film, tmp_path / "out.mp4", restorer(20), film=FilmOptions(**FAST), progress=seen.append)
    before, times = decoded(film)
    after, times_after = decoded(tmp_path / "out.mp4")
    assert times_after == times
    assert after[0].shape == before[0].shape
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(film)
    assert report.frames == 20
    assert report.faces == 20
    assert [track.frames for track in report.tracks] == [20]
    assert report.flicker < report.flicker_without_smoothing
    assert seen[-1].done == seen[-1].frames == 20
    assert seen[0].rate > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_film_without_faces_is_only_encoded_anew(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(9)))
    report = restore_film(film, tmp_path / "out.mkv", restorer(9, faces=False), film=FilmOptions(**FAST))
    assert report.flicker is None
    for before, after in zip(decoded(film)[0], decoded(tmp_path / "out.mkv")[0], strict=True):
        assert psnr(before, after) > 42


def test_only_the_face_changes(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(8), noise=3))
    whole = RestoreOptions(blending=Blending(keep_detail=False))
    restore_film(film, tmp_path / "out.mp4", restorer(8), whole, film=FilmOptions(**FAST))
    restore_film(film, tmp_path / "copy.mp4", restorer(8, faces=False), film=FilmOptions(**FAST))
    outside = np.ones((HEIGHT, WIDTH), dtype=bool)
    outside[:66, :66] = False
    for restored, copied in zip(decoded(tmp_path / "out.mp4")[0], decoded(tmp_path / "copy.mp4")[0], strict=True):
        assert psnr(restored[outside], copied[outside]) > 40
        assert psnr(restored[16:46, 14:50], copied[16:46, 14:50]) < 39.5


def test_variable_frame_times_stay_as_they_are(tmp_path):
    times = [0, 40, 50, 200, 240, 400, 700, 710, 900, 1000, 1500, 1540]
    film = write_film(tmp_path / "in.mkv", frames_of(places(12)), times=times)
    for name in ("out.mkv", "out.mp4"):
        restore_film(film, tmp_path / name, restorer(12), film=FilmOptions(segment=8, **FAST))
        np.testing.assert_allclose(decoded(tmp_path / name)[1], np.array(times) / 1000, atol=5e-4)


@pytest.mark.parametrize(
    ("pixel_format", "codec"), [("yuv420p10le", "libx264"), ("yuv444p", "libx264"), ("bgr0", "ffv1")]
)
def test_depth_and_sampling_are_kept(tmp_path, pixel_format, codec):
    film = write_film(tmp_path / "in.mkv", frames_of(places(8)), pixel_format=pixel_format, codec=codec)
    restore_film(film, tmp_path / "out.mkv", restorer(8), film=FilmOptions(**FAST))
    assert probe(tmp_path / "out.mkv").pixel_format == pixel_format.replace("bgr0", "yuv444p")
    for before, after in zip(decoded(film)[0], decoded(tmp_path / "out.mkv")[0], strict=True):
        assert psnr(before[50:, 60:], after[50:, 60:]) > 38


def test_a_rotated_film_is_turned_upright_and_its_faces_found(tmp_path):
    upright = frames_of(places(8))
    lying = write_film(tmp_path / "in.mp4", [np.ascontiguousarray(np.rot90(frame, 1)) for frame in upright])
    # A display matrix in the track's header: show it turned by 90 degrees.
    data = lying.read_bytes()
    at = data.index(b"tkhd") + 4 + 40
    straight = b"".join(n.to_bytes(4, "big", signed=True) for n in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    turned = b"".join(n.to_bytes(4, "big", signed=True) for n in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    assert data[at : at + 36] == straight
    lying.write_bytes(data[:at] + turned + data[at + 36 :])
    info = probe(lying)
    assert (info.width, info.height, info.rotation) in [(WIDTH, HEIGHT, 3), (WIDTH, HEIGHT, 1)]
    restore_film(lying, tmp_path / "out.mp4", restorer(8, faces=False), film=FilmOptions(**FAST))
    out = probe(tmp_path / "out.mp4")
    assert (out.width, out.height, out.rotation) == (WIDTH, HEIGHT, 0)
    for before, after in zip(upright, decoded(tmp_path / "out.mp4")[0], strict=True):
        assert psnr(before, after) > 30


def test_odd_sides_keep_every_pixel(tmp_path):
    frames = [frame[:71, :103] for frame in frames_of(places(8))]
    film = write_film(tmp_path / "in.mkv", frames, codec="ffv1", pixel_format="yuv420p")
    report = restore_film(film, tmp_path / "out.mp4", restorer(8), film=FilmOptions(**FAST))
    assert decoded(tmp_path / "out.mp4")[0][0].shape == (71, 103, 3)
    assert any("odd" in note for note in report.notes)


def test_an_interrupted_film_leaves_nothing_and_is_gone_on_with_to_the_same_frames(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(60), noise=6), sound=True)
    options = FilmOptions(segment=16, **FAST)
    whole = restore_film(film, tmp_path / "whole.mp4", restorer(60), film=options)

    def stop(progress):
        if progress.done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_film(film, tmp_path / "out.mp4", restorer(60), film=options, progress=stop)
    assert not (tmp_path / "out.mp4").exists()
    resumed = FilmOptions(segment=16, resume=True, **FAST)
    # Two segments, 32 frames, are done: the detector is first asked about the frame after them.
    report = restore_film(film, tmp_path / "out.mp4", restorer(60, start=32), film=resumed)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert report.tracks == whole.tracks
    assert report.flicker == pytest.approx(whole.flicker)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "out.mp4", "whole.mp4"]


def test_a_run_that_is_killed_is_gone_on_with_to_the_same_frames(tmp_path):
    film, out = write_film(tmp_path / "in.mp4", frames_of(places(60), noise=6), sound=True), tmp_path / "out.mp4"
    restore_film(film, tmp_path / "whole.mp4", restorer(60), film=FilmOptions(segment=16, **FAST))
    here = Path(__file__).parent
    code = _KILLED_RUN.format(path=[str(here), str(here.parent)], film=str(film), out=str(out))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if int(line) >= 40:
                break
        run.kill()
    assert run.returncode == -9
    assert not out.exists()
    done = len(list((tmp_path / ".out.mp4.segments").glob("*.nut")))
    assert done in (2, 3)
    resumed = FilmOptions(segment=16, resume=True, **FAST)
    restore_film(film, out, restorer(60, start=16 * done), film=resumed)
    assert out.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_work_begun_with_other_options_is_not_gone_on_with(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(30)))

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_film(film, tmp_path / "out.mp4", restorer(30), film=FilmOptions(segment=8, **FAST), progress=stop)
    other = FilmOptions(segment=8, resume=True, smoothing=None, **FAST)
    with pytest.raises(InputError, match=r"begun with other settings \(smoothing.crop_reach was 2, now None"):
        restore_film(film, tmp_path / "out.mp4", restorer(30), film=other)
    weaker, same = RestoreOptions().with_strength(0.5), FilmOptions(segment=8, resume=True, **FAST)
    with pytest.raises(InputError, match=r"\(options.blending.strength was 1.0, now 0.5\); give the same"):
        restore_film(film, tmp_path / "out.mp4", restorer(30), weaker, film=same)


def test_frames_are_the_same_from_the_start_and_from_the_middle(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(40)), options={"g": "12", "crf": "10"})
    info = probe(film)
    whole = list(read_frames(info))
    for start in (1, 12, 17, 39):
        part = list(read_frames(info, start=start, start_pts=whole[start].pts))
        assert [frame.index for frame in part] == list(range(start, 40))
        for a, b in zip(whole[start:], part, strict=True):
            assert a.pts == b.pts
            np.testing.assert_array_equal(a.frame.to_ndarray(), b.frame.to_ndarray())


def test_masks_limit_what_changes_and_those_of_another_film_are_refused(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(8), noise=3))
    black = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    Image.fromarray(black).save(tmp_path / "none.png")
    Image.fromarray(black[:40]).save(tmp_path / "small.png")
    write_film(tmp_path / "short.mp4", frames_of(places(5)))
    restore_film(film, tmp_path / "copy.mp4", restorer(8, faces=False), film=FilmOptions(**FAST))
    restore_film(film, tmp_path / "out.mp4", restorer(8), film=FilmOptions(**FAST), masks=tmp_path / "none.png")
    for a, b in zip(decoded(tmp_path / "out.mp4")[0], decoded(tmp_path / "copy.mp4")[0], strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match=rf"small.png is {WIDTH}×40, .*in.mp4 {WIDTH}×{HEIGHT}"):
        restore_film(film, tmp_path / "x.mp4", restorer(8), masks=tmp_path / "small.png")
    with pytest.raises(InputError, match=r"5 masks, .*in.mp4 8 frames"):
        restore_film(film, tmp_path / "x.mp4", restorer(8), masks=tmp_path / "short.mp4")


def test_a_truncated_film_is_refused_and_restored_when_asked(tmp_path):
    frames = frames_of(places(40), noise=20)
    film = write_film(tmp_path / "in.mkv", frames, options={"g": "5", "crf": "10"})
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    with pytest.raises(PictureError, match="was cut short: it ends at"):
        restore_film(film, tmp_path / "out.mp4", restorer(40), film=FilmOptions(**FAST))
    report = restore_film(film, tmp_path / "out.mp4", restorer(40), film=FilmOptions(allow_truncated=True, **FAST))
    assert 15 <= report.frames < 40
    assert len(decoded(tmp_path / "out.mp4")[0]) == report.frames
    assert any("cut short" in note for note in report.notes)


def test_files_that_are_no_films_are_refused(tmp_path):
    with pytest.raises(PictureError, match=r"missing.mp4: no such file"):
        restore_film(tmp_path / "missing.mp4", tmp_path / "out.mp4", restorer(1))
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(PictureError, match=r"text.mp4 cannot be opened as a film"):
        restore_film(tmp_path / "text.mp4", tmp_path / "out.mp4", restorer(1))
    cut = write_film(tmp_path / "cut.mp4", frames_of(places(8)))
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(PictureError, match=r"cut short before its index"):
        restore_film(cut, tmp_path / "out.mp4", restorer(8))


def test_a_codec_that_pyav_lacks_is_named_with_the_remedy(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(8)))
    film.write_bytes(film.read_bytes().replace(b"avc1", b"zq9x"))
    with pytest.raises(
        PictureError, match=r"in.mp4: this PyAV has no decoder for its pictures; convert the film to H.264"
    ):
        restore_film(film, tmp_path / "out.mp4", restorer(8))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4"]


def test_a_film_of_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(PictureError, match="no picture stream, only audio"):
        restore_film(tmp_path / "sound.mp4", tmp_path / "out.mp4", restorer(1))


def test_a_film_of_no_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "empty.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        container.start_encoding()
    with pytest.raises(PictureError, match="empty"):
        restore_film(tmp_path / "empty.mkv", tmp_path / "out.mp4", restorer(1))


def test_outputs_are_checked_before_any_work(tmp_path):
    film = write_film(tmp_path / "in.mp4", frames_of(places(8)))
    with pytest.raises(PictureError, match=r"films are written as \.mp4"):
        restore_film(film, tmp_path / "out.gif", restorer(8))
    with pytest.raises(PictureError, match="no encoder called 'h999'"):
        restore_film(film, tmp_path / "out.mp4", restorer(8), film=FilmOptions(codec="h999"))
    with pytest.raises(PictureError, match=r"is the input itself; choose another folder or name$"):
        restore_film(film, film, restorer(8), film=FilmOptions(overwrite=True))
    (tmp_path / "there.mp4").touch()
    with pytest.raises(PictureError, match="is there already"):
        restore_film(film, tmp_path / "there.mp4", restorer(8))
    with pytest.raises(ConfigError, match="a segment is 12 frames; expected a multiple of 8"):
        FilmOptions(segment=12)


def test_a_full_disk_is_said_in_one_line_and_leaves_no_film(tmp_path, monkeypatch):
    film = write_film(tmp_path / "in.mp4", frames_of(places(16), noise=9))

    class FullDisk:
        def __init__(self, file):
            self.file, self.left = file, 20_000

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

        def close(self):
            self.file.close()
            raise OSError(errno.ENOSPC, "No space left on device")  # what was buffered finds no space either

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = Path.open
    monkeypatch.setattr(
        writing.Path,
        "open",
        lambda self, *a, **k: FullDisk(opened(self, *a, **k)) if ".nut.part" in self.name else opened(self, *a, **k),
    )
    with pytest.raises(PictureError, match=r"no space left to write .*--resume"):
        restore_film(film, tmp_path / "out.mp4", restorer(16), film=FilmOptions(segment=8, **FAST))
    assert not (tmp_path / "out.mp4").exists()


def test_gpen_restore_takes_films(tmp_path, monkeypatch, capsys):
    film = write_film(tmp_path / "in.mp4", frames_of(places(10)), sound=True)
    network = small_model(GPENConfig.standard(32, narrow=1 / 32, style_dim=16, n_mlp=2))
    checkpoint.write(tmp_path / "small.safetensors", network.state_dict(), network.config, ModelCard(name="small"))
    detector = KnownFaces([[place] for place in places(10)] * 2)
    monkeypatch.setattr(weights, "load_detector", lambda source=None, device="auto": detector)
    words = ["restore", film, "-o", tmp_path / "out.mp4", "--model", tmp_path / "small.safetensors", "--device", "cpu"]
    assert main([str(word) for word in [*words, "--quiet", "--preset", "ultrafast"]]) == 0
    assert "10 frames, 1 face followed, flicker" in capsys.readouterr().out
    assert len(decoded(tmp_path / "out.mp4")[0]) == 10
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert report["tracks"][0]["frames"] == 10
    assert main([str(word) for word in [*words, "--quiet"]]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--aligned"]]) == 1
    assert "--aligned is for pictures" in capsys.readouterr().err
