"""One bulk run of a process that inverts pictures, for tests that kill it.

python bulk_run.py SOURCE OUT KILL SECONDS KIND: where the file KILL is, the first worker that takes a picture removes
it and ends itself with SIGKILL; so does every worker that takes a picture 13 pixels wide. Each picture takes a worker
SECONDS. KIND: of the settings; where it is "unloadable", a worker ends itself before it takes any.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from gpen_core.batch import BatchOptions
from gpen_core.bulk import Workers, collect_archive, restore_archive


def main() -> None:
    source, out, kill, seconds, kind = sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]), sys.argv[5]

    def build():
        if kind == "unloadable":
            os.kill(os.getpid(), signal.SIGKILL)

        def process(pictures):
            if kill.exists() or any(p.width == 13 for p in pictures):
                kill.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(seconds * len(pictures))
            return [
                SimpleNamespace(picture=replace(p, pixels=255 - p.pixels), faces=[], changed=True) for p in pictures
            ]

        return process

    options = BatchOptions(report=Path("unused"), settings={"kind": kind})
    summary = restore_archive(collect_archive([source], out), build, out, Workers(count=2, block=2), options)
    failed = [report.reason for report in summary.failed]
    print(json.dumps({"done": summary.done, "skipped": summary.skipped, "failed": failed}))


if __name__ == "__main__":
    main()
