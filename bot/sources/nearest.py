"""The name that was probably meant, where there is none of that name."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.75  # how like a name must be to be the one that was meant, from 0 to 1


def folded(name: str) -> str:
    """What two names share that differ only in case, width of letters or blanks around them."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def nearest(wanted: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: alike but for case, width of letters or a slip of the finger."""
    by_fold = {folded(name): name for name in sorted(names)}
    close = get_close_matches(folded(wanted), by_fold, n=1, cutoff=ALIKE)
    return by_fold[close[0]] if close else None
