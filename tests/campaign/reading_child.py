"""Reads mutated pictures one after the other and tells of each: in a process of its own, which may be killed.

python reading_child.py FIRST BEYOND MEGABYTES: of each number a line of JSON before (its number) and one after.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from campaign.mutation import mutated

from gpen_core.errors import GPENError
from gpen_core.images import read_picture, write_picture
from gpen_core.images.metadata import Provenance

#: What a picture may claim here: all seeds are small.
MOST_PIXELS = 4_000_000
#: Seconds of a processor that a picture may take.
SLOW = 5.0
#: Result formats in turn, the slow one seldom.
_WRITTEN = (".jpg", ".png", ".webp", ".tif") * 4 + (".avif", ".bmp")
_BY = Provenance(model="a model", sha256="0" * 64, version="1")


def outcome(path: Path, result: Path, *, allow_truncated: bool) -> str:
    """The word read, or refused.

    Raises whatever else comes, and AssertionError for a result or a message that is not right.
    """
    try:
        picture = read_picture(path, max_pixels=MOST_PIXELS, allow_truncated=allow_truncated)
    except GPENError as error:
        if "\n" in str(error) or len(str(error)) > 600:
            raise AssertionError("a message of many lines") from error
        return "refused"
    try:
        write_picture(picture, result, provenance=_BY)
    except GPENError:
        # more than the format takes; what any format takes must be written
        assert max(picture.width, picture.height) > 16_000, "a picture that was read could not be written"
        return "read"
    again = read_picture(result)
    assert again.pixels.shape == picture.pixels.shape, "a result of another size"
    return "read"


def main(first: int, beyond: int, megabytes: int) -> None:
    """Goes through the numbers from `first` to before `beyond`."""
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, beyond):
            suffix, harms, data = mutated(number)
            path = Path(folder, f"in{suffix}")
            path.write_bytes(data)
            print(json.dumps({"number": number}), flush=True)
            told, begun = {"number": number, "harms": harms}, time.process_time()
            try:
                told["outcome"] = outcome(
                    path, Path(folder, f"out{_WRITTEN[number % len(_WRITTEN)]}"), allow_truncated=number % 3 == 0
                )
            except Exception as error:
                told |= {"outcome": "foreign", "error": type(error).__name__, "trace": traceback.format_exc()[-1500:]}
            if time.process_time() - begun > SLOW and told["outcome"] != "foreign":
                told |= {"outcome": "slow", "error": f"{time.process_time() - begun:.1f}s", "trace": harms}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
