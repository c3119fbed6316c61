"""Every name that leaves the program: job names, labels, environment variables, file names.

Kept in one place because other programs depend on them: a changed label orphans the jobs of older versions.
"""

from __future__ import annotations

import re
from typing import Final

ENV_SWEEP: Final = "AXK8S_SWEEP"
"""Name of the sweep, in the trial's environment."""
ENV_TRIAL: Final = "AXK8S_TRIAL"
"""Trial number, counted from 0."""
ENV_ATTEMPT: Final = "AXK8S_ATTEMPT"
"""Attempt number within the trial, counted from 0."""
ENV_PARAMS: Final = "AXK8S_PARAMS"
"""The trial's parameters as a JSON object."""
ENV_OUTPUT_DIR: Final = "AXK8S_OUTPUT_DIR"
"""Folder of this attempt for whatever the training code writes."""
ENV_CHECKPOINT_DIR: Final = "AXK8S_CHECKPOINT_DIR"
"""Folder shared by all attempts of the trial; unset where nothing is shared."""
ENV_CHECKPOINT_URL: Final = "AXK8S_CHECKPOINT_URL"
"""The same as a URL, where the sweep's `storage` is no folder."""
ENV_METRICS: Final = "AXK8S_METRICS"
"""File that `report()` appends to; when unset it prints marked lines instead."""
ENV_RESULT: Final = "AXK8S_RESULT"
"""File into which `report()` writes its results in short, at most 4 KB, each time anew.

On Kubernetes the container's termination message, which arrives with the watch.
"""
ENV_BEST: Final = "AXK8S_BEST"
"""JSON object: metric to `minimize` or `maximize`, for the objectives whose best value counts (`aggregate: best`).

An objective given as `last` is only put first, as the others are, where `AXK8S_RESULT` has no room for everything.
"""
ENV_REPLICA: Final = "AXK8S_REPLICA"
"""Index of this replica over the whole job, counted from 0; only 0 reports."""
ENV_ARGUMENTS: Final = "AXK8S_ARGUMENTS"
"""The sweep file's constants for a `function:` as a JSON object."""
ENV_OBJECTIVE: Final = "AXK8S_OBJECTIVE"
"""The metric that a number returned by a `function:` is the value of; unset when the sweep has several objectives."""
ENV_TRACKER_BASE: Final = "AXK8S_TRACKER_BASE"
"""Where TorchX's `FsspecResultTracker` of this attempt lies; a component's argument `tracker_base` gets the same."""
ENV_DIR: Final = "AXK8S_DIR"
"""Folder that holds the sweeps' folders (default `./sweeps`)."""
ENV_JOB: Final = "AXK8S_JOB"
"""Marks every process of a job on `local`, so that none is left when its supervisor is killed."""
ENV_STATE_DIR: Final = "AXK8S_STATE_DIR"
"""Folder of the register of local jobs (default `$XDG_STATE_HOME/axk8s`, else `~/.local/state/axk8s`)."""
ENV_GPU_SLOTS_DIR: Final = "AXK8S_GPU_SLOTS_DIR"
"""Folder of the machine-wide GPU leases (default `/tmp/axk8s-gpu-slots`); must be the same for all users."""

LABEL_PREFIX: Final = "axk8s"
LABEL_SWEEP_UID: Final = f"{LABEL_PREFIX}/sweep-uid"
LABEL_SWEEP: Final = f"{LABEL_PREFIX}/sweep"
LABEL_TRIAL: Final = f"{LABEL_PREFIX}/trial"
LABEL_ATTEMPT: Final = f"{LABEL_PREFIX}/attempt"
LABEL_ROLE: Final = f"{LABEL_PREFIX}/role"
"""Name of the AppDef's role, on pods."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "axk8s"
ANNOTATION_PARAMETERS: Final = f"{LABEL_PREFIX}/parameters"
"""The trial's parameters as a JSON object, on Job and pods."""

SWEEP_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
"""What a sweep may be called: a folder name and a label value everywhere (lower case, at most 63)."""

_SLUG_LENGTH: Final = 22


def slug(name: str) -> str:
    """At most 22 characters of `name` that may start a DNS label: lower case, starts with a letter."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not text or not text[0].isalpha():
        text = f"s{text}" if text else "sweep"
    return text[:_SLUG_LENGTH].rstrip("-")


def job_name(sweep: str, uid: str, trial: int, attempt: int) -> str:
    """`<slug ≤22>-<6 hex of the sweep's uid>-t<trial>-a<attempt>`: deterministic, ≤ 40 characters up to 99,999 trials.

    The length leaves room for the suffixes that schedulers add: pod names end at 63.
    """
    return f"{slug(sweep)}-{uid[:6]}-t{trial}-a{attempt}"


def job_numbers(job: str) -> tuple[int, int]:
    """Trial and attempt of a job that `job_name` named.

    Raises:
        ValueError: it is no such name.
    """
    found = re.search(r"-t(\d+)-a(\d+)$", job)
    if found is None:
        raise ValueError(f"{job!r} is not the name of an attempt")
    return int(found[1]), int(found[2])
