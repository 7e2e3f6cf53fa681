"""Every reader of files reads a mutated file, or says in one ValueError what is wrong with it: no other error, no crash."""

import os
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[1] / "scripts" / "fuzz_readers.py"


def test_every_reader_takes_or_refuses_mutated_files() -> None:
    command = [sys.executable, FUZZ, "--mutations=40", "--seed=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1000 mutations over 25 readers: 0 failures" in done.stdout
