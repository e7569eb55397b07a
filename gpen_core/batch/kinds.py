"""Which files are films: by their names, and where those do not say, by what they begin with."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..images import READABLE_SUFFIXES

FILM_SUFFIXES = frozenset(
    (
        *(".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".3g2", ".vob"),
        *(".m2ts", ".m2v", ".asf", ".mxf", ".ogv", ".dv", ".divx", ".f4v", ".qt"),
    )
)
#: Suffixes that other kinds of file have as well (TypeScript, tables, modules), and those of sound.
_NOT_SURE = frozenset((".ts", ".mts", ".mod", ".tod", ".dat", ".dif"))
_SOUND_SUFFIXES = frozenset((".m4a", ".m4b", ".m4p", ".mka", ".wma", ".ogg", ".oga", ".opus", ".aac", ".mp3", ".aa"))
#: Brands of files that are built like MP4 and hold pictures or sound.
_NOT_FILMS = (
    *(b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"jxl ", b"crx ", b"jp2 "),
    *(b"M4A ", b"M4B ", b"M4P "),
)
_HEAD = 1024
_PACKET = 188


def is_picture(path: Path) -> bool:
    """Whether a file is called like a picture that can be read."""
    return path.suffix.lower() in READABLE_SUFFIXES


def is_film(path: str | Path) -> bool:
    """Whether a file is a film: by its suffix where that is one of films or pictures, else by its first bytes."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return True
    if suffix in READABLE_SUFFIXES or suffix in _SOUND_SUFFIXES:
        return False
    return begins_like_film(_head(path)) or (suffix in _NOT_SURE and not path.exists())


def begins_like_film(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a container that films come in."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _NOT_FILMS
    if head[4:8] in (b"moov", b"mdat", b"wide") or head[:4] == b"\x1a\x45\xdf\xa3":
        return True
    if head[:4] == b"RIFF":
        return head[8:12] in (b"AVI ", b"AVIX")
    starts = (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01", b"\x06\x0e\x2b\x34\x02\x05\x01\x01")
    if head.startswith(starts) or head[:16] == bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"):
        return True
    # Packets of 188 bytes that each begin with 0x47; cameras and discs put four bytes of time before each.
    return any(
        len(head) > first + 3 * step and all(head[first + k * step] == 0x47 for k in range(4))
        for first, step in ((0, _PACKET), (4, _PACKET + 4))
    )


def _head(path: Path) -> bytes:
    """The first bytes of a file, none of what is no file: a pipe is not waited for."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""
    try:
        return os.read(number, _HEAD) if stat.S_ISREG(os.fstat(number).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(number)
