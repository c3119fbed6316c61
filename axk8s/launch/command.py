"""`command:` a line with placeholders, split into words before any value is put in, so that no value can add words.

There is no shell: a value with spaces, quotes, `$` or `;` stays one argument as it is. Numbers are written as Python
writes them, true and false in lower case as in the sweep file; `{lr:.3e}` formats as in Python.

A conditional parameter has no value in some trials. Its placeholder may therefore only stand in an option that can be
left out as a whole, `--momentum={momentum}`: where the parameter does not exist, that word is not there either.
"""

from __future__ import annotations

import json
import re
import shlex
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torchx.specs import AppDef

from axk8s.errors import Problem, SpecError, suggestion
from axk8s.launch import appdef
from axk8s.launch.signature import FILLED_IN
from axk8s.launch.workspace import Workspace
from axk8s.spec.parameters import FloatParameter, IntParameter, Parameter, word
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import Parameters

ALL = "params"
"""The placeholder that stands for all parameters as a JSON object."""

_SHELL = {"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1"}
_PYTHONS = {"python", "python3"}


class Piece(NamedTuple):
    """A stretch of a word: fixed text, and the placeholder after it ("" for none)."""

    text: str
    name: str = ""
    form: str = ""
    """Python's format specification."""


class MalformedError(ValueError):
    """A word whose braces make no sense; `hint` says what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line."""

    text: str
    pieces: tuple[Piece, ...]

    @classmethod
    def parse(cls, text: str) -> Word:
        """Read the placeholders of one word.

        Raises:
            MalformedError: a brace stands alone, or a placeholder is more than a name and a format.
        """
        braces = "write {{ and }} for literal braces"
        try:
            parsed = [(literal, name, form or "", how) for literal, name, form, how in string.Formatter().parse(text)]
        except ValueError as error:
            raise MalformedError(f"a brace has no partner in {text!r}", braces) from error
        for literal, name, form, how in parsed:
            if name is not None and (not name.isidentifier() or how or "{" in form):
                raise MalformedError(f"{{{name}}} in {text!r} is not a placeholder", braces)
            if name is not None and literal.endswith("$"):
                hint = (
                    "no shell reads this line, so variables are not replaced: the program finds them in its environment"
                )
                raise MalformedError(f"${{{name}}} in {text!r} is shell language", hint)
        return cls(text, tuple(Piece(literal, name or "", form) for literal, name, form, _ in parsed))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(piece.name for piece in self.pieces if piece.name)

    def can_be_left_out(self) -> bool:
        """Whether it is an option with its value in it."""
        return bool(self.pieces) and self.text.startswith("-") and "=" in self.pieces[0].text

    def fill(self, values: Mapping[str, object]) -> str | None:
        """The word with its values; None when one of them does not exist in this trial."""
        if any(name not in values for name in self.names):
            return None
        return "".join(
            piece.text + (_written(values[piece.name], piece.form) if piece.name else "") for piece in self.pieces
        )


def fill(words: Sequence[Word], parameters: Parameters, filled: Mapping[str, object]) -> list[str]:
    """The words with one trial's values in them."""
    values = {ALL: json.dumps(dict(parameters)), **filled, **parameters}
    return [text for text in (one.fill(values) for one in words) if text is not None]


def problems(words: Sequence[Word], spec: SweepSpec, *, key: str) -> Iterator[Problem]:
    """Placeholders that mean nothing, have a wrong format, or have no value in some trials."""
    where = spec.where(key)
    known = {*spec.parameters, ALL, *FILLED_IN}
    for one in words:
        for piece in one.pieces:
            if not piece.name:
                continue
            parameter = spec.parameters.get(piece.name)
            if piece.name not in known:
                yield Problem(where, key, f"{{{piece.name}}} is no parameter", suggestion(piece.name, known))
            elif parameter is not None and parameter.when and not one.can_be_left_out():
                message = f"{{{piece.name}}} exists only in some trials (`when`), and this word cannot be left out"
                hint = f"write option and value as one word, --{piece.name}={{{piece.name}}}, or read {{{ALL}}}"
                yield Problem(where, key, message, hint)
            elif parameter is not None and (fault := _format_fault(piece, parameter)):
                yield Problem(where, key, fault, "formats are those of Python's format()")


def _format_fault(piece: Piece, parameter: Parameter) -> str:
    try:
        _written(
            parameter.min if isinstance(parameter, FloatParameter | IntParameter) else (parameter.grid() or [""])[0],
            piece.form,
        )
    except (ValueError, TypeError) as error:
        return f"{{{piece.name}:{piece.form}}}: {error}"
    return ""


def _written(value: object, form: str) -> str:
    if form:
        return format(value, form)
    return word(value) if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class CommandProgram:
    """A command line as what runs."""

    spec: SweepSpec
    workspace: Workspace
    words: tuple[Word, ...]

    @property
    def signature(self) -> None:
        """A line has no arguments of its own."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(name for one in self.words for name in one.names)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the line names: the script, in all probability."""
        plain = (one.text for one in self.words if not one.names)
        return tuple(
            path for text in plain if (path := self.workspace.source / text).is_file() and not Path(text).is_absolute()
        )

    def problems(self) -> list[Problem]:
        return list(problems(self.words, self.spec, key="command"))

    def warnings(self) -> list[str]:
        used = set(self.placeholders)
        idle = [name for name in self.spec.parameters if name not in used and ALL not in used]
        if not idle:
            return []
        names = ", ".join(idle)
        return [
            f"{self.spec.where('command')}: {names} in no placeholder; the program finds all values in AXK8S_PARAMS"
        ]

    def appdef(self, parameters: Parameters, filled: Mapping[str, object]) -> AppDef:
        program, *args = fill(self.words, parameters, filled)
        if program in _PYTHONS and appdef.on_this_machine(self.spec):
            program = sys.executable
        return appdef.single(self.spec, self.workspace, [program, *args])


def load(spec: SweepSpec, workspace: Workspace) -> CommandProgram:
    """Read the command of `spec`.

    Raises:
        SpecError: quotes or braces do not match, or it is written for a shell.
    """
    assert spec.command is not None

    def wrong(message: str, hint: str) -> SpecError:
        return SpecError([Problem(spec.where("command"), "command", message, hint)])

    try:
        texts = shlex.split(spec.command)
    except ValueError as error:
        raise wrong(f"{error} in {spec.command!r}", "close the quote, or put a backslash before it") from error
    if not texts:
        raise wrong("the line holds only blanks", "write the program first, then its arguments")
    assignment = re.match(r"([A-Za-z_]\w*)=", texts[0])
    if assignment:
        raise wrong(f"{texts[0]!r} is not a program", f"put the variable under `env: {{{assignment[1]}: …}}`")
    for text in texts:
        if text in _SHELL:
            raise wrong(
                f"{text!r} is for a shell, and none reads this line", f"write sh -c '… {text} …' if you need one"
            )
    try:
        words = tuple(map(Word.parse, texts))
    except MalformedError as error:
        raise wrong(str(error), error.hint) from error
    return CommandProgram(spec, workspace, words)
