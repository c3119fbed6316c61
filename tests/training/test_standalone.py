"""training.py as it is used in a training image: alone, with an old Python, without the rest of axk8s."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from axk8s import names, training

SOURCE = Path(training.__file__)


def interpreters() -> dict[str, str]:
    """One interpreter for each Python from 3.8 on that is installed here, and always the one that runs the tests."""
    found = {f"3.{sys.version_info.minor}": sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for version in (f"3.{minor}" for minor in range(8, 30)):
        paths = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
        for path in filter(None, paths):
            # A version manager's shim is on the PATH for versions that it will not start.
            probe = subprocess.run([path, "-I", "-S", "-c", ""], capture_output=True, check=False)
            if probe.returncode == 0:
                found.setdefault(version, path)
    return found


def test_the_names_it_repeats_are_those_of_the_product() -> None:
    repeated = {name: value for name, value in vars(training).items() if name.startswith("_ENV_")}

    assert len(repeated) == 7
    assert repeated == {name: getattr(names, name[1:]) for name in repeated}


def test_it_is_valid_python_3_8_and_imports_only_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_copy_beside_a_script_reports_under_every_python_installed(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path / "training.py")
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys; sys.path.insert(0, os.path.dirname(__file__))\n"
        "import training\n"
        "assert 'axk8s' not in sys.modules\n"
        "training.report(step=1, loss=0.5)\n"
        "assert training.parse_line('axk8s: {\"a\": 1}') == (training.Record({'a': 1.0}),)\n"
        "training.report_infeasible('too wide')\n"
    )

    for version, python in interpreters().items():
        done = subprocess.run(
            [python, "-I", "-S", "-W", "error", str(script)], capture_output=True, text=True, check=False, env={}
        )

        printed = 'axk8s: {"step": 1, "loss": 0.5}\naxk8s: {"infeasible": "too wide"}\n'
        assert (done.stderr, done.stdout, done.returncode) == ("", printed, training.EXIT_INFEASIBLE), version


def test_a_copy_beside_a_script_writes_the_result_in_short_under_every_python_installed(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path / "training.py")
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys; sys.path.insert(0, os.path.dirname(__file__))\n"
        "import training\n"
        "for step, loss in enumerate([3, 1, 2]): training.report(step=step, loss=loss)\n"
        "training.report(size=7)\n"
        "with open(os.environ['AXK8S_RESULT']) as file: result = training.parse_result(file.read())\n"
        "assert result.steps == 3 and result.final and len(result.records) == 3, result\n"
        "os.abort()\n"
    )

    for version, python in interpreters().items():
        message = tmp_path / f"message-{version}"
        environment = {names.ENV_RESULT: str(message), names.ENV_BEST: '{"loss": "minimize"}'}
        done = subprocess.run(
            [python, "-I", "-S", "-W", "error", str(script)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

        assert (done.stderr, done.returncode) == ("", -signal.SIGABRT), version
        assert message.read_text().splitlines() == [
            "axk8s steps: 3",
            'axk8s: {"step": 1, "loss": 1.0}',
            'axk8s: {"step": 2, "loss": 2.0}',
            'axk8s: {"size": 7.0}',
        ], version


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import axk8s.training, sys; print(sorted(m for m in sys.modules if re.match(PATTERN, m)))"
    pattern = "ax|torch|torchx|kubernetes|pydantic|numpy|rich|typer"
    done = subprocess.run(
        [sys.executable, "-c", f"import re; PATTERN = r'({pattern})($|\\.)'; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert re.fullmatch(r"\[\]\n", done.stdout)
