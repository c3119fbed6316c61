"""The buffer between optimizer and slots: how much is asked ahead, and what becomes of proposals that grow stale."""

from __future__ import annotations

from collections.abc import Callable

from axk8s.controller.ports import Optimizer
from axk8s.controller.proposals import NoProposals, Proposals
from axk8s.sweep.limits import Settings
from axk8s.sweep.model import OptimizerReply, Outcome, Proposal, TrialFact
from axk8s.sweep.records import Began, Suggested, TrialConcluded
from axk8s.sweep.state import State, apply


class Recorder:
    """An optimizer that writes down what it is asked, and answers only what a test hands on itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def start(self, reply: Callable[[OptimizerReply], None]) -> None:
        pass

    def tell(self, fact: TrialFact) -> None:
        pass

    def ask(self, count: int, *, replace: bool = False) -> None:
        self.asked.append((count, replace))

    def close(self) -> None:
        pass


def begun() -> State:
    state = State()
    spec = {"objectives": [{"metric": "loss", "direction": "minimize"}]}
    apply(state, Began(time=0.0, uid="0123456789abcdef", name="tuning", spec=spec, base="/", version="test"))
    return state


def suggest(state: State, proposal: Proposal) -> int:
    trial = len(state.trials)
    apply(
        state,
        Suggested(
            time=0.0,
            trial=trial,
            parameters=proposal.parameters,
            generator=proposal.generator,
            from_model=proposal.from_model,
            results_seen=proposal.results_seen,
        ),
    )
    return trial


def conclude(state: State, trial: int) -> None:
    apply(
        state,
        TrialConcluded(time=0.0, trial=trial, outcome=Outcome.SUCCEEDED, reason="", values={"loss": float(trial)}),
    )


def proposal(x: float, *, from_model: bool = False, seen: int = 0) -> Proposal:
    return Proposal({"x": x}, "BoTorch" if from_model else "Sobol", from_model=from_model, results_seen=seen)


def buffer(*, parallelism: int = 4, trials: int = 100) -> tuple[Recorder, Proposals]:
    recorder = Recorder()
    optimizer: Optimizer = recorder
    return recorder, Proposals(optimizer, Settings(trials=trials, parallelism=parallelism, retries=0))


def test_initial_points_are_asked_for_all_slots_and_as_many_ahead_once() -> None:
    recorder, proposals = buffer()

    proposals.refill(begun())
    proposals.refill(begun())

    assert recorder.asked == [(8, False)]


def test_no_more_is_asked_than_trials_are_left() -> None:
    recorder, proposals = buffer(trials=3)

    proposals.refill(begun())

    assert recorder.asked == [(3, False)]


def test_proposals_of_the_model_are_kept_to_a_quarter_of_the_slots() -> None:
    recorder, proposals = buffer()
    state = begun()
    suggest(state, proposal(0.0, from_model=True))

    proposals.refill(state)

    assert recorder.asked == [(5, False)]


def stale() -> tuple[Recorder, Proposals, State]:
    """Six trials of which five have ended, and five proposals of the model that knew of none of them."""
    recorder, proposals = buffer()
    state = begun()
    running = [suggest(state, proposal(x / 10)) for x in range(6)]
    proposals.refill(state)
    proposals.replied(OptimizerReply(tuple(proposal(0.5 + x / 100, from_model=True) for x in range(5))))
    for trial in running[:5]:
        conclude(state, trial)
    recorder.asked.clear()
    return recorder, proposals, state


def test_stale_proposals_are_replaced_and_the_optimizer_is_told_that_they_are() -> None:
    recorder, proposals, state = stale()

    proposals.refill(state)
    proposals.replied(OptimizerReply((proposal(0.9, from_model=True, seen=5),)))

    assert recorder.asked == [(5, True)]
    first = proposals.take(state)
    assert first is not None
    assert first.parameters == {"x": 0.9}
    assert proposals.take(state) is None


def test_what_replaced_them_is_not_replaced_again_and_the_next_question_is_an_ordinary_one() -> None:
    recorder, proposals, state = stale()
    proposals.refill(state)
    proposals.replied(OptimizerReply((proposal(0.9, from_model=True, seen=5),)))

    proposals.refill(state)

    assert recorder.asked == [(5, True), (4, False)]


def test_a_stale_proposal_is_taken_rather_than_none_while_newer_ones_are_made() -> None:
    _, proposals, state = stale()
    proposals.refill(state)

    taken = proposals.take(state)

    assert taken is not None
    assert taken.results_seen == 0


def test_quasi_random_points_never_grow_stale() -> None:
    recorder, proposals = buffer()
    state = begun()
    running = [suggest(state, proposal(x / 10)) for x in range(6)]
    proposals.refill(state)
    proposals.replied(OptimizerReply(tuple(proposal(0.5 + x / 100) for x in range(8))))
    for trial in running:
        conclude(state, trial)
    recorder.asked.clear()

    proposals.refill(state)

    assert recorder.asked == []


def test_a_notice_alone_is_no_answer_and_an_error_is_the_last() -> None:
    recorder, proposals = buffer()
    proposals.refill(begun())

    proposals.replied(OptimizerReply(notice="restarted"))
    assert not proposals.dry
    proposals.refill(begun())
    proposals.replied(OptimizerReply(error="cannot"))
    proposals.refill(begun())

    assert recorder.asked == [(8, False)]
    assert proposals.dry


def test_an_exhausted_optimizer_is_dry_once_its_last_proposals_are_taken() -> None:
    _, proposals = buffer()
    proposals.refill(begun())

    proposals.replied(OptimizerReply((proposal(0.1),), exhausted=True))

    assert not proposals.dry
    assert proposals.take(begun()) is not None
    assert proposals.dry


def test_a_controller_that_only_ends_things_has_an_optimizer_that_never_answers() -> None:
    replies: list[OptimizerReply] = []
    silent: Optimizer = NoProposals()
    silent.start(replies.append)

    silent.ask(3, replace=True)
    silent.close()

    assert replies == []


def test_points_beyond_the_initial_ones_are_dropped_once_the_model_can_make_others() -> None:
    state, optimizer = begun(), Recorder()
    proposals = Proposals(optimizer, Settings(trials=99, parallelism=8, retries=0))
    proposals.refill(state)
    initial = [Proposal({"x": float(k)}, "Sobol") for k in range(8)]
    beyond = [Proposal({"x": float(k)}, "Sobol", stale_at=4) for k in range(8, 16)]
    proposals.replied(OptimizerReply((*initial, *beyond)))
    for _ in range(8):
        taken = proposals.take(state)
        assert taken is not None
        suggest(state, taken)
    for trial in range(3):
        conclude(state, trial)
    optimizer.asked.clear()
    proposals.refill(state)
    assert not any(replaces for _, replaces in optimizer.asked), "the model cannot begin yet"
    proposals.replied(OptimizerReply((Proposal({"x": 16.0}, "Sobol", stale_at=4),)))

    conclude(state, 3)
    optimizer.asked.clear()
    proposals.refill(state)
    assert [replaces for _, replaces in optimizer.asked] == [True]
    assert proposals.take(state) == beyond[0], "slots do not wait for the others"

    # What comes may be no model's either, and is kept then.
    proposals.replied(OptimizerReply((Proposal({"x": 17.0}, "Sobol", results_seen=4),)))
    assert proposals.take(state) == Proposal({"x": 17.0}, "Sobol", results_seen=4)
    assert proposals.take(state) is None
