from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from axk8s.simulate.curves import point, reported
from axk8s.spec.settings import Objective

LOSS = (Objective(metric="loss", direction="minimize"),)


@given(st.floats(-10, 10), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["minimize", "maximize"]))
def test_a_curve_comes_nearer_to_its_end_from_the_worse_side(
    final: float, one: float, other: float, direction: str
) -> None:
    early, late = sorted([one, other])
    gaps = [abs(point(final, share, direction=direction) - final) for share in (early, late)]

    assert gaps[1] <= gaps[0] + 1e-12
    sign = 1 if direction == "minimize" else -1
    assert sign * (point(final, early, direction=direction) - final) >= 0
    assert point(final, 1.0, direction=direction) == final


def test_a_job_that_was_cut_off_reported_the_steps_until_then() -> None:
    finals = {"loss": 0.5, "latency": 3.0}

    assert reported(finals, LOSS, share=1.0, steps=10) == (finals, 10)
    values, steps = reported(finals, LOSS, share=0.55, steps=10)
    assert steps == 5
    assert values.keys() == {"loss"}
    assert values["loss"] > 0.5
    assert reported(finals, LOSS, share=0.05, steps=10) == ({}, 0)
    assert reported(finals, LOSS, share=0.5, steps=0) == ({}, 0)
