"""Trainings and recoveries that are killed at random file-system calls end, bit for bit, as undisturbed ones do."""

import os
import subprocess
import sys
from pathlib import Path

KILL = Path(__file__).parents[1] / "scripts" / "kill_trainings.py"


def test_kills_at_random_file_system_calls_leave_no_trace() -> None:
    command = [sys.executable, KILL, "--rounds=1", "--kills=2", "--seed=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rounds over gan, classifier, label-split, semantic, inverse, encoder, recover" in done.stdout
