"""Pictures that coverage guides: what the mutators with a plan did not think of."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE, seconds
from campaign.mutation import seeds
from campaign.reading_child import SLOW
from training_runs import script_environment

pytestmark = pytest.mark.campaign
HERE = Path(__file__).parent
MEGABYTES = 4000
#: Runs of one process. What atheris instruments keeps some of what it works on (25 MB of each reading of one TIFF, of
#: which nothing is kept without the instrumentation), so that a process grows; a new one goes on with the corpus.
RUNS = 5000


def test_pictures_made_by_coverage_are_pictures_or_one_line(tmp_path):
    pytest.importorskip("atheris", reason="needs atheris; pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for index, data in enumerate(data for files in seeds().values() for data in files):
        (corpus / str(index)).write_bytes(data)
    limits = [f"-timeout={6 * SLOW:.0f}", f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={tmp_path}/found-"]
    end, tried, rounds, status = time.monotonic() + max(5.0, seconds(0.1)), 0, 0, 0
    while (left := end - time.monotonic()) > 0 and status == 0:
        rounds += 1
        limits_now = [*limits, f"-runs={RUNS}", f"-max_total_time={max(1, round(left))}", f"-seed={FIRST + rounds}"]
        command = [sys.executable, str(HERE / "guided_child.py"), str(corpus), *limits_now]
        done = subprocess.run(command, env=script_environment(), capture_output=True, check=False)
        said, status = done.stderr.decode(errors="replace"), done.returncode
        tried += int(found[1]) if (found := re.search(r"Done (\d+) runs", said)) else 0
    for path in tmp_path.glob("found-*"):
        data = path.read_bytes()
        (HERE / "cases" / "pictures" / f"guided_{hashlib.sha256(data).hexdigest()[:8]}.png").write_bytes(data)
    TABLE.add("pictures guided by coverage", tried, f"status {status}")
    assert status == 0, said[-3000:]
    assert tried
