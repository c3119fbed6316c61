"""A spec that may still be partly wrong: what is right in itself can be checked against the rest anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from axk8s.spec.model import Part
from axk8s.spec.parameters import Parameter
from axk8s.spec.settings import Objective, SearchParameter
from axk8s.spec.stopping import AshaStopping, EarlyStopping, PercentileStopping, ThresholdStopping


@dataclass(frozen=True, slots=True)
class Draft:
    """A spec whose keys may still be partly wrong: what is right in itself is checked against the rest anyway."""

    said: frozenset[str]
    """Top-level keys that hold something other than their default."""
    parameters: Mapping[str, Parameter]
    """The parameters that are right in themselves."""
    names: frozenset[str]
    """The names of all parameters, right or wrong."""
    arguments: frozenset[str] = frozenset()
    constraints: Sequence[str] = ()
    objectives: Sequence[Objective] = ()
    """All of them, where all are right in themselves."""
    limits: Sequence[str] = ()
    """The outcome constraints."""
    has_baseline: bool = False
    stopping: AshaStopping | PercentileStopping | ThresholdStopping | None = None
    env: frozenset[str] = frozenset()


def shorthand(value: object) -> object:
    """A word in place of a mapping is its `kind`."""
    return {"kind": value} if isinstance(value, str) else value


_PARAMETER: Final[TypeAdapter[Parameter]] = TypeAdapter(SearchParameter)
_STOPPING: Final[TypeAdapter[EarlyStopping | None]] = TypeAdapter(
    Annotated[EarlyStopping | None, BeforeValidator(shorthand)]
)


def draft(content: Mapping[str, object], fields: Mapping[str, FieldInfo]) -> Draft:
    """What can be read of a mapping, whole or not; `fields` are those of the whole."""
    raw = content.get("parameters")
    entries = {str(name): value for name, value in raw.items()} if isinstance(raw, Mapping) else {}
    right = {}
    for name, value in entries.items():
        try:
            right[name] = _PARAMETER.validate_python(value)
        except ValidationError:
            continue  # reported where the whole is validated
    objectives = content.get("objectives")
    given = [_right(Objective, each) for each in (objectives if isinstance(objectives, (list, tuple)) else ())]
    return Draft(
        said=frozenset(
            key for key, value in content.items() if value is not None and not _is_default(fields.get(key), value)
        ),
        parameters=right,
        names=frozenset(entries),
        arguments=_keys(content.get("arguments")),
        constraints=_texts(content.get("parameter_constraints")),
        objectives=[each for each in given if each is not None] if None not in given else (),
        limits=_texts(content.get("outcome_constraints")),
        has_baseline=content.get("baseline") is not None,
        stopping=_right(_STOPPING, content.get("early_stopping")),
        env=_keys(content.get("env")),
    )


def _right(kind: type[Objective] | TypeAdapter[EarlyStopping | None], value: object) -> Any:
    """The part that a value is, if it is right in itself; otherwise that is reported where the whole is validated."""
    adapter: TypeAdapter[Any] = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    try:
        return adapter.validate_python(value)
    except ValidationError:
        return None


def _texts(value: object) -> Sequence[str]:
    return [each if isinstance(each, str) else "" for each in value] if isinstance(value, (list, tuple)) else ()


def _is_default(known: FieldInfo | None, value: object) -> bool:
    if known is None or known.is_required():
        return False
    default = known.get_default(call_default_factory=True)
    return bool(value == default) or (isinstance(default, Part) and value == {})


def _keys(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, Mapping) else frozenset()
