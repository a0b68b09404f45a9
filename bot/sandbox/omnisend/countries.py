"""Country names and ISO 3166-1 codes, as far as contacts need them."""

from functools import cache

from babel import Locale

_NOT_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}  # groups and placeholders of CLDR


@cache
def _names() -> dict[str, str]:
    territories = Locale("en").territories
    return {
        code: name
        for code, name in territories.items()
        if len(code) == 2 and code.isalpha() and code not in _NOT_COUNTRIES
    }


@cache
def _codes() -> dict[str, str]:
    return {name.casefold(): code for code, name in _names().items()}


def is_country_code(text: str) -> bool:
    """Whether this is an upper-case ISO 3166-1 alpha-2 code."""
    return text in _names()


def country_name(code: str) -> str:
    """The English name of a code, or an empty text."""
    return _names().get(code, "")


def country_code(name: str) -> str:
    """The code of an English name, or an empty text."""
    return _codes().get(name.strip().casefold(), "")
