"""Which folder belongs to which app id, so that any process of this user finds a job by its handle alone.

`<state>/jobs/<app id>` is the job's folder, or a symbolic link to it where the caller chose another place. `<state>` is
`AXK8S_STATE_DIR`, else `$XDG_STATE_HOME/axk8s`, else `~/.local/state/axk8s`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from axk8s.errors import SchedulerConfigError, SubmitError
from axk8s.names import ENV_STATE_DIR


def jobs_directory() -> Path:
    """Where the entries are; read from the environment at each call."""
    given = os.environ.get(ENV_STATE_DIR)
    if given:
        return Path(given).expanduser().absolute() / "jobs"
    home = os.environ.get("XDG_STATE_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "axk8s" / "jobs"


def default_folder(app_id: str) -> Path:
    """The folder of a job whose submitter named none."""
    return jobs_directory() / app_id


def check_name(app_id: str) -> None:
    """Raises SchedulerConfigError unless `app_id` can be the name of a file and a part of a handle."""
    if not app_id or app_id.startswith(".") or any(char in app_id for char in "/\0\n") or len(app_id.encode()) > 200:
        raise SchedulerConfigError(
            f"scheduler local: name={app_id!r} cannot be the name of a job",
            hint="a name has 1 to 200 characters, no / and no line break, and does not start with a dot",
        )


def register(app_id: str, folder: Path) -> None:
    """Make `find(app_id)` return `folder`, from every process; the last one to register an id wins.

    Raises:
        SubmitError: the register cannot be written.
    """
    entry = default_folder(app_id)
    if entry == folder or find(app_id) == folder:
        return
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_dir() and not entry.is_symlink():
            raise SubmitError(
                f"{app_id} is already a job in {entry}", hint="choose another name, or delete that folder"
            )
        temporary = entry.with_name(f".{uuid.uuid4().hex}")
        temporary.symlink_to(folder)
        temporary.replace(entry)
    except OSError as error:
        raise SubmitError(
            f"cannot register {app_id} in {entry.parent}: {error.strerror}",
            hint=f"set {ENV_STATE_DIR} to a folder of yours",
        ) from error


def find(app_id: str) -> Path | None:
    """The folder of this job; None when it is not registered or its folder was deleted."""
    if not app_id or app_id.startswith(".") or "/" in app_id or "\0" in app_id:
        return None
    entry = default_folder(app_id)
    try:
        folder = entry.readlink()
    except OSError:
        folder = entry
    return folder if folder.is_dir() else None


def entries() -> Iterator[tuple[str, Path]]:
    """All registered jobs, by name; entries whose folder was deleted are removed on the way."""
    directory = jobs_directory()
    if not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith("."):
            continue
        if (folder := find(entry.name)) is not None:
            yield entry.name, folder
        elif entry.is_symlink():
            entry.unlink(missing_ok=True)


def forget(app_id: str) -> None:
    """Remove the entry. A folder that its submitter chose stays; one that lies in the register goes with it."""
    if not app_id or app_id.startswith(".") or "/" in app_id or "\0" in app_id:
        return
    entry = default_folder(app_id)
    if entry.is_symlink():
        entry.unlink(missing_ok=True)
    elif entry.is_dir():
        shutil.rmtree(entry, ignore_errors=True)
