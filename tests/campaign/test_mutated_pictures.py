"""Mutated pictures: a picture or one line, within seconds and bounded memory; every failure is kept as a case."""

from __future__ import annotations

import hashlib
import json
import os
import select
import struct
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE, seconds
from campaign.mutation import mutated, seeds
from campaign.reading_child import outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpen_core.images.damage import DamageError
from gpen_core.images.directory import DirectoryError, read_directory

pytestmark = pytest.mark.campaign
HERE = Path(__file__).parent
CASES = HERE / "cases" / "pictures"
#: Seconds after which a picture has hung (the child counts a processor's, this machine may be busy); address space of
#: a child, which counts what is only reserved; pictures of one.
HANG, MEGABYTES, A_CHILD = 30.0, 6000, 2000


def told(first: int, beyond: int) -> Iterator[dict]:
    """What became of each number, of a child that is killed where it hangs, and then goes on behind."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE.parent.parent)))}
    while first < beyond:
        command = [sys.executable, str(HERE / "reading_child.py"), str(first), str(beyond), str(MEGABYTES)]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        ) as child:
            assert child.stdout is not None
            number, patience = first, 60.0  # the first includes the imports
            while True:
                ready, _, _ = select.select([child.stdout], [], [], patience)
                line = child.stdout.readline() if ready else b""
                if not line:
                    child.kill()
                    if number < beyond:
                        yield {"number": number, "outcome": "died" if ready else "hung", "error": "", "trace": ""}
                    break
                row, patience = json.loads(line), HANG
                number = row["number"]
                if "outcome" in row:
                    yield row
                    number += 1
            first = number + 1 if number < beyond else beyond


def keep(row: dict) -> Path:
    """The file that failed, saved as a case for the ordinary tests."""
    suffix, _, data = mutated(row["number"])
    path = CASES / f"{row['error'] or row['outcome']}_{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    path.write_bytes(data)
    return path


def test_mutated_pictures_are_pictures_or_one_line():
    counts: Counter[str] = Counter()
    kept, end, first = [], time.monotonic() + seconds(0.25), FIRST
    while time.monotonic() < end:
        for row in told(first, first + A_CHILD):
            counts[row["outcome"]] += 1
            if row["outcome"] not in ("read", "refused"):
                kept.append((keep(row), row["trace"].strip().splitlines()[-1:]))
        first += A_CHILD
    TABLE.add("mutated pictures", sum(counts.values()), ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    assert kept == []


_EXAMPLES = max(50, int(seconds(0.02) * 20))


@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_entries_of_any_directory_are_a_picture_or_one_line(tmp_path_factory, data):
    """EXIF of arbitrary entries in a JPEG, and a TIFF with one of its own entries changed."""
    kinds, numbers = st.integers(0, 20), st.integers(0, 2**32 - 1)
    folder = tmp_path_factory.mktemp("given")
    tags = st.sampled_from((0x010F, 0x0112, 0x011A, 0x0131, 0x0201, 0x8769, 0x8825, 0x927C, 0xA005)) | st.integers(
        0, 65535
    )
    entries = data.draw(st.lists(st.tuples(tags, kinds, numbers, st.binary(min_size=4, max_size=4)), max_size=6))
    order = data.draw(st.sampled_from(("<", ">")))
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(entries))
    block += b"".join(struct.pack(order + "HHL", *entry[:3]) + entry[3] for entry in entries)
    block += struct.pack(order + "L", data.draw(numbers)) + data.draw(st.binary(max_size=40))
    jpeg = seeds()[".jpg"][1]
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block
    (folder / "a.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    tiff = read_directory(data.draw(st.sampled_from(seeds()[".tif"])))
    tag = data.draw(st.sampled_from(sorted(tiff.entries)))
    (folder / "a.tif").write_bytes(tiff.changed({tag: tuple(data.draw(st.lists(numbers, min_size=1, max_size=4)))}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("a.jpg", "a.tif"):
            assert outcome(folder / name, folder / "out.png", allow_truncated=False) in ("read", "refused")


@given(data=st.binary(max_size=300), number=st.integers(0, 3))
def test_no_bytes_make_a_directory_of_their_own_mind(data, number):
    for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        try:
            found = read_directory(magic + data, number)
            for tag in found.entries:
                found.number(tag, 1)
            assert read_directory(found.changed({305: b"words"})).entries[305]
        except (DirectoryError, DamageError):
            continue
