"""The one place where whatever a decoder or encoder raises is taken for damage.

Pillow and the libraries below it meet damaged files with exceptions of any class: struct.error, AssertionError,
RuntimeError, SystemError, AttributeError, IndexError, … Lists of them were never complete. So around calls into them,
on the bytes of one file, every exception becomes DamageError. Nothing else of the package may stand inside the guard.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import GPENError, PictureError

_LONGEST = 120


class DamageError(PictureError):
    """Bytes that their decoder, or values that an encoder, cannot make sense of."""


@contextmanager
def guarded(
    said: str,
    *,
    error: type[GPENError] = PictureError,
    remedy: str = "",
    disk: bool = False,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Raises DamageError, `said` and the exception's own words, for whatever is raised inside.

    The package's own errors pass. error: what is raised instead, also in the place of a PictureError from inside, with
    the remedy at its end. disk: files are written inside, so errors of the system (no space, no permission), which
    carry a number, pass too; and so do those of the `passing` kinds.
    """
    try:
        with _damage_told(said, disk, passing):
            yield
    except PictureError as trouble:
        if issubclass(PictureError, error):
            raise
        raise error(f"{trouble}; {remedy}" if remedy else str(trouble)) from trouble


@contextmanager
def _damage_told(said: str, disk: bool, passing: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except passing:
        raise
    except GPENError:
        raise
    except MemoryError as error:
        raise PictureError(f"{said}: not enough memory") from error
    except Exception as error:
        if disk and isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamageError(f"{said} ({in_words(error)})") from error


def in_words(error: BaseException) -> str:
    """One short line: what the exception says, or its class where it says nothing or only a value."""
    words = " ".join(str(error).split())
    words = words if " " in words else f"{type(error).__name__} {words}".rstrip()
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
