"""The networks that published metrics stand on: their files by the names under which they are published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

import torch

from ..errors import HashMismatchError, HubError
from ..weights.cache import sha256_of

#: A published name ends in the first digits of its file's SHA-256.
_DIGITS = re.compile(r"-([0-9a-f]{8,})\.pth$")


@contextmanager
def published(metric: str, names: tuple[str, ...], folder: Path | None) -> Iterator[None]:
    """Inside, torch's loaders find the files `names` in `folder`/checkpoints, as torch itself keeps them; where no
    folder is given, in torch's own cache or on the net.

    Raises HubError, naming the files, where they are not at hand and cannot be fetched; HashMismatchError for a file
    that is another than its name says.
    """
    before = torch.hub.get_dir()
    listed = " and ".join(names)
    if folder is not None:
        for name in names:
            _check(metric, folder / "checkpoints" / name)
        torch.hub.set_dir(str(folder))
    try:
        yield
    except (URLError, OSError) as error:
        raise HubError(
            f"{metric} needs {listed}, which cannot be fetched ({error}); put it into FOLDER/checkpoints and give "
            "--weights FOLDER"
        ) from error
    finally:
        torch.hub.set_dir(before)


def _check(metric: str, path: Path) -> None:
    if not path.is_file():
        raise HubError(f"{metric} needs {path.name}, which is not in {path.parent}")
    digits = _DIGITS.search(path.name)
    if digits is None:
        return
    if not (found := sha256_of(path)).startswith(digits[1]):
        raise HashMismatchError(f"{path} is another file than its name says (SHA-256 {found[:12]}…)")
