"""The README's two minutes on a cluster, typed as they stand there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from axk8s.schedulers.kubernetes_job.options import NAME
from tests.cluster.stage import Stage

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_commands_that_are_shown_say_what_is_shown(stage: Stage) -> None:
    (shown,) = re.findall(r"^\$ make kind-up\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    commands = re.findall(r"^\$ axk8s ([^#\n]+)", shown, re.MULTILINE)
    shutil.copytree(ROOT / "examples", stage.folder / "examples")

    said = [stage.run(*command.split()) for command in commands]

    assert [ended.returncode for ended in said] == [0, 0], [ended.stderr for ended in said]
    assert all(NAME in command for command in commands)
    words = said[1].stderr.splitlines()
    for line in shown.splitlines()[3:]:
        assert line == "…" or re.sub(r"\d+s", "", line) in [re.sub(r"[\d.]+s", "", word) for word in words]
