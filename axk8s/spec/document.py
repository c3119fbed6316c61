"""The sweep file as YAML 1.2: plain values, and the line of every key.

The node graph is walked here rather than by a loader, because a loader forgets where things stood, and because
keys are kept as they were written: `1:` and `on:` are the names "1" and "on".
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from axk8s.errors import Problem, SpecError, UsageError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset({"str", "timestamp", "value", "merge"})
_MOST_VALUES: Final = 100_000
"""Aliases of aliases can make a small file enormous; no sweep needs this many values."""

_SYNTAX_HINTS: Final = (
    (r"'\\t'", "YAML is indented with spaces: replace the tab"),
    (r"character '[@`%]'", "put quotes around a value that begins with @, ` or %"),
    ("mapping values are not allowed", "put quotes around a value that contains ': ', and check the indentation"),
    ("undefined alias", "put quotes around a value that begins with *"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    (r"expected ',' or '[\]}]'", "a bracket or brace is opened and not closed, or a comma is missing"),
    ("<block end>", "check the indentation: keys of one mapping begin in one column"),
    ("could not find expected ':'", "a key is followed by ': ' and its value"),
    ("another document", "one file describes one sweep: remove the '---' line and what follows"),
)

Route: TypeAlias = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""


def dotted(path: Sequence[str | int]) -> str:
    """A path as people read it: `parameters.lr.min`, `objectives[0].metric`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Source:
    """Where a spec was written: `label` is the path as the user gave it, or `sweep` for what came from Python."""

    label: str = "sweep"
    lines: Mapping[str, int] = field(default_factory=dict)
    """Dotted key to line, counted from 1; the empty key is where the document begins."""

    def where(self, key: str) -> str:
        """`file:line` of a dotted key, or of the nearest key above it that is in the file."""
        if not self.lines:
            return self.label
        key = re.sub(r"\.(\d+)(?=[.\[]|$)", r"[\1]", key)
        while key and key not in self.lines:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return f"{self.label}:{self.lines.get(key, 1)}"


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read: its values, where they stand, and what is wrong with the YAML itself."""

    content: dict[str, object]
    source: Source
    problems: tuple[Problem, ...] = ()


def read(path: Path, *, label: str) -> Document:
    """Read a YAML 1.2 mapping from `path`; `label` is what messages call it.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        SpecError: it is not UTF-8, not YAML, empty, or not a mapping.
    """
    return parse(_text(path, label), label=label)


def parse(text: str, *, label: str) -> Document:
    """Read a YAML 1.2 mapping from text; `label` names the file in messages.

    Raises:
        SpecError: it is not YAML, empty, or not a mapping.
    """
    root = _compose(text, label)
    if root is None:
        raise _wrong(label, 1, "the file is empty", "`axk8s init` writes one that runs as it is")
    walk = _Walk(label)
    content = walk.value(root, (), ())
    if walk.problems and not isinstance(content, dict):
        raise SpecError(walk.problems)
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        line = root.start_mark.line + 1
        raise _wrong(label, line, f"a sweep is a mapping of keys to values; this is {kind}", "begin with `name: …`")
    walk.lines[""] = root.start_mark.line + 1
    return Document(content, Source(label, walk.lines), tuple(walk.problems))


def _wrong(label: str, line: int, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem(f"{label}:{line}", "", message, hint)])


def _text(path: Path, label: str) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {str(path)!r}", hint=_near(path)) from error
    except IsADirectoryError as error:
        inside = path / "sweep.yaml"
        hint = f"name the file in it: {inside}" if inside.is_file() else "name a sweep file"
        raise UsageError(f"{str(path)!r} is a folder, not a sweep file", hint=hint) from error
    except NotADirectoryError as error:
        raise UsageError(f"there is no file {str(path)!r}: part of the path is a file itself") from error
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"{str(path)!r} cannot be read: {reason}", hint="check its permissions") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _wrong(label, line, "the file is not UTF-8 text", "save it with the encoding UTF-8") from error


def _near(path: Path) -> str:
    """What the person may have meant by a file that does not exist."""
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r} either"
    present = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix in (".yaml", ".yml"))
    near = difflib.get_close_matches(path.name, present, n=1, cutoff=0.5)
    if near:
        return f"did you mean {str(path.parent / near[0])!r}?"
    if present:
        return f"files there: {', '.join(present[:10])}"
    return "`axk8s init` writes a sweep file and a training script that run as they are"


def _compose(text: str, label: str) -> Node | None:
    # Loading ruamel costs as much as the rest of this room, and a spec from the journal never needs it.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    old = re.match(r"(?:\s*(?:#[^\n]*)?\n)*%YAML\s+1\.[01]\b", text)
    if old:
        line = old[0].count("\n") + 1
        raise _wrong(label, line, "sweep files are YAML 1.2", "remove the %YAML line")
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        # Noticed where the scanner gives up; the person needs the line where the quote or the key begins.
        earlier = re.search("unexpected end of stream|could not find expected ':'", error.problem or "")
        mark = (error.context_mark if earlier else None) or error.problem_mark or error.context_mark
        message = error.problem or error.context or "this cannot be read"
        hint = next((hint for pattern, hint in _SYNTAX_HINTS if re.search(pattern, message)), "")
        raise _wrong(label, mark.line + 1 if mark else 1, f"not YAML: {message}", hint) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!r} is not allowed in YAML"
        raise _wrong(label, line, message, "remove it") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise _wrong(label, 1, f"not YAML: {error}") from error
    return root


class _Walk:
    """Turns the node graph into plain values and remembers the lines."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.lines: dict[str, int] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def value(self, node: Node, path: Route, above: tuple[int, ...]) -> object:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        self._values += 1
        if self._values > _MOST_VALUES:
            raise _wrong(self.label, node.start_mark.line + 1, f"the file holds more than {_MOST_VALUES:,} values")
        if id(node) in above:
            self._problem(node, path, "an alias (*) stands inside its own anchor (&)", "write the value out")
            return None
        tag = str(node.tag)
        if not tag.startswith(_TAG):
            self._problem(node, path, f"the tag {tag} means nothing here", "remove it, or put quotes around the value")
            return None
        inside = (*above, id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path, inside)
        if isinstance(node, SequenceNode):
            items: list[object] = []
            for index, item in enumerate(node.value):
                self._place(item, (*path, index))
                items.append(self.value(item, (*path, index), inside))
            return items
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Route, above: tuple[int, ...]) -> dict[str, object]:
        from ruamel.yaml.nodes import ScalarNode

        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        first: dict[str, int] = {}
        # Merged mappings first, wherever '<<' stands: the mapping's own keys win, and so do their lines.
        for key, value in node.value:
            if str(key.tag) == f"{_TAG}merge":
                merged = {**self._merged(value, path, above), **merged}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._problem(key, path, "a key is a single word", "put quotes around text that contains { or [")
                continue
            name, line = str(key.value), key.start_mark.line + 1
            if str(key.tag) == f"{_TAG}merge":
                continue
            if name in first:
                message = f"this key is given twice: here and on line {first[name]}"
                where = f"{self.label}:{line}"
                self.problems.append(Problem(where, dotted((*path, name)), message, "remove one of them"))
                continue
            first[name] = line
            if name in merged:
                inherited = dotted((*path, name))
                self.lines = {known: at for known, at in self.lines.items() if not _below(known, inherited)}
            self._place(key, (*path, name))
            own[name] = self.value(value, (*path, name), above)
        return {**merged, **own}

    def _merged(self, node: Node, path: Route, above: tuple[int, ...]) -> dict[str, object]:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        result: dict[str, object] = {}
        for part in node.value if isinstance(node, SequenceNode) else [node]:
            if not isinstance(part, MappingNode):
                self._problem(
                    part, path, "'<<' merges a mapping, and this is none", "use an alias of a mapping: <<: *x"
                )
                continue
            value = self.value(part, path, above)
            if isinstance(value, dict):
                result = {**value, **result}
        return result

    def _scalar(self, node: ScalarNode, path: Route) -> object:
        text, kind = str(node.value), str(node.tag).removeprefix(_TAG)
        if kind in _TEXT_TAGS:
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in ("int", "float"):
            return _number(text)
        self._problem(node, path, f"the tag !!{kind} means nothing here", "remove it")
        return None

    def _place(self, node: Node, path: Route) -> None:
        self.lines[dotted(path)] = node.start_mark.line + 1

    def _problem(self, node: Node, path: Route, message: str, hint: str) -> None:
        self.problems.append(Problem(f"{self.label}:{node.start_mark.line + 1}", dotted(path), message, hint))


def _below(key: str, above: str) -> bool:
    return key.startswith((f"{above}.", f"{above}["))


def _number(text: str) -> int | float | str:
    """A YAML 1.2 number; text that only looks like one stays text (`0x` and more than 4,300 digits)."""
    plain = text.lower().lstrip("+")
    try:
        if plain.lstrip("-") == ".inf":
            return -math.inf if plain.startswith("-") else math.inf
        if plain == ".nan":
            return math.nan
        if re.match(r"-?0[xob]", plain):
            return int(plain, 0)
        return int(plain) if re.fullmatch(r"-?[0-9_]+", plain) else float(plain)
    except ValueError:
        return text
