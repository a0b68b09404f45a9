"""The names in a membership's `msdynci_segments`: read leniently, compared exactly.

Its form is not documented. Seen is an object with a list under `Segments`; a bare list and either of them once more in
a JSON string are read as well.
"""

import orjson

WRAPPINGS = 3  # how often JSON may stand in a JSON string
TITLE_KEYS = ("friendlyname", "displayname")
TITLE_DEPTH = 3  # objects in objects
TITLE_CHARACTERS = 100


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


def title_in(payload: object, depth: int = TITLE_DEPTH) -> str:
    """How people call a segment, by a payload of unknown form: its first text under a name that says so; else empty."""
    if isinstance(payload, str) and depth == TITLE_DEPTH:
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return ""
    if not isinstance(payload, dict):
        return ""
    for key, value in payload.items():
        if key.casefold() in TITLE_KEYS and isinstance(value, str) and value.strip():
            return " ".join(value.split())[:TITLE_CHARACTERS]
    inner = (title_in(value, depth - 1) for value in payload.values() if depth > 1)
    return next(filter(None, inner), "")
