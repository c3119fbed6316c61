"""What holds for every test: hypothesis looks at the same examples in each run, however long one takes."""

from hypothesis import settings

settings.register_profile("house", derandomize=True, deadline=None, database=None)
settings.load_profile("house")
