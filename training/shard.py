"""Packs aligned faces into shards: python training/shard.py FACES OUT --megabytes 500

FACES may be any folder of square pictures, FFHQ's for instance. With --index the shards in FACES, ours or any other
WebDataset tar of pictures, get an index, from which a run of any length starts at once.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from gpen_core.data.shards import write_index, write_shards
from gpen_core.errors import GPENError


def main() -> None:
    """Packs, or indexes, and says how many pictures there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=float, default=500, help="of a shard, about (500)")
    parser.add_argument("--index", action="store_true", help="only write the index of the shards in FACES")
    options = parser.parse_args()
    if options.index == (options.out is not None):
        parser.error("give OUT for new shards, or --index for those in FACES")
    if not 0 < options.megabytes < math.inf:
        parser.error(f"--megabytes is {options.megabytes}; expected more than 0")
    try:
        if options.index:
            count = write_index(options.faces)
        else:
            count = write_shards(options.faces, options.out, shard_bytes=int(options.megabytes * 1e6))
    except (GPENError, OSError) as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(f"{count} pictures\n")


if __name__ == "__main__":
    main()
