"""The JSON schema agrees with the reader, and the reference page with the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from axk8s.errors import SpecError
from axk8s.spec.document import parse
from axk8s.spec.schema import json_schema, reference
from axk8s.spec.sweep import SweepSpec

ROOT = Path(__file__).parents[2]
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
HEAD = "name: s\ntrials: 3\nobjectives: [{metric: l, direction: minimize}]\n"
BODY = HEAD + "function: a.py:b\nparameters: {x: {type: bool}}\n"


def content(text: str) -> dict[str, object]:
    document = parse(text, label="s.yaml")
    assert not document.problems
    return document.content


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        HEAD + "command: a {x}\nparameters: {x: {type: float, min: 1e-4, max: 1, log: true, step: null}}",
        HEAD + "component: dist.ddp\nfunction: null\nparameters: {x: {type: choice, values: [1, 2], ordered: false}}",
        BODY + "optimizer: random\narguments:\nenv:\nresources:\nbudget:\nstorage: null\nearly_stopping: null",
        BODY + "optimizer: {kind: grid, seed: 3}\noutcome_constraints: []\nparameter_constraints: []",
        BODY + "early_stopping: asha\noutcome_constraints: [a/b <= 3, 'c >= 0.9*baseline']\nbaseline: {x: true}",
        BODY + "early_stopping: {kind: percentile, percentile: 25, min_step: 3}\nwarm_start: [old.csv]",
        BODY + "trial_timeout: 1h30m\nbudget: {wall_time: 90}\nresources: {cpu: 0.5, memory: 4Gi, gpu: 1}",
        HEAD + "function: a:b\nparameters: {c: {type: bool}, x: {type: int, min: 1, max: 2, when: {c: true}}}",
        HEAD + "function: a:b\nparameters: {c: {type: bool}, x: {type: bool, when: {c: [true, false]}}}",
        HEAD + "function: a:b\nparameters: {c: {type: bool}, x: {type: fixed, value: 3}}",
    ],
)
def test_the_schema_accepts_what_the_reader_accepts(text: str) -> None:
    SweepSpec.from_mapping(content(text), base=Path())
    VALIDATOR.validate(content(text))


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "parameters: {x: {type: bool}}",
        BODY + "component: a.py:b",
        BODY + "paralelism: 4",
        BODY + "early_stopping: {kind: ashes}",
        BODY + "early_stopping: {kind: asha, min_trials: 3}",
        BODY + "early_stopping: percentile",
        BODY + "budget: {gpu_hours: 0}",
        BODY + "outcome_constraints: l <= 3",
        BODY + "baseline: [1]",
        BODY + "optimizer: rnadom",
        BODY + "optimizer: {knd: ax}",
        BODY + "parallelism: 0",
        BODY + "env: {A: 3}",
        BODY + "trial_timeout: 2 hours",
        BODY + "resources: {memory: 4GB}",
        HEAD + "function: a:b\nparameters: {}",
        HEAD + "function: a:b\nparameters: {x: {type: float, min: 0, max: 1, lg: true}}",
        HEAD + "function: a:b\nparameters: {x: {min: 0, max: 1}}",
        HEAD + "function: a:b\nparameters: {x: {type: choice, values: []}}",
        HEAD + "function: a:b\nparameters: {x: {type: bool, when: {}}}",
        "name: My Sweep\n" + BODY.partition("\n")[2],
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(text: str) -> None:
    with pytest.raises(SpecError):
        SweepSpec.from_mapping(content(text), base=Path())
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(content(text))


def test_every_key_has_a_description_for_editors() -> None:
    definitions: Any = SCHEMA["$defs"]
    for schema in (SCHEMA, *definitions.values()):
        for key, value in schema["properties"].items():
            assert value.get("description"), key


def test_the_reference_page_holds_what_the_model_says() -> None:
    page = (ROOT / "docs" / "sweep-file.md").read_text()
    assert reference() in page


def test_the_reference_names_every_key() -> None:
    text = reference()
    for key in SweepSpec.model_fields:
        assert f"| `{key}` |" in text


def test_the_example_of_the_reference_page_is_right() -> None:
    page = (ROOT / "docs" / "sweep-file.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    SweepSpec.from_mapping(content(example), base=Path())
    VALIDATOR.validate(content(example))


def test_the_json_of_a_spec_is_a_right_file() -> None:
    VALIDATOR.validate(SweepSpec.from_mapping(content(BODY), base=Path()).to_json())
