"""How good the proposals are: one budget of trials for our optimizer, Ax's own loop, Optuna's TPE and random points.

Always a few trials are running; the oldest ends, and one proposal is made from what is known by then. Everything
happens in this process and on one thread; no job runs. The result file is added to: what it holds already is not run
again, so a command that was interrupted goes on, and problems can be measured one by one.

python -m bench.quality --problem branin --seeds 0-4
python -m bench.quality --contender axk8s ax random
python -m bench.quality --report
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence

from bench._result import Bar, add_output
from bench.quality.compare import report
from bench.quality.contenders import CONTENDERS
from bench.quality.problems import PROBLEMS
from bench.quality.race import Key, run
from bench.quality.record import Record


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, print all, write."""
    options = _options(arguments)
    record = Record.read(options.output)
    if not options.report:
        _measure(options, record)
    bars = report(record.runs, trials=options.trials, parallel=options.parallel)
    _tell(bars)
    if not options.report:
        record.write(options.output, bars)
        print(f"written to {options.output}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problem", nargs="+", choices=[*PROBLEMS], default=[*PROBLEMS], help="(default: all)")
    parser.add_argument("--contender", nargs="+", choices=[*CONTENDERS], default=[*CONTENDERS], help="(default: all)")
    parser.add_argument("--seeds", type=_seeds, help="first and last, as in 0-19 (default: the problem's own)")
    parser.add_argument("--trials", type=int, help="of each run (default: the problem's own, 40 or 30)")
    parser.add_argument("--parallel", type=int, default=4, help="trials that run at a time (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="run nothing: print what the file holds")
    add_output(parser, "quality")
    return parser.parse_args(arguments)


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        return range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range of seeds: write the first and the last, as in 0-19"
        ) from None


def _measure(options: argparse.Namespace, record: Record) -> None:
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    known = {each.key for each in record.runs}
    missing = [wanted for wanted in _wanted(options) if wanted not in known]
    if not missing:
        return
    session = record.begin()
    for number, (name, contender, seed, trials, parallel) in enumerate(missing, start=1):
        began = time.perf_counter()
        done = run(PROBLEMS[name], contender, seed, trials=trials, parallel=parallel, session=session)
        record.runs.append(done)
        record.write(options.output, ())
        took = time.perf_counter() - began
        print(
            f"{number}/{len(missing)} {name}, {contender}, seed {seed}: gap {done.gaps[-1]}, {took:.1f} s",
            file=sys.stderr,
            flush=True,
        )


def _wanted(options: argparse.Namespace) -> Iterator[Key]:
    problems = [PROBLEMS[name] for name in options.problem]
    seeds = options.seeds or range(max(problem.seeds for problem in problems))
    # Seed by seed, so that a command that was interrupted leaves pairs to compare.
    for seed in seeds:
        for problem in problems:
            if options.seeds is None and seed >= problem.seeds:
                continue
            for contender in options.contender:
                yield problem.name, contender, seed, options.trials or problem.trials, options.parallel


def _tell(bars: Sequence[Bar]) -> None:
    for bar in bars:
        print(f"{'met   ' if bar.met else 'MISSED'}  {bar.what}: {bar.measured} (wanted: {bar.wanted})")


if __name__ == "__main__":
    main()
