"""Names that people give: cleaned, limited, and compared as people compare them."""

import unicodedata

from bot.services.errors import NameMissing, NameTooLong

LONGEST = 75  # characters: a name is an option in menus (Slack docs, Option object)
_QUOTES = " \t\n'\"“”‘’«»`*"


def check_name(text: str) -> str:
    """The name without needless blanks. Raises `NameMissing`, `NameTooLong` (both of the field `name`)."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not fold(name):
        raise NameMissing
    if len(name) > LONGEST:
        raise NameTooLong(most=LONGEST)
    return name


def fold(name: str) -> str:
    """What two names have in common that people would call the same: no case, no blanks, no quotes around them."""
    plain = unicodedata.normalize("NFKC", name).strip(_QUOTES).casefold()
    return "".join(plain.split())
