"""For all tests."""

import gc


def pytest_collection_finish() -> None:
    """Thousands of tests and their modules stay to the end: no round of the collector has to look through them."""
    gc.collect()
    gc.freeze()
