"""How pictures are encoded: which codec, in which pixel format, at which quality on that codec's own scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, PictureError
from ..fields import nearest
from .colours import working_format
from .info import FilmInfo
from .library import load_av

#: Suffix → container, by FFmpeg's names, and the codec that is used where none is asked for.
CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
#: Pictures that x264 looks ahead at to share out the bits.
_LOOKAHEAD = "12"
#: What hardware takes instead of a planar format: the same samples, arranged otherwise.
_ARRANGED = {"yuv420p": "nv12", "yuv420p10le": "p010le"}
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
#: Encoders that x264's presets are put into other words for, by how they end, and their own, which they take as well.
_OWN_PRESETS = {
    "libsvtav1": tuple(map(str, range(14))),
    "_nvenc": tuple(f"p{number}" for number in range(1, 8)),
    "av1_amf": ("speed", "balanced", "quality", "high_quality"),
    "_amf": ("speed", "balanced", "quality"),
    "_qsv": (),
}
#: Encoders whose presets these are; beside them and those above there is none that has presets.
_X26 = ("libx264", "libx265")
#: What is taken where nothing is said.
_QUALITY, _PRESET = 18, "faster"
#: x264's presets as others name them, in that order.
_NVENC = ("p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6", "p7")
_QSV = ("veryfast", "veryfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_AMF = ("speed", "speed", "speed", "speed", "balanced", "balanced", "quality", "quality", "quality")
_SVT = ("12", "11", "10", "9", "8", "7", "5", "4", "3")
#: Of a sample, in the formats that `working_format` knows.
_MOST_BITS = 10
#: FFmpeg's unit of quantisers that are given as a number for all codecs.
_LAMBDA = 118
_WITHOUT_QUALITY = ("prores", "dnxhd", "cfhd", "ffv1", "huffyuv", "ffvhuff", "utvideo", "qtrle", "png", "rawvideo")


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How pictures are encoded: FFmpeg's names of codec and pixel format, and the codec's options. coded_format: how
    the codec wants the samples of `pixel_format` arranged. fields: "top" or "bottom" first where it keeps them apart.
    scale: times as wide and high as the film.
    """

    codec: str
    pixel_format: str
    coded_format: str
    options: tuple[tuple[str, str], ...]
    fields: str = ""
    scale: int = 1


def choose_encoding(
    info: FilmInfo,
    output: Path,
    *,
    codec: str | None = None,
    quality: int | None = None,
    preset: str | None = None,
    scale: int = 1,
) -> tuple[Encoding, tuple[str, ...]]:
    """How the film `output` is encoded, and notes on what its codec cannot keep of the input.

    quality: x264's constant rate factor, lower is better, which is put on the codec's own scale. None: the usual codec,
    quality or preset. Raises PictureError for a suffix that is no film's, or a codec that PyAV lacks, ConfigError for a
    preset that the codec has not, or a quality that it does not take.
    """
    name = choose_codec(output, codec, quality=quality, preset=preset)
    formats = _formats(name)
    wanted, notes = working_format(info.pixel_format, info.width, info.height, fields=bool(info.inventory.fields)), []
    if wanted.startswith("yuv444") and not working_format(info.pixel_format, 2, 2).startswith("yuv444"):
        notes.append(
            f"its sides, {info.width}×{info.height}, are odd: it is encoded without chroma subsampling (4:4:4)"
        )
    if formats and not {wanted, _ARRANGED.get(wanted)} & set(formats) and wanted.endswith("10le"):
        wanted = wanted.removesuffix("10le")
        notes.append(f"{name} is built for 8 bits here; the film's {info.pixel_format} was rounded to them")
    bits = load_av().VideoFormat(info.pixel_format).components[0].bits
    if wanted.endswith("10le") and bits > _MOST_BITS:
        notes.append(f"films are encoded with {_MOST_BITS} bits; the film's {info.pixel_format} was rounded to them")
    coded = wanted if not formats or wanted in formats else _ARRANGED.get(wanted, wanted)
    if formats and coded not in formats:
        raise PictureError(f"{name} does not take {wanted} pictures; choose another codec, such as libx264")
    kept = name == "libx264" and not info.orientation.turns % 2 and scale == 1
    fields = info.inventory.fields if kept else ""
    options = list(quality_options(name, _QUALITY if quality is None else quality, preset or _PRESET))
    if fields:
        options.append(("x264-params", f"{'tff' if fields == 'top' else 'bff'}=1"))
    encoding = Encoding(
        codec=name, pixel_format=wanted, coded_format=coded, options=tuple(options), fields=fields, scale=scale
    )
    return encoding, tuple(notes)


def choose_codec(output: Path, codec: str | None, *, quality: int | None, preset: str | None) -> str:
    """The name of what encodes the film `output`, which is `codec` where that is given.

    Raises PictureError and ConfigError as `choose_encoding`, before there is a film.
    """
    if output.suffix.lower() not in CONTAINERS:
        raise PictureError(f"{output}: films are written as {', '.join(CONTAINERS)}; give one of these suffixes")
    name = codec or CONTAINERS[output.suffix.lower()][1]
    _formats(name)
    if preset is not None:
        _check_preset(name, preset)
    if quality is not None and name.startswith(_WITHOUT_QUALITY):
        raise ConfigError(f"quality is {quality}; {name} takes none, leave it out (--crf)")
    return name


def _check_preset(name: str, preset: str) -> None:
    kind = next((kind for kind in _OWN_PRESETS if name.endswith(kind)), "")
    if not kind and not name.startswith(_X26):
        raise ConfigError(f"preset is {preset!r}; {name} has none, leave it out (--preset)")
    own = _OWN_PRESETS.get(kind, ())
    known = (*own, *_PRESETS)
    if preset in known or (preset == "placebo" and not kind):
        return
    told = f"{own[0]} to {own[-1]}" if len(own) > 4 else ", ".join(own)
    expected = f"{name} takes {told}, or one of" if own else "expected one of"
    near = nearest(preset, known)
    raise ConfigError(
        f"preset is {preset!r}; {expected} {', '.join(_PRESETS)}, the fastest and largest first"
        + (f"; did you mean {near}?" if near else "")
    )


def _formats(name: str) -> list[str]:
    av = load_av()
    try:
        formats: Any = av.codec.Codec(name, "w").video_formats
    except (av.FFmpegError, ValueError) as error:
        raise PictureError(
            f"this PyAV has no encoder called {name!r}; leave the codec out for the usual one"
        ) from error
    return [f.name for f in formats or []]


def quality_options(name: str, quality: int, preset: str) -> tuple[tuple[str, str], ...]:
    """FFmpeg's options for the codec `name`: quality 0 to 51 as x264 counts it, and x264's preset, in its own terms.

    Without pictures that refer forward (bf), decoding order is the order of time, and segments join without a gap.
    """
    if name.startswith("libx264"):
        # The frames it looks ahead at are held in memory, about 5 MB each at 1280×720; 40 by default.
        return (("crf", str(quality)), ("preset", preset), ("bf", "0"), ("rc-lookahead", _LOOKAHEAD))
    if name == "libx265":
        return (("crf", str(quality)), ("preset", preset), ("bf", "0"), ("x265-params", "log-level=error"))
    if name.startswith("libvpx"):
        return (
            *(("crf", str(min(63, quality + 12))), ("b", "0"), ("cpu-used", "3"), ("row-mt", "1")),
            *(("auto-alt-ref", "0"), ("lag-in-frames", "0")),
        )
    if name in ("libsvtav1", "libaom-av1"):
        speed = ("preset", _as(_SVT, preset)) if name == "libsvtav1" else ("cpu-used", "6")
        return (("crf", str(min(63, quality + 12))), speed)
    if name.endswith("_nvenc"):
        return (
            ("rc", "vbr"),
            ("cq", str(max(1, quality))),
            ("b", "0"),
            ("preset", _as(_NVENC, preset)),
            ("bf", "0"),
        )
    if name.endswith("_qsv"):
        return (("global_quality", str(max(1, quality))), ("preset", _as(_QSV, preset)), ("bf", "0"))
    if name.endswith("_videotoolbox"):
        share = round(100 - 2 * quality * 50 / 51)  # 100 is best
        return (("flags", "+qscale"), ("global_quality", str(_LAMBDA * max(1, share))), ("bf", "0"))
    if name.endswith("_amf"):
        levels = (("qp_i", str(quality)), ("qp_p", str(quality)))
        return (("rc", "cqp"), *levels, ("quality", _as(_AMF, preset)), ("bf", "0"))
    if name.endswith("_vaapi"):
        return (("rc_mode", "CQP"), ("qp", str(max(1, quality))), ("bf", "0"))
    if name.startswith(_WITHOUT_QUALITY):
        return ()
    scale = max(1, round(quality * 31 / 51))  # MPEG's quantiser, 1 to 31
    return (("flags", "+qscale"), ("global_quality", str(_LAMBDA * scale)), ("bf", "0"))


def _as(names: tuple[str, ...], preset: str) -> str:
    """x264's preset by another encoder's name for it; what is none of x264's is left as it is."""
    return names[_PRESETS.index(preset)] if preset in _PRESETS else preset
