"""The training of `examples/digits`, few epochs of it and in this process.

A job for each of thousands would take hours, and the proposals would be the same.
"""

from __future__ import annotations

import sys
from typing import Final
from unittest import mock

from axk8s.sweep.model import Parameters, Values

EPOCHS: Final = 5
IMAGES: Final = 450
"""Held-out images: accuracy comes in steps of one of them."""


def accuracy(parameters: Parameters) -> Values:
    """What a trial of the sweep would report in the end; the same for the same parameters."""
    from components import digits_train

    reported: dict[str, float] = {}

    def report(values: Values, *, step: int) -> None:  # noqa: ARG001  (the last report counts, whichever step it has)
        reported.update(values)

    words = [f"--{name}={value}" for name, value in {**parameters, "epochs": EPOCHS}.items()]
    with mock.patch.object(sys, "argv", ["digits_train.py", *words]), mock.patch.object(digits_train, "report", report):
        digits_train.main()
    return {"accuracy": reported["accuracy"]}
