"""The walk of one photograph through `gpen restore`: which files and functions it meets, and how often it turns back.

    python docs/scripts/walk.py PHOTOGRAPH

A room is a first-level part of gpen_core. A walk enters one when code of another room calls into it; a return is an
entry into a room that was entered and left before. What a module runs when it is imported is not counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import gpen_core
from gpen_core.cli.main import main as gpen

ROOT = str(Path(gpen_core.__file__).parent) + "/"


class Walk:
    """Counts calls within the package, for `sys.setprofile`; stack: the rooms that are entered, by thread."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.entries: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.calls = 0
        self._stacks: dict[int, list[str]] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Counts a call or a return, as `sys.setprofile` tells of it."""
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(ROOT) or code.co_name == "<module>":
            return
        stack = self._stacks.setdefault(threading.get_ident(), ["shell"])
        if event == "return":
            stack.pop()
            return
        room = code.co_filename[len(ROOT) :].split("/")[0].removesuffix(".py")
        if stack[-1] != room:
            self.entries[room] += 1
            self.pairs[stack[-1], room] += 1
        stack.append(room)
        self.codes.add(code)
        self.calls += 1


def run(photograph: str) -> None:
    """Prints the walk's figures."""
    walk = Walk()
    with tempfile.TemporaryDirectory() as folder:
        words = ["restore", photograph, "-o", f"{folder}/out.png", "--device", "cpu", "--quiet"]
        gpen(words)  # the second time nothing is loaded or remembered for the first time
        threading.setprofile(walk)
        sys.setprofile(walk)
        try:
            gpen([*words[:3], f"{folder}/again.png", *words[4:]])
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    files, functions = len({code.co_filename for code in walk.codes}), len(walk.codes)
    rooms, returns = len(walk.entries), sum(walk.entries.values()) - len(walk.entries)
    print(f"{files} files, {functions} functions, {walk.calls} calls, {rooms} rooms, {returns} returns")
    print("entries:", ", ".join(f"{room} {count}" for room, count in walk.entries.most_common()))
    print("most:", ", ".join(f"{a} → {b} {count}" for (a, b), count in walk.pairs.most_common(40)))


def main() -> None:
    """Reads the command line and walks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph")
    run(parser.parse_args().photograph)


if __name__ == "__main__":
    main()
