"""From whatever a profile says of a country to its ISO 3166-1 alpha-2 code, by CLDR's names (Babel)."""

import unicodedata
from functools import cache

from babel import Locale
from babel.core import get_global

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "zh", "zh_Hant", "ja", "ko")

# Everyday names that CLDR does not list among its territories.
_EVERYDAY = {
    "uk": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "great britain": "GB",
    "usa": "US",
    "u.s.a.": "US",
    "u.s.": "US",
    "america": "US",
    "united states of america": "US",
    "republic of korea": "KR",
    "the netherlands": "NL",
    "holland": "NL",
    "czech republic": "CZ",
    "south korea": "KR",
    "korea": "KR",
    "russian federation": "RU",
    "viet nam": "VN",
    "macedonia": "MK",
    "ivory coast": "CI",
    "swaziland": "SZ",
    "burma": "MM",
    "hong kong": "HK",
    "macau": "MO",
    "taiwan": "TW",
    "turkey": "TR",
    "türkiye": "TR",
    "中國": "CN",
    "中国": "CN",
    "臺灣": "TW",
    "台灣": "TW",
    "台湾": "TW",
}


def fold(text: str) -> str:
    """How country names are compared: NFC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


@cache
def codes() -> dict[str, str]:
    """Folded name or code → alpha-2 code, in the languages above."""
    english = {code: name for code, name in Locale("en").territories.items() if _is_country(code)}
    table = {fold(code): code for code in english}
    for old, new in get_global("territory_aliases").items():
        if len(new) == 1 and new[0] in english:
            table.setdefault(fold(old), new[0])
    for language in LANGUAGES:
        for code, name in Locale.parse(language).territories.items():
            if code in english:
                table.setdefault(fold(name), code)
    return table | _EVERYDAY


@cache
def english_names() -> dict[str, str]:
    """Alpha-2 code → English name."""
    return {code: name for code, name in Locale("en").territories.items() if _is_country(code)}


def _is_country(code: str) -> bool:
    return len(code) == 2 and code.isalpha() and code not in {"EU", "EZ", "UN", "ZZ", "QO", "XA", "XB"}
