"""Every wrong sweep file: the line, the key, what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from axk8s.errors import SpecError
from axk8s.spec.sweep import SweepSpec

BASE = {
    "name": "name: s",
    "function": "function: train.py:train",
    "parameters": "parameters:\n  x: {type: float, min: 0, max: 1}\n  c: {type: choice, values: [a, b]}",
    "objectives": "objectives: [{metric: loss, direction: minimize}]",
    "trials": "trials: 3",
}

TWO = "objectives: [{metric: a, direction: minimize}, {metric: b, direction: minimize"
TWO_WEIGHTED = "objectives: [{metric: a, direction: minimize, weight: 1}, {metric: b, direction: minimize, weight: 1"


def write(folder: Path, changed: str, *, without: str = "") -> Path:
    """A right file with the top-level keys of `changed` put in the place of its own, at its end."""
    keys = {line.partition(":")[0] for line in changed.splitlines() if line[:1].isalpha()}
    kept = [text for key, text in BASE.items() if key not in keys and key != without]
    file = folder / "sweep.yaml"
    file.write_text("\n".join(["# a sweep", *kept, changed, ""]))
    return file


def lines(folder: Path, changed: str, *, without: str = "") -> list[str]:
    with pytest.raises(SpecError) as caught:
        SweepSpec.load(write(folder, changed, without=without))
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


CASES = [
    # misspelt and missing
    ("paralelism: 4", "paralelism", "there is no key 'paralelism' here", "did you mean 'parallelism'?"),
    ("optimizer: {knd: ax}", "optimizer.knd", "there is no key", "did you mean 'kind'?"),
    (
        "objectives: [{metric: l, direction: minimize, agregate: last}]",
        "objectives[0].agregate",
        "no key",
        "'aggregate'",
    ),
    ("resources: {cpus: 3}", "resources.cpus", "no key", "did you mean 'cpu'?"),
    ("parameters: {x: {type: float, min: 0, max: 1, lg: true}}", "parameters.x.lg", "no key", "did you mean 'log'?"),
    ("parameters: {x: {type: int, values: [1], min: 0, max: 1}}", "parameters.x.values", "no key", "of type choice"),
    ("parameters: {x: {type: float, min: 0}}", "parameters.x.max", "missing", "Largest value"),
    ("parameters: {x: {type: float, min: 0, max: }}", "parameters.x.max", "a number is needed, not nothing", ""),
    ("objectives: [{metric: loss}]", "objectives[0].direction", "missing", "Which way is better"),
    # words
    ("objectives: [{metric: l, direction: max}]", "objectives[0].direction", "'max'", "called maximize"),
    ("objectives: [{metric: l, direction: minimise}]", "objectives[0].direction", "'minimise'", "minimize"),
    ("objectives: [{metric: l, direction: up}]", "objectives[0].direction", "'up'", "valid: maximize, minimize"),
    ("optimizer: bayesian", "optimizer.kind", "'bayesian'", "called ax"),
    ("optimizer: {kind: rnadom}", "optimizer.kind", "'rnadom'", "did you mean 'random'?"),
    ("parameters: {x: {type: flot, min: 0, max: 1}}", "parameters.x.type", "'flot' is not a type", "'float'"),
    ("parameters: {x: {type: loguniform, min: 0, max: 1}}", "parameters.x.type", "not a type", "with `log: true`"),
    ("parameters: {x: {type: 3}}", "parameters.x.type", "3 is not a type", "valid: bool, choice"),
    ("parameters: {x: {min: 0, max: 1}}", "parameters.x", "has no `type`", "perhaps `type: float`?"),
    ("parameters: {x: {values: [1, 2]}}", "parameters.x", "has no `type`", "perhaps `type: choice`?"),
    ("parameters: {x: {}}", "parameters.x", "has no `type`", "valid: float"),
    ("parameters: {x: 0.1}", "parameters.x", "a mapping, not 0.1", "{type: fixed, value: 0.1}"),
    ("parameters: {x: adam}", "parameters.x", "a mapping, not the text 'adam'", '{type: fixed, value: "adam"}'),
    ("parameters: {x: [1, 2]}", "parameters.x", "a mapping, not a list", "type: choice"),
    ("parameters: {x: }", "parameters.x", "a mapping, not nothing", "type: float"),
    # types
    ('trials: "3"', "trials", "a whole number is needed, not the text '3'", "remove the quotes: 3"),
    ("trials: 3.0", "trials", "a whole number is needed, not 3.0", "write 3"),
    ("trials: 3.5", "trials", "a whole number is needed, not 3.5", ""),
    ("trials: true", "trials", "a whole number is needed, not true", ""),
    ("trials: many", "trials", "a whole number is needed, not the text 'many'", ""),
    ("trials: [3]", "trials", "a whole number is needed, not a list", ""),
    ("parameters: {x: {type: float, min: '0.1', max: 1}}", "parameters.x.min", "a number is needed", "quotes: 0.1"),
    ("parameters: {x: {type: float, min: true, max: 2}}", "parameters.x.min", "a number is needed, not true", ""),
    ("parameters: {x: {type: float, min: 0, max: 1, log: yes}}", "parameters.x.log", "true or false", "YAML 1.2"),
    ("name: 5", "name", "text is needed, not 5", '"5"'),
    ("env: {OMP: 4}", "env.OMP", "text is needed, not 4", 'put it in quotes: "4"'),
    ("env: {DEBUG: true}", "env.DEBUG", "text is needed, not true", '"true"'),
    ("env: [A]", "env", "a mapping of keys to values is needed, not a list", "Environment variables"),
    ("function: {x}", "function", "text is needed, not a mapping", "quotes around text that contains braces"),
    ("objectives: {metric: l, direction: minimize}", "objectives", "a list is needed, not a mapping", "[ … ]"),
    ("objectives: [loss]", "objectives[0]", "a mapping of keys to values is needed, not the text 'loss'", ""),
    ("parameter_constraints: x <= 1", "parameter_constraints", "a list is needed", "[ … ]"),
    ("parameter_constraints: [3]", "parameter_constraints[0]", "text is needed, not 3", ""),
    # bounds
    ("trials: 0", "trials", "must be at least 1, not 0", ""),
    ("trials: 100001", "trials", "must be at most 100000", ""),
    ("parallelism: 0", "parallelism", "must be at least 1", ""),
    ("retries: -1", "retries", "must be at least 0", ""),
    ("max_failures: 0", "max_failures", "must be at least 1", ""),
    ("optimizer: {seed: -1}", "optimizer.seed", "must be at least 0", ""),
    ("resources: {cpu: 0}", "resources.cpu", "must be greater than 0", ""),
    ("resources: {gpu: 0.5}", "resources.gpu", "a whole number is needed", ""),
    ("resources: {memory: 4}", "resources.memory", "has a unit; this is 4", "4Gi"),
    ("resources: {memory: 4GB}", "resources.memory", "'4GB' is not an amount", "4Gi"),
    ("trial_timeout: 2 hours", "trial_timeout", "'2 hours' is not a duration", '"1h30m"'),
    ("trial_timeout: 0", "trial_timeout", "longer than nothing", ""),
    ("trial_timeout: .inf", "trial_timeout", "finite", ""),
    ("trial_timeout: true", "trial_timeout", "a duration is needed, not true", ""),
    ("budget: {wall_time: 0s}", "budget.wall_time", "longer than nothing", ""),
    # numbers
    (
        "parameters: {x: {type: float, min: 2, max: 1}}",
        "parameters.x.min",
        "min (2) is greater than max (1)",
        "exchange",
    ),
    ("parameters: {x: {type: int, min: 1, max: 1}}", "parameters.x.min", "both 1", "type: fixed, value: 1"),
    ("parameters: {x: {type: float, min: 0, max: 1, log: true}}", "parameters.x.min", "needs min > 0", "1e-6"),
    ("parameters: {x: {type: float, min: -1, max: 1, log: true}}", "parameters.x.min", "min is -1", ""),
    ("parameters: {x: {type: float, min: 0, max: .inf}}", "parameters.x.max", "finite number is needed", "bound"),
    ("parameters: {x: {type: float, min: .nan, max: 1}}", "parameters.x.min", "finite number is needed", "bound"),
    ("parameters: {x: {type: float, min: 0, max: 1, step: 0.3}}", "parameters.x.step", "do not meet max", "0.9 or 1.2"),
    ("parameters: {x: {type: int, min: 0, max: 10, step: 20}}", "parameters.x.step", "do not meet max", "be 20"),
    ("parameters: {x: {type: int, min: 1, max: 9, step: 2, log: true}}", "parameters.x.step", "exclude each other", ""),
    ("parameters: {x: {type: float, min: 0, max: 1, step: 0}}", "parameters.x.step", "greater than 0", ""),
    ("parameters: {x: {type: float, min: 0, max: 1, step: 1e-9}}", "parameters.x.step", "more than 1,000,000", ""),
    (f"parameters: {{x: {{type: float, min: 0, max: {10**400}}}}}", "parameters.x.max", "more than 64 bits", ""),
    (f"parameters: {{x: {{type: int, min: 0, max: {2**60}}}}}", "parameters.x.max", "must be at most", ""),
    # choices
    ("parameters: {x: {type: choice, values: []}}", "parameters.x.values", "at least one", "all of one kind"),
    ("parameters: {x: {type: choice, values: a}}", "parameters.x.values", "a list is needed", "[ … ]"),
    ("parameters: {x: {type: choice, values: [a, a]}}", "parameters.x.values", "'a' is given twice", ""),
    ("parameters: {x: {type: choice, values: [1, 1.0]}}", "parameters.x.values", "given twice", ""),
    ("parameters: {x: {type: choice, values: [a, 1]}}", "parameters.x.values", "mixes kinds", "quotes: '1'"),
    ("parameters: {x: {type: choice, values: [1, true]}}", "parameters.x.values", "mixes kinds", ""),
    ("parameters: {x: {type: choice, values: [a, null]}}", "parameters.x.values[1]", "not nothing", "quotes"),
    ("parameters: {x: {type: choice, values: [[1], 2]}}", "parameters.x.values[0]", "not a list", ""),
    ("parameters: {x: {type: choice, values: [.nan]}}", "parameters.x.values[0]", "nan is not a value", "finite"),
    (f"parameters: {{x: {{type: choice, values: [{10**400}, 1.5]}}}}", "parameters.x.values[0]", "64 bits", ""),
    # names
    ("name: My Sweep", "name", "'My Sweep' cannot be a sweep's name", "at most 63"),
    ("name: ''", "name", "cannot be a sweep's name", ""),
    ("parameters: {learning-rate: {type: bool}}", "parameters.learning-rate", "not a Python name", "'learning_rate'"),
    ("parameters: {lambda: {type: bool}}", "parameters.lambda", "a word of the Python language", "'lambda_'"),
    ("parameters: {2x: {type: bool}}", "parameters.2x", "not a Python name", "'x2x'"),
    ("parameters: {trial_idx: {type: bool}}", "parameters.trial_idx", "fills in", "another name"),
    ("arguments: {output_dir: a}", "arguments.output_dir", "fills in", "remove"),
    ("arguments: {x: 3}", "arguments.x", "'x' is a parameter as well", "under `parameters` to search"),
    ("arguments: {n-e: 3}", "arguments.n-e", "not a Python name", "'n_e'"),
    ("arguments: {n: .nan}", "arguments.n", "cannot be kept", "finite"),
    ("env: {AXK8S_TRIAL: a}", "env.AXK8S_TRIAL", "sets the variables", "AXK8S_"),
    ("env: {'A=B': a}", "env.A=B", "cannot be the name of an environment variable", ""),
    ("objectives: [{metric: ' l', direction: minimize}]", "objectives[0].metric", "name of a metric", ""),
    # what runs
    ("component: a.py:b", "function", "`component` already says what runs", "keep one"),
    ("function: ''", "function", "there is no text here", "remove the key"),
    # conditions
    (
        "parameters: {x: {type: bool, when: {y: 1}}, c: {type: bool}}",
        "parameters.x.when.y",
        "no parameter 'y'",
        "valid: c",
    ),
    ("parameters: {x: {type: bool, when: {x: true}}}", "parameters.x.when.x", "depend on itself", ""),
    ("parameters: {x: {type: bool, when: {}}}", "parameters.x.when", "names no parameter", ""),
    ("parameters: {x: {type: bool, when: c}}", "parameters.x.when", "a mapping of keys", "conditional"),
    ("parameters: {x: {type: bool, when: {c: []}}, c: {type: bool}}", "parameters.x.when.c", "at least one", ""),
    (
        "parameters: {x: {type: bool, when: {c: sdg}}, c: {type: choice, values: [adam, sgd]}}",
        "parameters.x.when.c",
        "'c' is never sdg",
        "did you mean 'sgd'?",
    ),
    ("parameters: {x: {type: bool, when: {c: 1}}, c: {type: bool}}", "parameters.x.when.c", "never 1", "false, true"),
    (
        "parameters: {x: {type: bool, when: {c: 3}}, c: {type: int, min: 1, max: 4}}",
        "parameters.x.when.c",
        "'c' is int",
        "make 'c' a choice",
    ),
    (
        "parameters: {x: {type: bool, when: {c: true}}, c: {type: bool, when: {x: true}}}",
        "parameters.c.when.x",
        "in a circle: x → c → x",
        "remove one",
    ),
    ("parameters: {x: {type: fixed, value: 1}}", "parameters", "every parameter is fixed", "a range"),
    ("parameters: {}", "parameters", "at least one is needed", "What is searched"),
    # constraints
    ("parameter_constraints: [z <= 1]", "parameter_constraints[0]", "no parameter 'z'", "valid: c, x"),
    ("parameter_constraints: [x <= 1, c <= 1]", "parameter_constraints[1]", "'c' is not a number", "numbers: x"),
    ("parameter_constraints: [x*x <= 1]", "parameter_constraints[0]", "is not linear", "x + 2*y <= 1"),
    ("parameter_constraints: [x < 1]", "parameter_constraints[0]", "write <= or >=", ""),
    ("parameter_constraints: [x <= -1]", "parameter_constraints[0]", "no trial can satisfy it", "widen"),
    ("parameter_constraints: [x == 2]", "parameter_constraints[0]", "no trial can satisfy it", "widen"),
    ("parameter_constraints: ['']", "parameter_constraints[0]", "no text", ""),
    # budgets and places
    ("budget: {cost: 3}", "budget.cost", "cannot be reckoned without prices", "budget.prices"),
    ("budget: {cost: 3, prices: {gpu: 0}}", "budget.cost", "cannot be reckoned without prices", "budget.prices"),
    ("budget: {prices: {gpus: 3}}", "budget.prices.gpus", "'gpus' has no price", "one of cpu, memory, gpu"),
    ("budget: {prices: {gpu: -1}}", "budget.prices.gpu", "must be at least 0", ""),
    ("budget: {gpu_hours: 0}", "budget.gpu_hours", "must be greater than 0", ""),
    ("budget: {patience: 0}", "budget.patience", "must be at least 1", ""),
    ("budget: {running: wait}", "budget.running", "'wait' is not one of the words", "stop"),
    ("storage: results", "storage", "is no URL, and no path", "s3://bucket/path"),
    ("storage: pvc:///x", "storage", "names no PersistentVolumeClaim", "pvc://claim/path"),
    ("storage: s3://b/../c", "storage", "leads out of itself", "s3://bucket/path"),
    # several objectives
    ("objectives: [{metric: l, direction: minimize, weight: 1}]", "objectives[0].weight", "no sum", "the other"),
    ("objectives: [{metric: l, direction: minimize, threshold: 1}]", "objectives[0].threshold", "front", "target"),
    (f"{TWO}, weight: 2}}]", "objectives[0]", "'a' has none", "give it a weight"),
    (f"{TWO}, weight: -2}}]", "objectives[1].weight", "must be greater than 0", ""),
    (f"{TWO_WEIGHTED}, threshold: 2}}]", "objectives[1].threshold", "one sum", "or all weights"),
    # outcome constraints
    ("outcome_constraints: [l < 3]", "outcome_constraints[0]", "write <= or >=", "latency_ms <= 20"),
    ("outcome_constraints: [l == 3]", "outcome_constraints[0]", "exactly", "latency_ms <= 20"),
    ("outcome_constraints: [l * m <= 3]", "outcome_constraints[0]", "`l * m` is not linear", ""),
    ("outcome_constraints: [3 <= 4]", "outcome_constraints[0]", "no metric stands in it", ""),
    ("outcome_constraints: [x <= 0.5]", "outcome_constraints[0]", "'x' is a parameter", "parameter_constraints"),
    ("outcome_constraints: [a >= 2, a <= 1]", "outcome_constraints[1]", "no trial can keep both", "widen"),
    ("outcome_constraints: [a - b >= 2, 2*b - 2*a >= -3]", "outcome_constraints[1]", "no trial can keep both", ""),
    ("outcome_constraints: [a >= 0.9 * baseline]", "outcome_constraints[0]", "the sweep has none", "`baseline:`"),
    ("outcome_constraints: [a + b >= baseline]", "outcome_constraints[0]", "here are several", ""),
    ("baseline: {x: 2, c: a}", "baseline.x", "2 is not a number from 0 to 1", ""),
    ("baseline: {x: 0.5}", "baseline.c", "has no value", "give"),
    ("baseline: {x: 0.5, c: a, y: 1}", "baseline.y", "no such parameter", "valid: c, x"),
    # early stopping
    ("early_stopping: ashas", "early_stopping.kind", "no kind of early stopping", "did you mean 'asha'?"),
    ("early_stopping: {min_step: 2}", "early_stopping", "nothing says what `kind`", "valid: asha"),
    ("early_stopping: {kind: asha, min_steps: 2}", "early_stopping.min_steps", "no key", "did you mean 'min_step'?"),
    ("early_stopping: {kind: asha, threshold: 2}", "early_stopping.threshold", "no key", "of kind threshold"),
    ("early_stopping: {kind: asha, min_step: 0}", "early_stopping.min_step", "cannot be 0", "1 or more"),
    ("early_stopping: {kind: asha, min_step: 9, max_step: 9}", "early_stopping.max_step", "no rung fits", "lower"),
    ("early_stopping: {kind: asha, reduction_factor: 1}", "early_stopping.reduction_factor", "greater than 1", ""),
    ("early_stopping: {kind: median, percentile: 3}", "early_stopping.percentile", "is the percentile 50", "remove"),
    ("early_stopping: {kind: percentile}", "early_stopping.percentile", "missing", "three quarters"),
    ("early_stopping: {kind: threshold}", "early_stopping.threshold", "missing", "The value that"),
    ("early_stopping: {kind: asha, metric: m}", "early_stopping.metric", "which way 'm' is better", "direction"),
    (
        "early_stopping: {kind: asha, metric: loss, direction: maximize}",
        "early_stopping.direction",
        "the objective 'loss' says minimize",
        "remove it",
    ),
]


def test_several_objectives_do_not_say_which_of_them_stops_trials(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, f"{TWO}}}]\nearly_stopping: asha")
    assert "early_stopping: the sweep has several objectives, and nothing says which decides" in line
    assert "one of a, b" in line


@pytest.mark.parametrize(
    ("changed", "key", "message", "hint"), CASES, ids=[f"{case[1]} {case[0][-70:]}" for case in CASES]
)
def test_one_mistake_gives_one_problem_with_its_line_key_and_remedy(
    tmp_path: Path, changed: str, key: str, message: str, hint: str
) -> None:
    file = write(tmp_path, changed)
    line = file.read_text().splitlines().index(changed) + 1
    if key == "function" and changed.startswith("component"):
        line = 3
    (problem,) = lines(tmp_path, changed)
    assert problem.startswith(f"sweep.yaml:{line}: {key}: ")
    sentence, _, remedy = problem.partition("\n  → ")
    assert message in sentence
    assert hint in remedy


@pytest.mark.parametrize("key", ["name", "parameters", "objectives", "trials"])
def test_a_missing_key_is_named_at_the_top_of_the_file(tmp_path: Path, key: str) -> None:
    (problem,) = lines(tmp_path, "", without=key)
    assert problem.startswith(f"sweep.yaml:2: {key}: this key is missing\n  → ")


def test_a_file_that_runs_nothing_says_what_could(tmp_path: Path) -> None:
    (problem,) = lines(tmp_path, "", without="function")
    assert problem.startswith("sweep.yaml:2: nothing says what runs")
    assert "component: train.py:component" in problem


def test_a_component_brings_its_own_image_resources_and_environment(tmp_path: Path) -> None:
    changed = "component: a.py:b\nimage: x\nresources: {cpu: 3}\nenv: {A: b}"
    found = lines(tmp_path, changed, without="function")
    assert [problem.split(": ")[1] for problem in found] == ["image", "resources", "env"]


def test_a_command_has_no_arguments(tmp_path: Path) -> None:
    (problem,) = lines(tmp_path, "command: echo {x} {c}\narguments: {n: 1}", without="function")
    assert "a command has no arguments" in problem


def test_two_objectives_on_one_metric_are_refused(tmp_path: Path) -> None:
    found = lines(tmp_path, "objectives:\n  - {metric: a, direction: minimize}\n  - {metric: a, direction: maximize}")
    assert any("'a' is already an objective" in problem for problem in found)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "Name: s\n"
        "component: a.py:b\n"
        "function: c.py:d\n"
        "trials: '3'\n"
        "parameters:\n"
        "  x: {type: float, min: 2, max: 1, log: yes}\n"
        "  y: {type: float, min: -2, max: -3, step: -1, log: true}\n"
        "  z: {type: bool, when: {w: true}}\n"
        "parameter_constraints: [x + q <= 1]\n"
        "storage: here\n"
        "trials: 4\n"
        "objectives: [{metric: l, direction: down}]\n"
    )
    with pytest.raises(SpecError) as caught:
        SweepSpec.load(file)
    found = [(int(problem.where.rpartition(":")[2]), problem.key) for problem in caught.value.problems]
    assert found == [
        (1, "name"),
        (1, "Name"),
        (3, "function"),
        (4, "trials"),
        (6, "parameters.x.log"),
        (7, "parameters.y.min"),
        (7, "parameters.y.min"),
        (7, "parameters.y.step"),
        (7, "parameters.y.step"),
        (8, "parameters.z.when.w"),
        (9, "parameter_constraints[0]"),
        (10, "storage"),
        (11, "trials"),
        (12, "objectives[0].direction"),
    ]
    assert caught.value.exit_code == 2


def test_a_tag_is_told_once_and_not_once_more_for_having_no_value(tmp_path: Path) -> None:
    (problem,) = lines(tmp_path, "trials: !many 3")
    assert "the tag !many" in problem


def test_from_python_the_place_is_the_sweep_and_the_key() -> None:
    with pytest.raises(SpecError) as caught:
        SweepSpec.from_mapping({"name": "s", "trails": 3, 4: 5}, base=Path())  # type: ignore[dict-item]  # a wrong key
    text = str(caught.value)
    assert "sweep: trails: there is no key 'trails' here" in text
    assert "sweep: trials: this key is missing" in text


def test_python_objects_that_cannot_be_written_down_are_refused() -> None:
    mapping = {
        "name": "s",
        "function": "a:b",
        "trials": 1,
        "objectives": [{"metric": "l", "direction": "minimize"}],
        "parameters": {"x": {"type": "bool"}},
        "arguments": {"a": {1: 2}, "b": object()},
    }
    with pytest.raises(SpecError) as caught:
        SweepSpec.from_mapping(mapping, base=Path())
    assert [problem.key for problem in caught.value.problems] == ["arguments.a", "arguments.b"]
    assert "the key 1 is not text" in str(caught.value)
    assert "a object cannot be written down" in str(caught.value)
