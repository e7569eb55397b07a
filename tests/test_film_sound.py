"""Sound as cameras and broadcasts leave it: damaged, overlapping, of changing channels; and clocks that begin anew."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_films import HEIGHT, WIDTH, frames_of, sound_packets, write_film
from test_camera_films import PLACES, heard, restore

from gpen_core.errors import PictureError
from gpen_core.video.info import probe


def with_damaged_sound(film: Path, out: Path, numbers: range) -> Path:
    """The film, with packets of its sound that no decoder understands."""
    with av.open(str(film)) as source, av.open(str(out), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        count = 0
        for packet in source.demux():
            if packet.size == 0:
                continue
            copy = packet
            if source.streams[packet.stream_index].type == "audio":
                count += 1
                copy = av.Packet(b"\xff" * 7) if count in numbers else packet
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream = streams[packet.stream_index]
            target.mux(copy)
    return out


def test_damaged_sound_that_is_encoded_anew_costs_what_is_damaged_and_no_more(tmp_path):
    film = write_film(tmp_path / "in.mkv", frames_of([(20.0, 15.0)] * 30), sound=True)
    damaged = with_damaged_sound(film, tmp_path / "damaged.mkv", range(6, 8))
    report = restore(damaged, tmp_path / "out.webm", faces=False, preset=None)
    assert report.notes == (
        "its sound (aac) does not fit into webm; it was encoded as libopus",
        "2 packets of its sound, damaged or out of order, left out",
    )
    times = [time for time, _ in sound_packets(tmp_path / "out.webm")]
    assert times[-1] == pytest.approx(sound_packets(film)[-1][0], abs=0.1)
    assert max(b - a for a, b in itertools.pairwise(times)) > 0.1


def recording(path: Path, *, layout: str = "mono", frames_before: int = 0, samples_before: int = 0) -> bytes:
    """Ten frames of a broadcast, whose clocks have run for so many frames and samples."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        voice = container.add_stream("mp2", rate=48000, layout=layout)
        for number, pixels in enumerate(frames_of(PLACES)):
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = number + frames_before, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        channels = 1 if layout == "mono" else 2
        for start in range(0, 17 * 1152, 1152):
            tone = (np.sin(np.arange(start, start + 1152).repeat(channels) * 0.05) * 8000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout=layout)
            frame.sample_rate, frame.pts = 48000, start + samples_before
            container.mux(voice.encode(frame))
        container.mux(voice.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_sound_of_joined_recordings_that_overlaps_is_left_out_and_said(tmp_path, name):
    first = recording(tmp_path / "1.ts")
    second = recording(tmp_path / "2.ts", frames_before=10, samples_before=13 * 1152)
    (tmp_path / "in.ts").write_bytes(first + second)
    report = restore(tmp_path / "in.ts", tmp_path / name, faces=False, preset=None)
    given, times = ([time for time, _ in sound_packets(film)] for film in (tmp_path / "in.ts", tmp_path / name))
    heard_before = [time for k, time in enumerate(given) if time < max(given[: k + 1])]
    assert len(heard_before) > 2
    assert report.notes[-1] == f"{len(heard_before)} packets of its sound, damaged or out of order, left out"
    assert times == sorted(times)
    assert times[-1] == pytest.approx(given[-1] - given[0], abs=0.06)


def test_sound_that_changes_its_channels_is_encoded_to_its_end(tmp_path):
    first = recording(tmp_path / "1.ts")
    second = recording(tmp_path / "2.ts", layout="stereo", frames_before=10, samples_before=18 * 1152)
    (tmp_path / "in.ts").write_bytes(first + second)
    report = restore(tmp_path / "in.ts", tmp_path / "out.webm", faces=False, preset=None)
    assert report.notes == ("its sound (mp2) does not fit into webm; it was encoded as libopus",)
    assert len(heard(tmp_path / "out.webm")) == pytest.approx(34 * 1152, rel=0.04)


def test_a_film_whose_clock_begins_anew_is_refused_before_the_first_frame(tmp_path):
    first = recording(tmp_path / "1.ts", frames_before=20, samples_before=20 * 1920)
    (tmp_path / "in.ts").write_bytes(first + recording(tmp_path / "2.ts"))
    with pytest.raises(PictureError, match=r"its clock goes back after 1\.12 seconds.*ffmpeg"):
        probe(tmp_path / "in.ts")
