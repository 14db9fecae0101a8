"""For all tests: no example is judged by the clock, and each run of the suites draws the same examples."""

from hypothesis import settings

settings.register_profile("suites", deadline=None, derandomize=True)
settings.load_profile("suites")
