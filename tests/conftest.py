"""What holds for every test: hypothesis looks at the same examples in each run, however long one takes."""

import os

import pytest
from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Clusters belong to the process that begins the others, so that these can share them."""
    from tests.cluster.landlord import FOLDER, Landlord

    if FOLDER not in os.environ:
        landlord = Landlord()
        config.add_cleanup(landlord.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In several processes the tests of a file stay together, unless they share more, such as a cluster."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.as_posix()))
