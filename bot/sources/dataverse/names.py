"""The names in a membership's `msdynci_segments`: read leniently, compared exactly.

Its form is not documented. Seen is an object with a list under `Segments`; a bare list and either of them once more in
a JSON string are read as well.
"""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

import orjson

WRAPPINGS = 3  # how often JSON may stand in a JSON string
ALIKE = 0.8  # how like a name must be to be the one that was meant, from 0 to 1


def read_names(value: object) -> tuple[str, ...] | None:
    """The segments that a membership names; None if nothing can be made of it."""
    for _ in range(WRAPPINGS):
        if not isinstance(value, str):
            break
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None
    if isinstance(value, dict):
        value = next((inner for key, inner in value.items() if key.casefold() == "segments"), None)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)


def folded(name: str) -> str:
    """What two names share that differ only in case, width of letters or blanks around them."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def nearest(wanted: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: alike but for case, width of letters or a slip of the finger."""
    by_fold = {folded(name): name for name in sorted(names)}
    close = get_close_matches(folded(wanted), by_fold, n=1, cutoff=ALIKE)
    return by_fold[close[0]] if close else None
