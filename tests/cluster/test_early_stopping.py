"""A trial whose curve is hopeless is stopped on a cluster, by what its container prints while it runs."""

from __future__ import annotations

from collections import Counter

from axk8s.journal import read
from axk8s.sweep.model import Outcome
from axk8s.sweep.records import PhaseChanged, Reached, SubmittedJob
from tests.cluster.audit import Audit
from tests.cluster.deadline import until
from tests.cluster.stage import SWEEP, Stage

# The good one comes to each rung first, and still runs when its neighbour's slot is used again; the bad ones would go
# on for an hour.
TRAIN = """\
import time
from axk8s import report

def train(x: float, y: float) -> float:
    time.sleep(0 if x < 0.5 else 10)
    for step in range(1, 10):
        report(step=step, loss=x / step)
        time.sleep(3600 if x > 0.5 else 1 if step < 3 else 5)
    return x / 9
"""
PARAMETERS = """\
  x: {type: choice, values: [0.1, 0.9, 0.8], ordered: true}
  y: {type: fixed, value: 0.0}
"""


def prepare(stage: Stage) -> None:
    head, _, rest = SWEEP.partition("  x:")
    tail = rest[rest.index("objectives:") :]
    stage.write(
        (head + PARAMETERS + tail)
        .replace("optimizer: random", "optimizer: grid\nearly_stopping: {kind: asha, min_step: 1, max_step: 9}")
        .replace("trials: 4", "trials: 3"),
        train_py=TRAIN,
    )


def test_a_bad_curve_is_stopped_by_its_log_and_the_slot_is_used_again(stage: Stage, audit: Audit) -> None:
    prepare(stage)
    since = audit.mark()
    controller = stage.start("run", "sweep.yaml")
    assert controller.wait(240) == 0, stage.said()
    calls = audit.calls(stage.namespace.user, since)

    state = stage.state()
    assert [trial.outcome for trial in state.trials] == [
        Outcome.SUCCEEDED,
        Outcome.EARLY_STOPPED,
        Outcome.EARLY_STOPPED,
    ], stage.done("events", "bowl")
    for trial in state.trials[1:]:
        assert trial.reason.startswith(f"at step 1 loss was {trial.parameters['x']}; the best"), trial.reason
        assert trial.values == {"loss": trial.parameters["x"]}
    found = list(read(stage.sweep().journal))
    assert [record.step for record in found if isinstance(record, Reached) and record.trial == 0] == [1, 3, 9]
    ends = {record.trial: record.time for record in found if isinstance(record, PhaseChanged) and record.exit}
    starts = {record.trial: record.time for record in found if isinstance(record, SubmittedJob)}
    assert ends[1] <= starts[2] < ends[0], "the next one takes its slot, while the other goes on"
    until("nothing is left", lambda: not stage.left())

    followed = [call for call in calls if call.resource == "pods" and call.verb == "get"]
    # A log is followed, read once more when its container has ended, and kept; one may break.
    assert len(followed) <= 4 * 3, Counter(map(str, followed))
    assert len(calls) <= 8 * 3 + 12, Counter(map(str, calls))
