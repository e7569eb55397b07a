"""Pictures to files."""

from __future__ import annotations

import errno
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image

from ..errors import InputError, MissingPackageError, PictureError
from ..files import is_same_file, replacing
from .damage import DamageError
from .encoding import bare, encode
from .metadata import Provenance

if TYPE_CHECKING:
    from .picture import Picture

#: Suffix → format, by Pillow's names.
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".ppm", ".pgm", ".pnm"), "PPM"),
    **{".png": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".jp2": "JPEG2000"},
}


def write_picture(
    picture: Picture,
    path: str | Path,
    *,
    quality: int | None = None,
    provenance: Provenance | None = None,
    overwrite: bool = False,
    sealed: Callable[[Path], object] | None = None,
) -> tuple[str, ...]:
    """Notes on what the format could not hold (depth, alpha, metadata), usually none.

    The format follows the suffix. quality: 1…100 for JPEG, WebP and AVIF; None: a JPEG gets its input's own
    quantisation tables and subsampling, a lossless WebP stays so, everything else 95. provenance: noted in EXIF and
    in PNG's text. Written to a temporary name beside `path` and renamed. overwrite: allow `path` to be the file the
    picture was read from. sealed: told the temporary name once all is written, just before it becomes `path`. What was
    written has been read back.
    Raises PictureError for an unknown suffix, a format that cannot hold the picture, no space left; InputError for a
    quality out of range.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise PictureError(
            f"{path}: no format has the suffix {path.suffix!r}; expected one of {', '.join(sorted(FORMATS))}"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(f"quality is {quality}; expected 1 to 100")
    if not overwrite:
        refuse_same_file(picture.path, path)
    if file_format == "HEIF":
        _register_heif(path)
    with whole_file(path, sealed) as file:
        return _encode_forgivingly(picture, file, file_format, path, quality, provenance)


def encode_picture(
    picture: Picture, file_format: str, name: Path, *, quality: int | None = None, provenance: Provenance | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file, and notes, as `write_picture` has them. name: of the picture, for messages."""
    if file_format == "HEIF":
        _register_heif(name)
    file = io.BytesIO()
    notes = _encode_forgivingly(picture, file, file_format, name, quality, provenance)
    return file.getvalue(), notes


def _encode_forgivingly(
    picture: Picture, file: IO[bytes], file_format: str, path: Path, quality: int | None, provenance: Provenance | None
) -> tuple[str, ...]:
    try:
        return encode(picture, file, file_format, path, quality, provenance)
    except DamageError as damage:
        if bare(picture) is picture:
            raise
        file.seek(0)
        file.truncate()
        # an encoder that refuses a profile or a block of metadata; where it is the picture, it refuses again
        notes = encode(bare(picture), file, file_format, path, quality, provenance)
        return (*notes, f"its metadata was dropped, which {file_format} does not take ({damage})")


def copy_picture(source: Path, path: Path, *, overwrite: bool = False) -> None:
    """Copies a file byte for byte, by way of a temporary name. Raises as `write_picture`."""
    if is_same_file(source, path):
        if not overwrite:
            refuse_same_file(source, path)
        return
    try:
        original = source.open("rb")
    except OSError as error:
        raise PictureError(f"{source} cannot be read: {error.strerror}") from error
    with original, whole_file(path) as file:
        shutil.copyfileobj(original, file, 1 << 20)


def refuse_same_file(source: Path | None, path: Path, *, ever: bool = True) -> None:
    """Raises PictureError when `path` is the file `source`. ever: whether there is a way to have it written over."""
    if source is not None and is_same_file(source, path):
        way = ", or say overwrite (--overwrite)" if ever else ""
        raise PictureError(f"{path} is the input itself; choose another folder or name{way}")


@contextmanager
def whole_file(path: Path, sealed: Callable[[Path], object] | None = None) -> Iterator[IO[bytes]]:
    """A file open for writing that becomes `path` when all has been written, and vanishes when not.

    sealed: told its temporary name in between.

    Raises PictureError when there is no space or no permission.
    """
    try:
        with replacing(path) as temporary:
            with temporary.open("r+b") as file:
                yield file
            if sealed is not None:
                sealed(temporary)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PictureError(f"no space left to write {path}; free some or choose another place") from error
        if error.errno is None:
            raise
        raise PictureError(f"{path} cannot be written: {error.strerror}") from error


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: writing HEIF needs pillow-heif; install gpen[heif], or choose --format png"
        ) from error
    if "HEIF" not in Image.SAVE:
        pillow_heif.register_heif_opener()
