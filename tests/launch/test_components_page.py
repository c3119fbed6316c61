"""What docs/components.md shows runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from axk8s.api import Sweep
from axk8s.training import Record, parse_line

PAGE = (Path(__file__).parents[2] / "docs" / "components.md").read_text("utf-8")


def files() -> dict[str, str]:
    """The blocks that begin with a file's name."""
    return dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_component_fits_its_sweep_and_the_script_its_arguments(tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    sweep = Sweep.from_yaml(tmp_path / "sweep.yaml", directory=tmp_path / "sweeps")

    sweep.validate()
    first = sweep.plan({"lr": 0.05, "hidden": 16}).first

    filled = {one.argument: (one.value, one.source) for one in first.arguments}
    assert filled["epochs"] == (20, "arguments")
    assert filled["trial_idx"] == (0, "axk8s")
    words = ["--lr=0.05", "--hidden=16", "--epochs=3", "--run=0"]
    done = subprocess.run(
        [sys.executable, "train.py", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    records = [record for line in done.stdout.splitlines() for record in parse_line(line)]
    assert [record.step for record in records if isinstance(record, Record)] == [0, 1, 2]
