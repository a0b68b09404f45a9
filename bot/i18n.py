"""Texts, numbers and times in a person's language: gettext and Babel.

Texts are English in the code and keyed by themselves. A catalogue, once there is one, lives in
`bot/locale/<language>/LC_MESSAGES/ferry.mo`. Without a catalogue for somebody's language everything is English,
numbers and dates included: a German figure in an English sentence would be misread.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal, format_percent
from babel.support import NullTranslations, Translations
from babel.units import format_unit

CATALOGUES = Path(__file__).parent / "locale"
DOMAIN = "ferry"
ENGLISH = Locale("en", "US")

_UNITS = (("duration-day", 86_400), ("duration-hour", 3_600), ("duration-minute", 60), ("duration-second", 1))


class Translator:
    """One language: its texts, and its way with numbers and times. Times are aware; `zone` is an IANA name.

    Called with a text, it translates it: `_("Run")`.
    """

    def __init__(self, locale: Locale, translations: NullTranslations) -> None:
        self.locale = locale
        self._translations = translations

    @property
    def language(self) -> str:
        """The language and region as a tag, such as `en-US`."""
        return str(self.locale).replace("_", "-")

    def __call__(self, text: str) -> str:
        return self.gettext(text)

    def gettext(self, text: str) -> str:
        return self._translations.gettext(text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self._translations.ngettext(one, many, number)

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self.locale)

    def percent(self, share: float) -> str:
        """0.25 → 25%."""
        return format_percent(share, locale=self.locale)

    def date(self, moment: datetime, zone: str = "UTC") -> str:
        return format_date(moment.astimezone(_zone(zone)), "medium", locale=self.locale)

    def time(self, moment: datetime, zone: str = "UTC") -> str:
        return format_time(moment, "short", tzinfo=_zone(zone), locale=self.locale)

    def moment(self, moment: datetime, zone: str = "UTC") -> str:
        return format_datetime(moment, "medium", tzinfo=_zone(zone), locale=self.locale)

    def duration(self, seconds: float) -> str:
        """The two largest units, rounded down: 3,725 seconds → 1 hr 2 min."""
        left = max(0, int(seconds))
        parts: list[str] = []
        for unit, length in _UNITS:
            count, left = divmod(left, length)
            if count or (parts and len(parts) < 2) or unit == "duration-second":
                parts.append(format_unit(count, unit, "short", locale=self.locale))
            if len(parts) == 2:
                break
        return " ".join(parts)

    def ago(self, moment: datetime, now: datetime) -> str:
        """Roughly how long ago, or in how long: 2 hours ago, in 5 minutes."""
        return format_timedelta(moment - now, add_direction=True, locale=self.locale)

    def about(self, span: timedelta) -> str:
        """A span in one unit, rounded: 2 hours."""
        return format_timedelta(span, locale=self.locale)

    def list(self, words: Sequence[str]) -> str:
        """a, b, and c."""
        return format_list(words, locale=self.locale)


@lru_cache(maxsize=64)
def translator(locale: str = "en-US", catalogues: Path = CATALOGUES) -> Translator:
    """The translator for a locale as Slack names it (`de-DE`); English where its language has no catalogue."""
    wanted = _parse(locale)
    if wanted.language == ENGLISH.language:
        return Translator(wanted, NullTranslations())
    names = [str(wanted), f"{wanted.language}_{wanted.script}", wanted.language]
    found = Translations.load(str(catalogues), names, DOMAIN)
    if not isinstance(found, Translations):
        return Translator(ENGLISH, NullTranslations())
    return Translator(wanted, found)


def _parse(tag: str) -> Locale:
    """A locale by its tag, or by its language alone where the region is none (Slack says es-LA); else English."""
    for candidate in (tag, tag.partition("-")[0]):
        try:
            return Locale.parse(candidate.replace("-", "_"))
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return ENGLISH


@lru_cache(maxsize=256)
def find_zone(name: str) -> ZoneInfo | None:
    """A time zone by its IANA name; None if there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown, a folder such as `Europe`, or no name at all
        return None


def _zone(name: str) -> ZoneInfo:
    return find_zone(name) or ZoneInfo("UTC")
