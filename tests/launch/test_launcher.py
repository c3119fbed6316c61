from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from axk8s.errors import ComponentError, SchedulerConfigError, SpecError
from axk8s.folder import AttemptFolder, SweepFolder
from axk8s.launch.check import check
from axk8s.launch.launcher import Launcher
from axk8s.launch.preview import preview
from axk8s.names import job_name
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Harvest, JobOrder, JobView, Phase

Make = Callable[..., SweepSpec]
Write = Callable[[str, str], Path]
Views = queue.Queue[JobView]
UID = "abcdef0123"

SHOW = """
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}))
"""


def collect(folder: AttemptFolder, lines: Callable[[], Iterable[str]]) -> Harvest:
    return Harvest({}, log_tail=tuple(lines()))


def order(trial: int = 0, attempt: int = 0, **parameters: float | str | bool) -> JobOrder:
    return JobOrder(trial, attempt, job_name("tuning", UID, trial, attempt), parameters or {"lr": 0.5})


@contextmanager
def launching(spec: SweepSpec) -> Iterator[tuple[Launcher, Views]]:
    views: Views = queue.Queue()
    with closing(Launcher(spec, folder_of(spec), UID, collect=collect)) as launcher:
        launcher.watch(views.put)
        yield launcher, views


def folder_of(spec: SweepSpec) -> SweepFolder:
    return SweepFolder(spec.base / "sweeps" / spec.name)


def start(launcher: Launcher, what: JobOrder) -> str:
    launcher.render(what)
    handle = launcher.submit(what).handle
    launcher.follow(what.job, handle)
    return handle


def until(views: Views, *phases: Phase) -> JobView:
    while (view := views.get(timeout=60)).phase not in phases:
        assert view.exit is None, view
    return view


def run(spec: SweepSpec, what: JobOrder | None = None) -> tuple[JobView, list[str]]:
    """One job from parameters to its end, and its output."""
    what = what or order()
    with launching(spec) as (launcher, views):
        handle = start(launcher, what)
        view = until(views, Phase.ENDED, Phase.LOST)
        return view, list(launcher.logs(what, handle))


def shown(spec: SweepSpec, what: JobOrder | None = None) -> dict[str, Any]:
    """What a job that runs SHOW sees of the world."""
    view, lines = run(spec, what)
    assert view.exit is not None
    assert view.exit.code == 0, lines
    seen: dict[str, Any] = json.loads(lines[0])
    return seen


@pytest.mark.parametrize("scheduler", ["local", "local_cwd"])
def test_a_command_runs_in_its_folder_with_its_values_and_environment(
    sweep: Make,
    write: Write,
    scheduler: str,
) -> None:
    write("show.py", SHOW)
    value = "a$$b '${app_id}' \"x\" $HOME"
    spec = sweep(f"command: python show.py {{lr}}\nscheduler: {scheduler}\nenv: {{MINE: 'v$$w ${{app_id}}'}}")
    folder = folder_of(spec)

    seen = shown(spec, order(3, 1, lr=value))

    env = seen["env"]
    assert seen["argv"] == [value]
    assert seen["cwd"] == str(spec.base)
    assert env["MINE"] == "v$$w ${app_id}"
    assert json.loads(env["AXK8S_PARAMS"]) == {"lr": value}
    assert (env["AXK8S_SWEEP"], env["AXK8S_TRIAL"], env["AXK8S_ATTEMPT"], env["AXK8S_REPLICA"]) == (
        "tuning",
        "3",
        "1",
        "0",
    )
    assert env["AXK8S_OUTPUT_DIR"] == str(folder.attempt(3, 1).output)
    assert env["AXK8S_CHECKPOINT_DIR"] == str(folder.checkpoints(3))
    assert Path(env["AXK8S_OUTPUT_DIR"]).is_dir()
    assert Path(env["AXK8S_CHECKPOINT_DIR"]).is_dir()
    assert env["AXK8S_METRICS"] == str(folder.attempt(3, 1).metrics)
    assert env["PYTHONUNBUFFERED"] == "1"


PYTHON = """
    from torchx.specs import AppDef, Role

    def trainer(lr: float, program: str = "python", path: str = "") -> AppDef:
        env = {"PATH": path} if path else {}
        code = "import json, sys; print(json.dumps(sys.executable))"
        return AppDef("t", roles=[Role("main", image="", entrypoint=program, args=["-c", code], env=env)])
"""


@pytest.mark.parametrize("program", ["python", "python3"])
def test_the_python_of_a_component_is_the_one_of_the_sweep(
    sweep: Make, write: Write, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    write("train.py", PYTHON)
    monkeypatch.setenv("PATH", os.defpath)
    spec = sweep(f"component: train.py:trainer\narguments: {{program: {program}}}")

    _, lines = run(spec)

    assert json.loads(lines[0]) == sys.executable


def test_a_component_that_names_its_path_finds_its_own_python_there(sweep: Make, write: Write) -> None:
    write("train.py", PYTHON)
    theirs = write("bin/python", "#!/bin/sh\necho mine\n")
    theirs.chmod(0o755)

    _, lines = run(sweep(f"component: train.py:trainer\narguments: {{path: {theirs.parent}}}"))

    assert lines == ["mine"]


def test_in_a_container_the_python_of_a_component_is_the_images(sweep: Make, write: Write) -> None:
    write("train.py", PYTHON)
    spec = sweep(
        "component: train.py:trainer\nscheduler: kubernetes_job\n"
        "scheduler_config: {image: 'python:3', security: unrestricted}"
    )

    manifest = preview(spec, folder_of(spec), {"lr": 0.5}).manifest

    assert "- python\n" in manifest
    assert sys.executable not in manifest


def test_a_pinned_workspace_is_where_the_job_runs_and_an_edit_changes_nothing(sweep: Make, write: Write) -> None:
    write("show.py", SHOW)
    spec = sweep("command: python show.py {lr}\nworkspace: .")
    with launching(spec) as (launcher, _):
        digest = launcher.workspace.digest
    write("show.py", "raise SystemExit(1)")

    assert shown(spec)["cwd"] == str(folder_of(spec).workspace)
    with launching(spec) as (launcher, _):
        assert launcher.workspace.digest == digest


def test_a_function_from_the_pinned_workspace_reports_its_result(sweep: Make, write: Write) -> None:
    write("model.py", "K = 2")
    write(
        "train.py",
        "import model\ndef train(lr: float, factor, trial_idx):\n    return lr * model.K * factor + trial_idx\n",
    )
    spec = sweep("function: train.py:train\narguments: {factor: 10}\nworkspace: .")

    view, _ = run(spec, order(5, 0, lr=0.5))

    assert view.exit is not None
    assert view.exit.code == 0
    assert json.loads(folder_of(spec).attempt(5, 0).metrics.read_text()) == {"loss": 15.0}


def test_a_component_gets_no_retries_of_its_own_and_our_labels(sweep: Make, write: Write) -> None:
    write(
        "train.py",
        "from torchx.specs import AppDef, Role\n"
        "def app(lr: float, output_dir: str):\n"
        "    role = Role('main', image='', entrypoint='sh', args=['-c', 'echo $0 $1; exit 3', str(lr), output_dir],\n"
        "                max_retries=5)\n"
        "    return AppDef('x', roles=[role])\n",
    )
    spec = sweep("component: train.py:app")
    what = order()

    view, lines = run(spec, what)

    manifest = json.loads(folder_of(spec).attempt(0, 0).manifest.read_text())
    assert lines == [f"0.5 {folder_of(spec).attempt(0, 0).output}"]
    assert view.exit is not None
    assert view.exit.code == 3
    assert manifest["app_id"] == what.job
    assert manifest["replicas"][0]["max_retries"] == 0
    assert manifest["metadata"]["axk8s/trial"] == "0"
    assert "max_retries of main is ignored" in check(spec)[0]


def test_a_job_can_import_axk8s_but_nothing_else_of_this_environment_comes_with_it(sweep: Make, write: Write) -> None:
    write("train.py", "import axk8s.training, os\nprint(os.listdir(os.environ['PYTHONPATH'].split(':')[0]))\n")

    _, lines = run(sweep("command: python train.py {lr}"))

    assert lines == ["['axk8s']"]


def test_threads_are_the_share_of_the_cores_unless_the_user_says(
    sweep: Make,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("show.py", SHOW)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    cores = len(os.sched_getaffinity(0))

    env = shown(sweep("command: python show.py {lr}\nenv: {OPENBLAS_NUM_THREADS: '9'}"))["env"]
    crowded = shown(sweep("command: python show.py {lr}\nparallelism: 1000"), order(1))

    assert (env["OMP_NUM_THREADS"], env["MKL_NUM_THREADS"], env["OPENBLAS_NUM_THREADS"]) == (str(cores), "3", "9")
    assert crowded["env"]["OMP_NUM_THREADS"] == "1"


def test_rendering_writes_parameters_and_manifest_and_starts_nothing(sweep: Make, write: Write) -> None:
    marker = write("train.sh", "touch started")
    spec = sweep("command: sh train.sh {lr}")
    with launching(spec) as (launcher, _):
        launcher.render(order(0, 0, lr=0.25))

    attempt = folder_of(spec).attempt(0, 0)
    assert json.loads(attempt.params.read_text()) == {"lr": 0.25}
    assert sorted(path.name for path in attempt.path.iterdir()) == ["manifest.yaml", "output", "params.json"]
    assert not (marker.parent / "started").exists()


def test_after_a_crash_the_stored_manifest_is_sent_and_a_second_time_adopted(sweep: Make, write: Write) -> None:
    write("wait.py", "import time; time.sleep(600)")
    spec = sweep("command: python wait.py {lr}")
    with launching(spec) as (first, _):
        first.render(order())
    with launching(spec) as (second, views):
        sent = second.submit(order())
        second.follow(order().job, sent.handle)
        pid = until(views, Phase.RUNNING).pid
    with launching(spec) as (third, views):
        again = third.submit(order())
        third.follow(order().job, again.handle)
        adopted = until(views, Phase.RUNNING)
        third.stop(again.handle)
        third.stop(again.handle)
        ended = until(views, Phase.ENDED)

    assert (sent.adopted, again.adopted) == (False, True)
    assert sent.handle == again.handle == f"local://torchx/{order().job}"
    assert adopted.pid == pid is not None
    assert ended.exit is not None
    assert ended.exit.cause == "cancelled"


def test_a_time_limit_ends_a_job(sweep: Make) -> None:
    view, _ = run(sweep("command: sleep 600\ntrial_timeout: 0.2"))

    assert view.exit is not None
    assert view.exit.cause == "deadline"


def test_a_time_limit_holds_on_a_scheduler_that_has_none(sweep: Make) -> None:
    view, _ = run(sweep("command: sleep 600\ntrial_timeout: 0.2\nscheduler: local_cwd"))

    assert view.exit is not None
    assert view.exit.cause == "deadline"


def test_the_exit_code_and_replica_are_known_on_local_cwd_too(sweep: Make) -> None:
    view, _ = run(sweep("command: sh -c 'exit 3'\nscheduler: local_cwd"))

    assert view.exit is not None
    assert (view.exit.cause, view.exit.code, view.exit.replica) == ("exited", 3, "main-0")


def test_a_job_of_local_cwd_that_another_process_submitted_is_lost(sweep: Make) -> None:
    with launching(sweep("command: sleep 600\nscheduler: local_cwd")) as (launcher, views):
        launcher.follow(order().job, "local_cwd://torchx/gone")

        assert until(views, Phase.LOST).exit is not None


def test_logs_of_several_replicas_say_who_wrote_each_line(sweep: Make) -> None:
    text = "component: utils.sh\narguments: {args: [echo, 'lr={lr}'], num_replicas: 2, image: ''}"
    spec = sweep(text)
    with launching(spec) as (launcher, views):
        handle = start(launcher, order())
        until(views, Phase.ENDED)
        expected = ["sh-0 lr=0.5", "sh-1 lr=0.5"]

        assert list(launcher.logs(order(), handle)) == expected
        assert sorted(launcher.logs(order(), handle, follow=True)) == expected
        assert launcher.harvest(order(), handle).log_tail == ("lr=0.5",)
    with launching(spec) as (later, _):
        assert list(later.logs(order(), handle)) == expected


def test_logs_can_be_followed_while_the_job_runs(sweep: Make, write: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    write("train.py", "import sys\nprint('one')\nopen(sys.argv[1]).read()\nprint('two')\n")
    with launching(sweep(f"command: python train.py {tmp_path}/go")) as (launcher, _):
        lines = launcher.logs(order(), start(launcher, order()), follow=True)
        first = next(lines)
        (tmp_path / "go").write_text("")

        assert [first, *lines] == ["one", "two"]


@pytest.mark.parametrize("scheduler", ["local", "local_cwd"])
def test_what_a_job_reports_can_be_seen_while_it_runs(
    sweep: Make, write: Write, tmp_path: Path, scheduler: str
) -> None:
    os.mkfifo(tmp_path / "go")
    write("train.py", "import sys\nprint('one', flush=True)\nopen(sys.argv[1]).read()\nprint('two')\n")
    with launching(sweep(f"command: python train.py {tmp_path}/go\nscheduler: {scheduler}")) as (launcher, _):
        lines = launcher.output(order(), start(launcher, order()))
        first = next(lines)
        growing = launcher.growing(order())
        (tmp_path / "go").write_text("")

        assert [first, *lines] == ["one", "two"]
        assert growing is not None
        assert growing.path == folder_of(launcher._spec).attempt(0, 0).path


@pytest.mark.parametrize("scheduler", ["local", "local_cwd"])
def test_the_tail_is_the_end_of_the_output(sweep: Make, write: Write, scheduler: str) -> None:
    write("train.py", "for i in range(50): print(i)")
    with launching(sweep(f"command: python train.py\nscheduler: {scheduler}")) as (launcher, views):
        handle = start(launcher, order())
        until(views, Phase.ENDED)

        assert launcher.log_tail(order(), handle, lines=2) == ["48", "49"]
        launcher.delete(handle)
        launcher.delete(handle)


def test_check_finds_what_is_wrong_with_the_program_before_the_first_trial(sweep: Make, write: Write) -> None:
    write(
        "train.py",
        "from torchx.specs import AppDef, Role\ndef app(lr, x): ...\ndef none(lr):\n    return AppDef('a')\n"
        "def number(lr):\n    return AppDef('a', roles=[Role('m', image='', entrypoint='p', args=[lr])])\n",
    )

    with pytest.raises(SpecError, match="nothing fills the argument 'x'"):
        check(sweep("component: train.py:app"))
    with pytest.raises(ComponentError, match="has no roles"):
        check(sweep("component: train.py:none"))
    with pytest.raises(ComponentError, match=r"sweep\.yaml:6: .*takes strings only"):
        check(sweep("component: train.py:number"))
    with pytest.raises(SchedulerConfigError, match="no option 'gace'"):
        check(sweep("command: prog {lr}\nscheduler_config: {gace: 1}"))
    assert check(sweep("command: prog {lr}")) == []


def test_check_leaves_nothing_behind(sweep: Make, project: Path) -> None:
    spec = sweep("command: prog {lr}\nworkspace: .")
    check(spec)

    assert [path.name for path in project.iterdir()] == ["sweep.yaml"]


def test_check_says_what_a_scheduler_cannot_do(sweep: Make, write: Write) -> None:
    write("train.py", "def train(lr): ...")

    assert "end with the controller" in check(sweep("command: prog {lr}\nscheduler: local_cwd"))[0]
    said = check(sweep("function: train.py:train\nscheduler: slurm"))
    assert any("AXK8S_CHECKPOINT_DIR" in one for one in said)
    assert any("image must hold" in one for one in said)


def test_launching_imports_neither_ax_nor_the_training_code() -> None:
    code = "import sys, axk8s.launch.launcher; print(sorted({'ax', 'torch', 'typer', 'rich'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_without_a_workspace_the_script_that_a_component_names_is_watched(sweep: Make, write: Write) -> None:
    write("script.py", "")
    write("unrelated.py", "")
    role = "Role('m', image='', entrypoint='python', args=['script.py', str(lr), '/etc/passwd', 'x' * 5000])"
    write("train.py", f"from torchx.specs import AppDef, Role\ndef app(lr):\n    return AppDef('a', roles=[{role}])\n")

    with launching(sweep("component: train.py:app")) as (launcher, _):
        assert sorted(launcher.workspace.files) == ["script.py", "train.py"]
