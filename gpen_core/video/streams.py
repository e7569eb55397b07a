"""What is beside a film's pictures: sound, subtitles, covers, attachments, copied as they are or sound encoded anew."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import PictureError
from .encoding import CONTAINERS, Encoding
from .info import FilmInfo
from .library import load_av
from .reading import open_film, picture_stream

#: Container → what sound is encoded as where it cannot be kept as it is, and bits a second for each of its channels.
_SOUND = {"mp4": ("aac", 128_000), "mov": ("aac", 128_000), "matroska": ("flac", 0), "webm": ("libopus", 96_000)}
#: Codecs that take one rate only.
_RATES = {"libopus": 48_000}
#: Number of channels → their usual places, where a film does not say.
_USUAL = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
#: So many packets of a stream are tried, looked for among so many of the file.
_TRIED, _SEARCHED = 3, 600
#: Tags of a stream about its bytes, which a container counts anew.
_COUNTED = ("duration", "encoder", "bps", "number_of_", "_statistics")

#: Index of a stream that is kept → the encoder of its sound, None where its packets are copied.
Carriage = Mapping[int, str | None]


class _Carried:
    """A stream beside the pictures. left_out: packets of sound that are damaged, or whose clock goes back."""

    def __init__(self) -> None:
        self.left_out = 0
        self._last: int | None = None

    def _goes_back(self, packet: Any) -> bool:
        """Whether a packet of sound is of a time that has been heard, which containers refuse; it counts, then."""
        if packet.dts is None:
            return False
        if self._last is not None and packet.dts < self._last:
            self.left_out += 1
            return True
        self._last = packet.dts
        return False


class Copied(_Carried):
    """A stream whose packets go into `target` as they are."""

    def __init__(self, source: Any, target: Any) -> None:
        super().__init__()
        self.stream = target.add_stream_from_template(source, opaque=True)
        self._is_cover = bool(source.disposition & load_av().stream.Disposition.attached_pic)
        describe(self.stream, source)

    def packets(self, packet: Any) -> Iterator[Any]:
        """What is to be written for a packet of the source."""
        if packet.size and packet.pts is None and self._is_cover:
            packet.pts = 0
        if packet.size and packet.dts is None:
            packet.dts = packet.pts
        if packet.size and packet.dts is not None:
            if self.stream.type == "audio" and self._goes_back(packet):
                return
            packet.stream = self.stream
            yield packet

    def rest(self) -> Iterator[Any]:
        """What is to be written at the end."""
        return iter(())


class EncodedSound(_Carried):
    """A stream of sound that goes into `target` encoded anew, by `codec`."""

    def __init__(self, source: Any, target: Any, codec: str, bits: int) -> None:
        super().__init__()
        av, context = load_av(), source.codec_context
        rate = _RATES.get(codec, context.sample_rate)
        self.stream = target.add_stream(codec, rate=rate)
        channels = context.layout.nb_channels
        self.stream.layout = (
            _USUAL.get(channels, "stereo") if "channels" in context.layout.name else context.layout.name
        )
        if bits:
            self.stream.bit_rate = bits * channels
        describe(self.stream, source)
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None
        self._av, self._rate = av, rate

    def packets(self, packet: Any) -> Iterator[Any]:
        """What is to be written for a packet of the source; nothing for a damaged one."""
        if packet.size and self._goes_back(packet):
            return
        try:
            frames = packet.decode()
        except self._av.FFmpegError:
            self.left_out += bool(packet.size)
            return
        for frame in frames:
            yield from self._encoded(frame)

    def rest(self) -> Iterator[Any]:
        """What is to be written at the end."""
        if self._resampler is not None:
            yield from self._encoded(None)
        yield from self.stream.encode(None)

    def _encoded(self, frame: Any) -> Iterator[Any]:
        context = self.stream.codec_context
        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind not in (None, self._kind):
            # Broadcasts change between mono, stereo and more; of the one before, less than an encoder's frame is lost.
            self._kind = kind
            self._resampler = self._av.AudioResampler(
                format=context.format, layout=context.layout, rate=self._rate, frame_size=context.frame_size or None
            )
        for resampled in self._resampler.resample(frame):
            yield from self.stream.encode(resampled)


def describe(stream: Any, source: Any) -> None:
    """Gives `stream` the tags and the part (default, forced, cover …) of the stream `source`."""
    for key, value in source.metadata.items():
        if not key.lower().startswith(_COUNTED):
            stream.metadata[key] = value
    stream.disposition = source.disposition.value


def carry(source: Any, target: Any, carriage: Carriage) -> dict[int, Copied | EncodedSound]:
    """A stream of `target` for each that is carried, by its index in `source`."""
    carried: dict[int, Copied | EncodedSound] = {}
    for index, codec in carriage.items():
        if codec is None:
            carried[index] = Copied(source.streams[index], target)
        else:
            bits = next(bits for name, bits in _SOUND.values() if name == codec)
            carried[index] = EncodedSound(source.streams[index], target, codec, bits)
    return carried


def choose_carriage(info: FilmInfo, encoding: Encoding, output: Path, black: bytes) -> tuple[Carriage, tuple[str, ...]]:
    """Which streams are carried into the film `output`, and notes on those that are changed.

    black: a segment of one picture, as the film's are going to be; each stream's first packets are written beside it,
    to nowhere, so that what `output`'s container refuses is known before the first frame is restored. Raises
    PictureError where it refuses the pictures themselves.
    """
    container = CONTAINERS[output.suffix.lower()][0]
    sound, _ = _SOUND[container]
    if (refused := _refused(info, container, black, {})) is not None:
        raise PictureError(
            f"{container} does not take pictures of {encoding.codec} ({refused}); give {output} another suffix, or "
            "choose another codec"
        )
    carriage: dict[int, str | None] = {}
    notes = []
    with open_film(info.path) as source:
        pictures = picture_stream(source, info.path).index
        for stream in source.streams:
            if stream.index == pictures or stream.type == "data":
                continue
            if _refused(info, container, black, {stream.index: None}) is None:
                carriage[stream.index] = None
            elif stream.type == "audio" and _refused(info, container, black, {stream.index: sound}) is None:
                carriage[stream.index] = sound
                name = stream.codec_context.codec.canonical_name
                notes.append(f"its sound ({name}) does not fit into {container}; it was encoded as {sound}")
    return carriage, tuple(notes)


def _refused(info: FilmInfo, container: str, black: bytes, carriage: Carriage) -> str | None:
    """Why a film of one black picture and the first packets of these streams cannot be written; None where it can."""
    av = load_av()
    try:
        with (
            av.open(io.BytesIO(black)) as first,
            open_film(info.path) as source,
            av.open(io.BytesIO(), "w", format=container) as target,
        ):
            pictures = target.add_stream_from_template(first.streams.video[0], opaque=True)
            carried = carry(source, target, carriage)
            target.start_encoding()
            for packet in first.demux(video=0):
                if packet.size:
                    packet.stream = pictures
                    target.mux(packet)
            for packet in _heads(source, carriage):
                for ready in carried[packet.stream_index].packets(packet):
                    target.mux(ready)
            for one in carried.values():
                for ready in one.rest():
                    target.mux(ready)
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def _heads(source: Any, carriage: Carriage) -> Iterator[Any]:
    """The first packets of these streams."""
    left = dict.fromkeys(carriage, _TRIED)
    for count, packet in enumerate(source.demux([source.streams[index] for index in carriage]) if carriage else ()):
        if count >= _SEARCHED or not any(left.values()):
            return
        if packet.size and left.get(packet.stream_index):
            left[packet.stream_index] -= 1
            yield packet
