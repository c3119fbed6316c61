"""The program for Ax users on the page about dry runs, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "dry-runs.md").read_text("utf-8")


def test_the_simulated_backend_of_the_page_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
    )

    assert done.returncode == 0, done.stderr
    found = re.fullmatch(r"8 trials in (\d+) simulated minutes, best size ([\d.]+)\n", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) >= 8 * 5 / 2
    assert abs(float(found[2]) - 0.3) < 0.3
