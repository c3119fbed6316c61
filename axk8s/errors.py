"""Every error that axk8s raises on purpose, and what each means for the exit code.

Axk8sError                  something went wrong, exit code 1
 ├─ UsageError              what the user gave cannot be right, exit code 2
 │   ├─ SpecError           the sweep file (all its problems at once)
 │   ├─ ComponentError      the component, function or command
 │   ├─ SchedulerConfigError  unknown scheduler or scheduler option
 │   └─ FolderError         the sweep's folder holds something else
 ├─ JournalError            the journal is damaged or cannot be written
 ├─ LockedError             another controller drives this sweep
 ├─ SubmitError             a scheduler refused a job
 ├─ PostponedError          a scheduler did not answer; to be tried again
 └─ OptimizerError          the optimizer cannot propose
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class Axk8sError(Exception):
    """What happened, with names; `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


class UsageError(Axk8sError):
    """What the user gave cannot be right."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file that a person wrote: `where` is `file:line`, `key` the dotted key."""

    where: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"
        return f"{text}\n  → {self.hint}" if self.hint else text


class SpecError(UsageError):
    """The sweep file is wrong; `problems` holds everything that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ComponentError(UsageError):
    """The component, function or command cannot be loaded or does not fit the search space."""


class SchedulerConfigError(UsageError):
    """The scheduler, or an option given to it, does not exist."""


class FolderError(UsageError):
    """The sweep's folder holds another sweep, or one whose file has changed since."""


class JournalError(Axk8sError):
    """The journal is damaged (the message names the line) or cannot be written."""


class LockedError(Axk8sError):
    """Another controller drives this sweep."""


class SubmitError(Axk8sError):
    """A scheduler refused a job for a reason that trying again will not change."""


class PostponedError(Axk8sError):
    """A scheduler could not be asked now; nothing is known to have happened, and it is safe to try again."""


class OptimizerError(Axk8sError):
    """The optimizer cannot propose trials."""


def suggestion(name: str, valid: Iterable[str]) -> str:
    """The sentence for a misspelt name: the nearest valid one, and the whole list."""
    names = sorted(valid)
    if not names:
        return "there is nothing to choose from here"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    listing = f"valid: {', '.join(names)}"
    return f"did you mean {near[0]!r}? ({listing})" if near else listing
