"""A tiny training run, killed at every file operation that it makes, and at random moments, one to three times each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import make_faces, script_environment

KILLS = Path(__file__).parent.parent / "training_kills.py"


@pytest.mark.campaign
@pytest.mark.parametrize("points", [("from", "1"), ("random", "100")])
def test_a_killed_run_ends_like_one_that_was_not(points, tmp_path):
    command = [sys.executable, str(KILLS), str(make_faces(tmp_path / "faces")), str(tmp_path / "runs"), *points]
    done = subprocess.run(command, env=script_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" 0 faults"), done.stdout
