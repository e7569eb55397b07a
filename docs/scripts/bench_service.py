"""Loads `gpen serve` beside a plain loop over the same pictures: python docs/scripts/bench_service.py

Prints answers by status, pictures a second of both, and how the server's memory grew. Some pictures are broken: the
service must name each and go on. Both run in processes of their own, in turns, on the pictures that come with the
package or those of a folder.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LOOP = """
import sys, time
from pathlib import Path
from gpen_core import FaceRestorer, load_detector, load_model
from gpen_core.images.reading import decode_picture
from gpen_core.images.writing import encode_picture
restorer = FaceRestorer(load_model(), load_detector())
bodies = [Path(name).read_bytes() for name in sys.argv[2:]]
count = int(sys.argv[1])
restorer.restore(sys.argv[2])
began = time.perf_counter()
for k in range(count):
    picture = decode_picture(bodies[k % len(bodies)], Path("it"), max_pixels=None, allow_truncated=False)
    result = restorer.restore(picture)
    encode_picture(result.decoded, "JPEG", Path("it"))
print(count / (time.perf_counter() - began))
"""


def loop(pictures: list[Path], count: int) -> float:
    """Pictures a second, one after the other in one process."""
    words = [sys.executable, "-c", LOOP, str(count), *map(str, pictures)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment())  # noqa: S603 (this interpreter)
    return float(done.stdout)


def environment() -> dict[str, str]:
    """As it is, with this checkout first."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


class Server:
    """`gpen serve` in a process of its own."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "gpen_core.cli.main", "serve", "--port", "0"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment())  # noqa: S603
        assert self.process.stdout is not None
        found = re.search(r":(\d+)$", self.process.stdout.readline().strip())
        assert found is not None
        self.port = int(found[1])
        for _ in range(200):
            try:
                connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)

    def megabytes(self) -> float:
        """Resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]

    def close(self) -> None:
        """Asks it to end, and waits."""
        self.process.terminate()
        assert self.process.wait(60) == 0


def flood(server: Server, bodies: list[bytes], clients: int) -> tuple[Counter[int], float, list[float]]:
    """Answers by status, those of 200 a second, and memory along the way."""
    memory: list[float] = []
    left = iter(bodies)

    def client(_: int) -> Counter[int]:
        # One connection each, kept open, as libraries for clients do.
        connection, statuses = HTTPConnection("127.0.0.1", server.port, timeout=300), Counter[int]()
        for body in left:
            connection.request("POST", "/restore?format=jpg", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            memory.append(server.megabytes())
        connection.close()
        return statuses

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = sum(pool.map(client, range(clients)), Counter[int]())
    return answers, answers[200] / (time.perf_counter() - began), memory


def main() -> None:
    """Prints one line a round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "gpen_core" / "examples")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--broken", type=float, default=0.05, help="share of broken pictures (default 0.05)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pictures = sorted(path for path in arguments.folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    good = [path.read_bytes() for path in pictures]
    every = round(1 / arguments.broken) if arguments.broken else arguments.requests + 1
    bodies = [good[k % len(good)][:500] if k % every == 0 else good[k % len(good)] for k in range(arguments.requests)]
    served, plain = [], []
    server = Server()
    try:
        for number in range(arguments.rounds):
            plain.append(loop(pictures, arguments.requests - arguments.requests // every))
            answers, rate, memory = flood(server, bodies, arguments.clients)
            served.append(rate)
            quarter = len(memory) // 4
            grown = statistics.median(memory[-quarter:]) - statistics.median(memory[quarter : 2 * quarter])
            print(
                f"round {number + 1}: answers {dict(answers)}; {rate:.2f} pictures/s served, {plain[-1]:.2f} by the "
                f"loop; memory {memory[-1]:.0f} MB, {grown:+.1f} MB from the second quarter to the last"
            )
    finally:
        server.close()
    ratio = statistics.median(one / other for one, other in zip(served, plain, strict=True))
    print(
        f"{statistics.median(served):.2f} pictures/s served, {statistics.median(plain):.2f} by the loop: {ratio:.2f}×"
    )


if __name__ == "__main__":
    main()
