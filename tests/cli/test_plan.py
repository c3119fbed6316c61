"""`axk8s plan` as a person types it: what would be submitted, and the simulated sweep. No job is ever started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axk8s.cli.app import app
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file

ROOT = Path(__file__).parents[2]
DIGITS = str(ROOT / "examples" / "digits" / "sweep.yaml")
SWEEP = """\
name: planned
function: train.py:train
workspace: .
parameters:
  x: {type: float, min: 0.0, max: 1.0}
  kind: {type: choice, values: [plain, deep]}
  depth: {type: int, min: 1, max: 9, when: {kind: deep}}
arguments: {epochs: 3}
objectives: [{metric: loss, direction: minimize}]
optimizer: {kind: random, seed: 4}
trials: 12
parallelism: 3
trial_timeout: 1h
resources: {cpu: 2, memory: 1Gi, gpu: 1}
"""
TRAIN = """\
def train(x, kind, depth=2, *, epochs, trial_idx, momentum=0.9):
    raise SystemExit("must not run")
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AXK8S_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "train.py").write_text(TRAIN)
    yield
    assert not (tmp_path / "state").exists(), "a job was started"
    assert not (tmp_path / "sweeps").exists()


def plan(*words: str) -> Result:
    return CliRunner().invoke(app, ["plan", *words], prog_name="axk8s")


def test_a_plan_shows_what_fills_each_argument_and_the_rendered_job() -> None:
    done = plan("sweep.yaml", "x=0.25")

    assert done.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["x"] == ["0.25", "parameters"]
    assert rows["kind"] == ["plain", "parameters"]
    assert rows["depth"][:2] == ["2", "default:"]
    assert rows["epochs"] == ["3", "arguments"]
    assert rows["trial_idx"] == ["0", "axk8s"]
    assert rows["momentum"] == ["0.9", "default"]
    assert "the job of the first trial, planned-000000-t0-a0" in done.stdout
    assert "12, 3 at a time" in done.stdout
    assert "12h 00m of jobs, retries apart, 12 GPU hours" in done.stdout
    assert "nothing was started" in done.stderr


def test_a_plan_is_also_there_for_programs(tmp_path: Path) -> None:
    done = plan("sweep.yaml", "kind=deep", "--trials", "5", "-o", "json")
    found = json.loads(done.stdout)

    assert (found["trials"], found["gpus"], found["cpus"], found["begun"]) == (5, 1, 2, False)
    assert found["first"]["parameters"] == {"x": 0.5, "kind": "deep", "depth": 5}
    manifest = json.loads(found["first"]["manifest"])
    assert manifest["cwd"] == str(tmp_path / "sweeps" / "planned" / "workspace")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command: python t.py --x={x} --all={params} --depth={depth}", ["{x}", "{params}", "{depth}"]),
        ("component: make.py:make", ["x", "rest"]),
    ],
)
def test_every_way_to_say_what_runs_is_shown(tmp_path: Path, text: str, said: list[str]) -> None:
    (tmp_path / "make.py").write_text(
        "from torchx.specs import AppDef, Role\n"
        "def make(x: float, kind: str, *rest: str, **others) -> AppDef:\n"
        "    return AppDef('a', roles=[Role('r', '', entrypoint='true', args=list(rest))])\n"
    )
    content = SWEEP.replace("function: train.py:train", text).replace("arguments: {epochs: 3}\n", "")
    if "component" in text:
        content = content.replace("resources: {cpu: 2, memory: 1Gi, gpu: 1}\n", "") + 'arguments: {rest: ["--n={x}"]}\n'
    (tmp_path / "sweep.yaml").write_text(content)

    done = plan("sweep.yaml", "-o", "json")

    assert done.exit_code == 0, done.stderr
    arguments = [each["argument"] for each in json.loads(done.stdout)["first"]["arguments"]]
    assert set(said) - {"rest"} <= set(arguments)
    assert ("{x}" in arguments) == ("command" in text or "rest" in said)


def test_what_run_would_refuse_plan_refuses(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def train(x): ...\n")

    for words in ((), ("--simulate",)):
        done = plan("sweep.yaml", *words)
        assert done.exit_code == 2
        assert "train.py:train takes no argument of this name" in done.stderr


def test_the_digits_example_is_simulated_without_a_job() -> None:
    done = plan(DIGITS, "--simulate", "-o", "json")
    found = json.loads(done.stdout)

    assert (found["outcomes"], found["state"], found["optimizer"]) == ({"succeeded": 16}, "done", "random")
    assert found["effort"]["attempts"] == 16
    assert found["best_value"] is None
    assert found["effort"]["seconds"] > 16 * 60 / 2


def test_a_simulation_needs_no_gpu_and_no_scheduler_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    assert "wants 1 GPU" in plan("sweep.yaml").stderr
    assert plan("sweep.yaml", "--simulate").exit_code == 0


def test_one_seed_one_course_and_several_runs_a_range() -> None:
    words = ("sweep.yaml", "--simulate", "-c", "preemptions_per_hour=2", "-o", "json")
    one, same, other = (json.loads(plan(*words, "--seed", seed).stdout) for seed in ("7", "7", "8"))

    assert one == same != other
    table = plan("sweep.yaml", "--simulate", "--runs", "3").stdout
    assert "median (least to most) of 3 runs" in table
    assert len(json.loads(plan(*words, "--runs", "2").stdout)) == 2


def test_results_ask_the_sweeps_own_optimizer_and_say_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("x,kind,depth,loss,seconds\n0.2,plain,,0.5,60\n0.8,deep,3,0.1,600\n")

    table = plan("sweep.yaml", "--simulate", "--results", "old.csv")
    bowl = plan("sweep.yaml", "--simulate", "--results", "bowl", "-o", "json")

    (best,) = [line.split() for line in table.stdout.splitlines() if line.startswith("best")]
    assert best == ["best", "0.1"]
    assert "the nearest of 2 recorded trials (old.csv)" in table.stderr
    assert json.loads(bowl.stdout)["best_value"] >= 0


def test_a_kept_simulation_is_looked_at_like_a_sweep_and_never_run(tmp_path: Path) -> None:
    kept = tmp_path / "dry"
    assert plan("sweep.yaml", "--simulate", "--keep", str(kept)).exit_code == 0

    runner = CliRunner()
    listed = runner.invoke(app, ["list", "--dir", str(kept), "-o", "json"])
    rows = runner.invoke(app, ["trials", "planned", "--dir", str(kept), "-o", "json"])
    again = runner.invoke(app, ["run", "planned", "--dir", str(kept), "--trials", "20"])
    twice = plan("sweep.yaml", "--simulate", "--keep", str(kept))

    status = runner.invoke(app, ["status", "planned", "--dir", str(kept)])

    assert [(each["state"], each["simulated"]) for each in json.loads(listed.stdout)] == [("done", True)]
    assert "no job was started; it took" in status.stdout
    assert len(json.loads(rows.stdout)) == 12
    assert (again.exit_code, twice.exit_code) == (2, 2)
    assert "holds a simulation, whose trials never ran" in again.stderr
    assert "exists already" in twice.stderr
    assert fold_file(SweepFolder(kept / "planned").journal).simulated


def test_conditions_and_scheduler_options_do_not_get_into_each_others_way() -> None:
    done = plan("sweep.yaml", "--simulate", "-c", "run_time=1h", "-cfg", "log_dir=logs", "-o", "json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["effort"]["slot_seconds"] == 12 * 3600


def test_a_simulated_abort_is_a_failure() -> None:
    done = plan("sweep.yaml", "--simulate", "-c", "failures=1")

    assert done.exit_code == 1
    assert "the first 3 trials failed alike" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--simulate", "x=0.5"), "means a trial to show"),
        (("--seed", "3"), "--seed belongs to a simulation"),
        (("--conditions", "slots=2"), "--conditions belongs to a simulation"),
        (("--simulate", "--keep", "a", "--runs", "2"), "--keep keeps one simulation"),
        (("--simulate", "--results", "bowel"), "did you mean 'bowl'?"),
        (("--simulate", "--results", "none.csv"), "'none.csv' cannot be read: No such file"),
        (("--simulate", "-c", "run_tim=3"), "did you mean 'run_time'?"),
        (("y=1",), "y"),
        (("x=7",), "x"),
    ],
)
def test_bad_input_is_named_with_a_remedy(words: tuple[str, ...], said: str) -> None:
    done = plan("sweep.yaml", *words)

    assert done.exit_code == 2
    assert said in done.stderr
