"""What may be said with -cfg: each option has a help, a bad value is named, and all spellings mean the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from axk8s.errors import SchedulerConfigError
from axk8s.launch.session import Session
from axk8s.schedulers.kubernetes_job.changes import Changes
from axk8s.schedulers.kubernetes_job.options import (
    WEEK,
    Options,
    Toleration,
    VolumeClaim,
    is_label_key,
    is_label_value,
    run_opts,
)
from axk8s.schedulers.kubernetes_job.scheduler import changes
from axk8s.spec.sweep import SweepSpec
from tests.schedulers.kubernetes_job.apps import options

SWEEP = """\
name: tuning
objectives: [{metric: loss, direction: minimize}]
trials: 4
parameters: {lr: {type: float, min: 0.001, max: 0.1}}
command: prog {lr}
image: reg/a:1
scheduler: kubernetes_job
"""


def test_every_option_has_a_help_and_is_a_field_of_the_same_name() -> None:
    found = dict(iter(run_opts()))

    assert all(option.help for option in found.values())
    assert not any(option.is_required for option in found.values())
    assert set(found) == set(Options.__dataclass_fields__)


def test_defaults_are_those_of_the_class() -> None:
    assert options() == Options()
    assert (Options().security, Options().ttl_seconds, Options().keep_logs) == ("auto", WEEK, "all")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("namespace", "Team", "namespace=Team"),
        ("namespace", "a_b", "namespace=a_b"),
        ("namespace", "", "namespace="),
        ("queue", "my queue", "queue=my queue"),
        ("queue", "-a", "queue=-a"),
        ("priority_class", "High", "priority_class=High"),
        ("service_account", "a..b", "service_account=a..b"),
        ("service", "a/b", "service=a/b"),
        ("image_pull_policy", "Sometimes", "image_pull_policy=Sometimes"),
        ("security", "strict", "security=strict"),
        ("keep_logs", "some", "keep_logs=some"),
        ("grace", -1, "grace=-1"),
        ("ttl_seconds", -1, "ttl_seconds=-1"),
        ("ttl_seconds", 2**31, "ttl_seconds=2147483648"),
        ("run_as_user", 0, "run_as_user=0"),
        ("qps", -0.5, "qps=-0.5"),
        ("timeout", 0.5, "timeout=0.5"),
        ("timeout", float("nan"), "timeout=nan"),
        ("timeout", float("inf"), "timeout=inf"),
        ("secret_env", {"A": "secret"}, "secret_env=A:secret"),
        ("secret_env", {"A": "secret/"}, "secret_env=A:secret/"),
        ("secret_env", {"A": "/key"}, "secret_env=A:/key"),
        ("secret_env", {"1A": "secret/key"}, "secret_env=1A:secret/key"),
        ("volumes", ["data"], "volumes=data"),
        ("volumes", ["data:relative"], "volumes=data:relative"),
        ("volumes", [":/data"], "volumes=:/data"),
        ("volumes", ["data:/data:rx"], "volumes=data:/data:rx"),
        ("volumes", ["data:/data:"], "volumes=data:/data:"),
        ("tolerations", [""], "tolerations="),
        ("tolerations", ["a b"], "tolerations=a b"),
        ("tolerations", ["gpu:Never"], "tolerations=gpu:Never"),
        ("tolerations", ["gpu:"], "tolerations=gpu:"),
        ("node_selector", {"pool": "a b"}, "node_selector=pool:a b"),
        ("node_selector", {"a b": "c"}, "node_selector=a b:c"),
        ("labels", {"team": "x" * 64}, f"labels=team:{'x' * 64}"),
        ("labels", {"": "x"}, "labels=:x"),
        ("labels", {"axk8s/sweep-uid": "x"}, "labels=axk8s/sweep-uid:x"),
        ("labels", {"app.kubernetes.io/managed-by": "us"}, "labels=app.kubernetes.io/managed-by:us"),
        ("annotations", {"a b": "c"}, "annotations=a b"),
    ],
    ids=lambda value: f"{value!r:.30}",
)
def test_a_bad_value_is_named_with_its_option_and_a_remedy(name: str, value: object, shown: str) -> None:
    with pytest.raises(SchedulerConfigError) as caught:
        options(**{name: value})

    assert f"scheduler: {shown}: this cannot be" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "near"), [("security", "restrict", "restricted"), ("keep_logs", "fail", "failed")]
)
def test_a_misspelt_word_is_answered_with_the_nearest(name: str, value: str, near: str) -> None:
    with pytest.raises(SchedulerConfigError, match=f"did you mean '{near}'"):
        options(**{name: value})


def test_an_unknown_option_is_answered_with_the_nearest() -> None:
    with pytest.raises(SchedulerConfigError, match="did you mean 'namespace'"):
        options(namespce="a")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("data:/data", VolumeClaim("data", "/data")),
        ("data:/data:ro", VolumeClaim("data", "/data", read_only=True)),
        ("data:/data:rw", VolumeClaim("data", "/data")),
    ],
)
def test_a_volume_is_a_claim_and_a_path(text: str, claim: VolumeClaim) -> None:
    assert options(volumes=[text]).volumes == (claim,)


@pytest.mark.parametrize(
    ("text", "manifest"),
    [
        ("gpu", {"key": "gpu", "operator": "Exists"}),
        ("gpu:NoSchedule", {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}),
        (
            "example.com/dedicated=ml:NoExecute",
            {"key": "example.com/dedicated", "operator": "Equal", "value": "ml", "effect": "NoExecute"},
        ),
        ("a=", {"key": "a", "operator": "Equal", "value": ""}),
    ],
)
def test_a_toleration_is_written_like_a_taint(text: str, manifest: dict[str, str]) -> None:
    assert options(tolerations=[text]).tolerations[0].manifest() == manifest


def test_a_path_starts_at_the_base_or_at_home(tmp_path: Path) -> None:
    found = options(base="/sweeps/a")

    assert found.below("x/y.yaml") == Path("/sweeps/a/x/y.yaml")
    assert found.below("/x.yaml") == Path("/x.yaml")
    assert found.below("~/x.yaml") == tmp_path / "x.yaml"
    assert options().below("x.yaml") == Path("x.yaml")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a", True, True),
        ("A.b_c-d", True, True),
        ("example.com/a", True, False),
        ("Example.com/a", False, False),
        ("", False, True),
        ("-a", False, False),
        ("a" * 63, True, True),
        ("a" * 64, False, False),
        ("ü", False, False),
        ("a b", False, False),
        ("p" * 253 + "/a", True, False),
        ("p" * 254 + "/a", False, False),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_keys_and_values_of_labels(text: str, key: bool, value: bool) -> None:
    assert (is_label_key(text), is_label_value(text)) == (key, value)


def session(folder: Path, **config: object) -> Options:
    """The options as a sweep reads them, from its file or from `-cfg`."""
    file = folder / "sweep.yaml"
    file.write_text(f"{SWEEP}scheduler_config: {json.dumps(config)}\n")
    opened = Session(SweepSpec.load(file))
    return Options.read(opened.options.resolve(opened.config({})))


WORDS = {
    "namespace": "team",
    "image_pull_secrets": "a;b",
    "env_from": "a,b",
    "secret_env": "WANDB_API_KEY:wandb/api-key;TOKEN:hub/token",
    "volumes": "data:/data:ro;scratch:/scratch",
    "node_selector": "pool:gpu,zone:a",
    "tolerations": "dedicated=ml:NoSchedule;gpu",
    "labels": "team:vision",
    "annotations": "example.com/link:https://example.com/a",
    "security": "restricted",
    "run_as_user": "2000",
    "cpu_limit": "false",
    "timeout": "90",
    "grace": "5",
    "qps": "0",
}
MEANT = Options(
    namespace="team",
    image_pull_secrets=("a", "b"),
    env_from=("a", "b"),
    secret_env={"WANDB_API_KEY": ("wandb", "api-key"), "TOKEN": ("hub", "token")},
    volumes=(VolumeClaim("data", "/data", read_only=True), VolumeClaim("scratch", "/scratch")),
    node_selector={"pool": "gpu", "zone": "a"},
    tolerations=(Toleration("dedicated", "ml", "NoSchedule"), Toleration("gpu")),
    labels={"team": "vision"},
    annotations={"example.com/link": "https://example.com/a"},
    security="restricted",
    run_as_user=2000,
    cpu_limit=False,
    timeout=90.0,
    grace=5,
    qps=0.0,
)


def test_the_words_of_a_command_line_mean_what_they_say(tmp_path: Path) -> None:
    assert session(tmp_path, **WORDS) == MEANT


def test_so_do_lists_mappings_and_numbers_of_a_sweep_file(tmp_path: Path) -> None:
    plain: dict[str, Any] = {
        **WORDS,
        "image_pull_secrets": ["a", "b"],
        "env_from": ["a", "b"],
        "secret_env": {"WANDB_API_KEY": "wandb/api-key", "TOKEN": "hub/token"},
        "volumes": ["data:/data:ro", "scratch:/scratch"],
        "node_selector": {"pool": "gpu", "zone": "a"},
        "tolerations": ["dedicated=ml:NoSchedule", "gpu"],
        "labels": {"team": "vision"},
        "annotations": {"example.com/link": "https://example.com/a"},
        "run_as_user": 2000,
        "cpu_limit": False,
        "timeout": 90,
        "grace": 5,
        "qps": 0,
    }
    assert session(tmp_path, **plain) == MEANT


def test_so_do_torchx_own_words() -> None:
    # In which no value can have a `=`, as the first toleration has.
    text = ",".join(f"{name}={value}" for name, value in {**WORDS, "tolerations": "gpu"}.items())

    found = Options.read(run_opts().resolve(run_opts().cfg_from_str(text)))
    assert found == replace(MEANT, tolerations=(Toleration("gpu"),))


def test_torchx_itself_can_read_every_list_and_mapping() -> None:
    for name, option in run_opts():
        if option.opt_type not in (str, int, float, bool):
            assert run_opts().cfg_from_str(f"{name}=a:b;c:d") in ({name: ["a:b", "c:d"]}, {name: {"a": "b", "c": "d"}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grace", "soon"),
        ("grace", 1.5),
        ("cpu_limit", "perhaps"),
        ("volumes", 3),
        ("labels", "team"),
        ("labels", {"a": 1}),
    ],
    ids=str,
)
def test_a_word_of_another_type_is_refused_with_its_line(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(SchedulerConfigError, match=rf"sweep\.yaml:8: the option {name} is of type"):
        session(tmp_path, **{name: value})


OVERLAY = {"hostNetwork": True, "containers": [{"name": "main", "tty": True, "command": None}]}


def test_an_overlay_is_a_mapping_in_the_sweep_file(tmp_path: Path) -> None:
    assert changes(session(tmp_path, pod_overlay=OVERLAY)) == Changes({"spec": OVERLAY})


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(OVERLAY),
        "hostNetwork: true\ncontainers: [{name: main, tty: true, command: null}]",
        json.dumps({"spec": OVERLAY}),
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": OVERLAY}),
    ],
    ids=["JSON", "YAML", "below spec", "a whole pod"],
)
@pytest.mark.parametrize("place", ["text", "file"])
def test_an_overlay_is_text_or_a_file_and_a_pod_or_its_spec(tmp_path: Path, written: str, place: str) -> None:
    if place == "file":
        (tmp_path / "pod.yaml").write_text(written)
        written = "pod.yaml"

    assert changes(options(pod_overlay=written, base=str(tmp_path))) == Changes({"spec": OVERLAY})


def test_no_overlay_and_an_empty_mapping_change_nothing() -> None:
    assert changes(options()) == changes(options(pod_overlay="{}")) == Changes()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("nowhere.yaml", "nowhere.yaml cannot be read"),
        ("{a: [}", "pod_overlay is not YAML"),
        ("list.yaml", "list.yaml is no part of a pod: ['a']"),
        ("empty.yaml", "empty.yaml is no part of a pod: None"),
        ("nospec.yaml", "nospec.yaml is no part of a pod: None"),
        ("latin.yaml", "latin.yaml cannot be read"),
    ],
)
def test_an_overlay_that_is_none_is_refused(tmp_path: Path, written: str, says: str) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "nospec.yaml").write_text("kind: Pod\n")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")

    with pytest.raises(SchedulerConfigError) as caught:
        changes(options(pod_overlay=written, base=str(tmp_path)))
    assert says in str(caught.value)
