"""Pictures that coverage guides: what the mutators with a plan did not think of."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE, seconds
from campaign.mutation import seeds
from campaign.reading_child import SLOW
from training_runs import script_environment

pytestmark = pytest.mark.campaign
HERE = Path(__file__).parent
MEGABYTES = 4000


def test_pictures_made_by_coverage_are_pictures_or_one_line(tmp_path):
    pytest.importorskip("atheris", reason="needs atheris; pip install atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for index, data in enumerate(data for files in seeds().values() for data in files):
        (corpus / str(index)).write_bytes(data)
    limits = [f"-max_total_time={max(5, round(seconds(0.1)))}", f"-timeout={6 * SLOW:.0f}", f"-seed={FIRST + 1}"]
    limits += [f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={tmp_path}/found-"]
    command = [sys.executable, str(HERE / "guided_child.py"), str(corpus), *limits]
    done = subprocess.run(command, env=script_environment(), capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    for path in tmp_path.glob("found-*"):
        data = path.read_bytes()
        (HERE / "cases" / "pictures" / f"guided_{hashlib.sha256(data).hexdigest()[:8]}.png").write_bytes(data)
    tried = re.search(r"Done (\d+) runs", said)
    TABLE.add("pictures guided by coverage", int(tried[1]) if tried else 0, f"status {done.returncode}")
    assert done.returncode == 0, said[-3000:]
    assert tried
