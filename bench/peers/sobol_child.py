"""The optimizer's process with quasi-random points only, however many: what Ax costs without its models."""

import sys

from axk8s.optimize import experiment
from axk8s.optimize.child import main

experiment._LEAST_INITIAL = 1_000_000  # type: ignore[misc]  # noqa: SLF001 (declared final: only this measurement changes it)
sys.exit(main(sys.argv[1:]))
