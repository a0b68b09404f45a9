"""Tests of Segment Ferry."""

import os

os.environ.pop("COLUMNS", None)  # pytest's workers have it: tables would be cut to a terminal that nobody has
