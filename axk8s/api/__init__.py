"""Everything that the command line does, from Python; the place where the rooms below are put together.

from axk8s import Sweep

sweep = Sweep.from_yaml("sweep.yaml")
sweep.run()
print(sweep.best())
"""

from axk8s.api.sweep import Sweep
from axk8s.api.view import sweeps, version

__all__ = ["Sweep", "sweeps", "version"]
