"""The sweep as Ax has it, in files: the process that writes them, because importing Ax takes seconds.

Not imported by anything but tests: `exporter.run_export` starts it, and others call that.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from axk8s.errors import Axk8sError
from axk8s.folder import SweepFolder
from axk8s.journal import fold_file
from axk8s.spec.sweep import SweepSpec
from axk8s.sweep.model import TrialFact
from axk8s.sweep.state import State

if TYPE_CHECKING:
    from ax.api.client import Client
    from ax.core.analysis_card import AnalysisCardBase


def export_ax(spec: SweepSpec, facts: Sequence[TrialFact], file: Path) -> Client:
    """Write a sweep as the JSON file of an Ax client, which `Client.load_from_json_file` opens, and return the client.

    Trials have their own numbers, parameters and metrics; results that were attached from elsewhere come after them.
    What Ax cannot hold is said in the experiment's description, see `client`.
    """
    client = _client(spec, facts)
    client.save_to_json_file(str(file))
    return client


def export_analyses(client: Client, folder: Path) -> list[Path]:
    """Write Ax's analyses of a sweep: a page for each group, and each analysis' data as a CSV file beside it.

    Those of single trials are left out: a page of a thousand of them opens nowhere. What Ax cannot analyse is missing:
    cross validation with a handful of results, slices along conditional parameters, what needs a program that is not
    here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, card in _groups(client):
        page = folder / f"{name}.html"
        # Ax has no public way from a card to a page; this is what notebooks call.
        page.write_text(_PAGE.format(title=name, body=card._repr_html_()), encoding="utf-8")
        written.append(page)
        for number, leaf in enumerate(card.flatten(), start=1):
            table = folder / f"{name}-{number:02}-{_word(leaf.title)}.csv"
            leaf.df.to_csv(table, index=False)
            written.append(table)
    return written


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; margin: 1em">
{body}
</body></html>
"""


def _client(spec: SweepSpec, facts: Sequence[TrialFact]) -> Client:
    from axk8s.optimize.client import Portrait

    return Portrait(spec, facts).client()


def _groups(client: Client) -> Iterator[tuple[str, AnalysisCardBase]]:
    from ax.analysis.analysis import ErrorAnalysisCard
    from ax.analysis.diagnostics import DiagnosticAnalysis
    from ax.analysis.insights import InsightsAnalysis
    from ax.analysis.results import ResultsAnalysis
    from ax.core.analysis_card import AnalysisCardGroup

    def working(card: AnalysisCardBase) -> AnalysisCardBase | None:
        if isinstance(card, AnalysisCardGroup):
            children = [each for child in card.children if (each := working(child)) is not None]
            return AnalysisCardGroup(card.name, card.title, card.subtitle, children) if children else None
        return None if isinstance(card, ErrorAnalysisCard) or not _drawable(card) else card

    analyses = {"results": ResultsAnalysis(), "insights": InsightsAnalysis(), "diagnostics": DiagnosticAnalysis()}
    for name, analysis in analyses.items():
        (card,) = client.compute_analyses([analysis], display=False)
        found = working(card)
        if found is not None:
            yield name, found


def _drawable(card: AnalysisCardBase) -> bool:
    """Whether a card can be made into a page: some need a program beside Python."""
    try:
        card._body_html(depth=0)  # noqa: SLF001  # as above
    except Exception as error:  # noqa: BLE001  # what draws it is anything
        print(f"{card.title}: {error}", file=sys.stderr)
        return False
    return True


def _word(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80].rstrip("-") or "analysis"


def facts_of(state: State) -> list[TrialFact]:
    """All trials of a sweep, the last values of those that did not conclude with one among them, then what was
    attached.
    """
    facts = []
    for trial in state.trials:
        last = trial.last
        values, sems = trial.values, trial.sems
        if not values and last is not None:
            values, sems = last.values, last.sems
        facts.append(TrialFact(trial.number, trial.parameters, trial.generator, trial.outcome, values, sems))
    return [*facts, *state.attached]


def main(arguments: Sequence[str]) -> int:
    """Run the process: what was written goes to standard output, a path a line; why not, as the last line of errors."""
    parser = argparse.ArgumentParser(prog="axk8s.optimize.export")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ax-file", type=Path)
    parser.add_argument("--analyses", type=Path)
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(1)
    try:
        state = fold_file(SweepFolder(given.folder).journal)
        spec = SweepSpec.from_mapping(state.spec, base=Path(state.base))
        facts = facts_of(state)
        written = []
        if given.ax_file is not None:
            given.ax_file.parent.mkdir(parents=True, exist_ok=True)
            client = export_ax(spec, facts, given.ax_file)
            written.append(given.ax_file)
        else:
            client = _client(spec, facts)
        if given.analyses is not None:
            written += export_analyses(client, given.analyses)
    except Exception as error:  # noqa: BLE001  (Ax raises what it likes; the text is what the caller shows)
        text = error.message if isinstance(error, Axk8sError) else f"{type(error).__name__}: {error}"
        print(" ".join(text.split()), file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
