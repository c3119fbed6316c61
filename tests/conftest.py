"""What holds for every test: hypothesis looks at the same examples in each run, however long one takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.remote import Producer

    from tests.cluster.groups import Together

# Several processes share the cores: with threads of its own for each, a fit takes four times as long as with one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Clusters belong to the process that begins the others, so that these can share them."""
    from tests.cluster.landlord import FOLDER, Landlord

    if FOLDER not in os.environ:
        landlord = Landlord()
        config.add_cleanup(landlord.close)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """In several processes the tests of a file stay together, or those that share a cluster."""
    from tests.cluster.groups import Together

    return Together(config, log)
