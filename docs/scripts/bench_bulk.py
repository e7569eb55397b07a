"""`gpen bulk` beside `gpen restore` on small pictures, and with one worker and two.

python docs/scripts/bench_bulk.py FACES [--count 200] [--repeats 1] [--keep FOLDER]

FACES: a folder of face pictures, from which --count small ones are made, one in a hundred broken. Every command runs
with one thread a process. Prints pictures a second from the first result to the last (starting is not counted),
whether all results are the plain command's bytes, the rows that name a fault, and memory of the command and its
children in the quarters of a run: their own, and what of Ray's object store has been touched, which is never given
back and ends at the store's size.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ONE_IN = 100


def make(folder: Path, faces: Sequence[Path], count: int) -> None:
    """Pictures of 256×192 with a face somewhere; the broken ones hold no picture."""
    draw = random.Random(1)
    for number in range(count):
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % ONE_IN == ONE_IN // 2:
            path.write_bytes(b"\xff\xd8\xff broken")
            continue
        picture = Image.new("RGB", (256, 192), tuple(draw.randrange(256) for _ in range(3)))
        with Image.open(draw.choice(faces)) as face:
            picture.paste(face.convert("RGB").resize((112, 112)), (draw.randrange(140), draw.randrange(78)))
        picture.save(path, quality=90)


def memory(parent: int) -> tuple[float, float]:
    """MB of a process and all below it: their own, and what they share, divided among those that share it."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    tree = {parent}
    while more := {child for child, of in parents.items() if of in tree} - tree:
        tree |= more
    found = {"Pss_Anon:": 0, "Pss_Shmem:": 0}
    for number in tree:
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for name, value, *_ in (line.split() for line in lines):
            if name in found:
                found[name] += int(value)
    return found["Pss_Anon:"] / 1000, found["Pss_Shmem:"] / 1000


def run(verb: str, source: Path, out: Path, *words: str) -> tuple[float, list[tuple[float, float]]]:
    """(pictures a second from the first result to the last, memory every second of that time)."""
    command = [sys.executable, "-m", "gpen_core.cli.main", verb, str(source), "-o", str(out), "--quiet", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    seen: list[tuple[float, tuple[float, float]]] = []
    with subprocess.Popen(  # noqa: S603 (this interpreter)
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        while child.poll() is None:
            time.sleep(1)
            if any(out.glob("*/*.jpg")):
                seen.append((time.time(), memory(child.pid)))
    if child.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    times = sorted(path.stat().st_mtime for path in out.rglob("*.jpg"))
    return (len(times) - 1) / (times[-1] - times[0]), [held for at, held in seen if at <= times[-1]]


def by_quarters(held: Sequence[float]) -> str:
    """Medians, and what the last is over the second: the first still loads its networks."""
    if len(held) < 4:
        return "not seen"
    medians = [statistics.median(held[len(held) * k // 4 : len(held) * (k + 1) // 4]) for k in range(4)]
    said = " ".join(f"{value:.0f}" for value in medians)
    if not medians[1]:
        return f"{said} MB"
    return f"{said} MB ({100 * (medians[3] / medians[1] - 1):+.1f} % from the second to the last)"


def same(plain: Path, bulk: Path) -> tuple[int, int]:
    """(results with the same bytes, results of the plain command)."""
    results = [path for path in plain.rglob("*.jpg") if path.is_file()]
    there = (bulk / path.relative_to(plain) for path in results)
    return sum(b.is_file() and b.read_bytes() == a.read_bytes() for a, b in zip(results, there, strict=True)), len(
        results
    )


def main() -> None:
    """Prints a row for each command."""
    from pyarrow import parquet

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the pictures and the results")
    options = parser.parse_args()
    write = sys.stdout.write
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place)
        source = folder / "in"
        faces = sorted(path for path in options.faces.rglob("*") if path.suffix in (".png", ".jpg"))[:500]
        make(source, faces, options.count)
        words = {"restore": ("restore",), "bulk, 1": ("bulk", "--workers", "1"), "bulk, 2": ("bulk", "--workers", "2")}
        rates: dict[str, list[float]] = {name: [] for name in words}
        held: dict[str, list[tuple[float, float]]] = {}
        for turn in range(options.repeats):
            for name, (verb, *more) in words.items():
                rate, seen = run(verb, source, folder / f"{name}-{turn}", *more)
                rates[name].append(rate)
                held[name] = seen
        medians = {name: statistics.median(found) for name, found in rates.items()}
        for name, rate in medians.items():
            own, shared = (by_quarters([pair[part] for pair in held[name]]) for part in (0, 1))
            write(f"{name:8s} {rate:7.2f} pictures/s, own memory of each quarter {own}, shared {shared}\n")
        write(f"bulk, 1 over restore {medians['bulk, 1'] / medians['restore']:.2f}x\n")
        write(f"bulk, 2 over bulk, 1 {medians['bulk, 2'] / medians['bulk, 1']:.2f}x\n")
        for name in ("bulk, 1", "bulk, 2"):
            equal, of = same(folder / "restore-0", folder / f"{name}-0")
            rows = parquet.read_table(folder / f"{name}-0" / "report.parquet").to_pylist()
            failed = [row for row in rows if row["status"] == "failed"]
            named = sum(row["input"].split("/")[-1] in row["reason"] for row in failed)
            write(f"{name}: {equal} of {of} results the same bytes, {named} of {len(failed)} faults named\n")


if __name__ == "__main__":
    main()
