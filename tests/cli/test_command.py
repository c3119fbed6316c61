from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from axk8s.cli.app import app

VERBS = [
    "init",
    "validate",
    "try",
    "plan",
    "run",
    "status",
    "list",
    "trials",
    "best",
    "logs",
    "events",
    "stop",
    "pause",
    "enqueue",
    "clean",
    "doctor",
    "manifests",
    "schema",
]
HEAVY = ("ax", "botorch", "torch", "torchx", "kubernetes", "pandas", "plotly", "sklearn")


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, list(words), prog_name="axk8s")


def command(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AXK8S_")}
    return subprocess.run(
        [sys.executable, "-m", "axk8s", *words],
        cwd=cwd,
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_verb_in_the_order_of_use() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.split("Commands:")[1].splitlines() if line[2:3].isalpha()]
    assert [verb for verb in listed if verb in VERBS] == VERBS


def examples(verb: str) -> list[str]:
    text = invoke(verb, "--help").stdout
    return [line.strip() for line in text.rpartition("Example:")[2].splitlines() if line.strip()]


@pytest.mark.parametrize("verb", VERBS)
def test_each_help_text_ends_with_an_example_that_the_command_line_takes(verb: str) -> None:
    root = get_command(app)
    lines = examples(verb)
    assert lines
    for line in lines:
        words = shlex.split(line.partition("|")[0].partition(">")[0], comments=True)
        assert words[0] == "axk8s"
        sub = root.commands[words[1]]  # type: ignore[attr-defined]  # a group has commands; get_command says Command
        with sub.make_context(words[1], words[2:]):
            pass


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_can_be_given_by_the_environment(verb: str) -> None:
    sub = get_command(app).commands[verb]  # type: ignore[attr-defined]  # as above
    options = [param for param in sub.params if param.param_type_name == "option" and param.name != "help"]
    missing = [param.name for param in options if not (param.envvar or "").startswith("AXK8S_")]
    assert not missing


def test_the_version_is_that_of_the_package() -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "axk8s")


def test_no_verb_at_all_is_misuse_and_shows_the_help() -> None:
    result = invoke()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_a_misspelt_verb_gets_a_suggestion() -> None:
    result = invoke("statsu")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'status'" in result.stderr


def test_a_misspelt_option_gets_a_suggestion() -> None:
    result = invoke("run", "sweep.yaml", "--paralelism", "3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--parallelism" in result.stderr


def test_debug_after_the_verb_says_where_it_belongs() -> None:
    result = invoke("list", "--debug")
    assert result.exit_code == 2
    assert "axk8s --debug run" in result.stderr


def test_a_wrong_number_names_the_option_and_its_variable() -> None:
    result = invoke("run", "sweep.yaml", "--trials", "0")
    assert result.exit_code == 2
    assert "AXK8S_TRIALS" in result.stderr


def test_errors_are_one_sentence_and_a_remedy_without_colour_in_a_pipe(tmp_path: Path) -> None:
    result = command("status", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: there is no sweep in ")
    assert "  → begin one with" in result.stderr
    assert "\x1b" not in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback_of_an_expected_error(tmp_path: Path) -> None:
    for result in (command("--debug", "status", cwd=tmp_path), command("status", cwd=tmp_path, AXK8S_DEBUG="1")):
        assert result.returncode == 2
        assert "Traceback" in result.stderr
        assert "error: there is no sweep" in result.stderr


def test_a_bug_keeps_its_traceback_and_asks_to_be_reported(tmp_path: Path) -> None:
    code = (
        "from axk8s.cli.app import app\n"
        "@app.command('bug')\n"
        "def bug(): raise RuntimeError('nobody foresaw this')\n"
        "app(['bug'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "RuntimeError: nobody foresaw this" in result.stderr
    assert "Please report it" in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list"], ["status", "digits"], ["init", "new"]])
def test_quick_verbs_load_nothing_heavy(words: list[str], make_sweep: object, tmp_path: Path) -> None:
    assert callable(make_sweep)
    make_sweep("digits")
    code = (
        "import sys\n"
        "from axk8s.cli import main\n"
        f"sys.argv[1:] = {words!r}\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1:] == ["[]"], result.stderr


def test_a_reader_that_closes_the_pipe_is_no_error(make_sweep: object, tmp_path: Path) -> None:
    assert callable(make_sweep)
    make_sweep("digits")
    process = subprocess.Popen(
        [sys.executable, "-m", "axk8s", "trials", "digits", "-o", "json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), said) == (0, b"")


def test_the_schema_is_json(tmp_path: Path) -> None:
    result = command("schema", cwd=tmp_path)
    assert result.returncode == 0
    assert json.loads(result.stdout)["title"] == "axk8s sweep"
