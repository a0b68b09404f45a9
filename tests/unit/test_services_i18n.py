"""Texts, numbers and times in a person's language. Reference: slack-platform.md (locale and tz of `users.info`)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from bot.i18n import translator

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def catalogues(tmp_path: Path) -> Path:
    """A folder with a German catalogue of one text."""
    folder = tmp_path / "locale" / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    catalogue = Catalog("de")
    catalogue.add("Run", "Ausführen")
    catalogue.add(("{n} contact", "{n} contacts"), ("{n} Kontakt", "{n} Kontakte"))
    with (folder / "ferry.mo").open("wb") as file:
        write_mo(file, catalogue)
    return tmp_path / "locale"


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "es-LA", "zh-TW", "xx-YY", "", "not a locale", "en_US"])
def test_every_locale_gets_texts_even_without_catalogues(locale: str) -> None:
    t = translator(locale)
    assert (t.gettext("Run"), t("Run")) == ("Run", "Run")
    assert [t.ngettext("{n} contact", "{n} contacts", n) for n in (1, 2)] == ["{n} contact", "{n} contacts"]


def test_without_a_catalogue_figures_are_english_like_the_words_around_them() -> None:
    assert translator("de-DE").number(1_234.5) == "1,234.5"
    assert translator("de-DE").language == "en-US"


def test_an_english_speaker_keeps_the_ways_of_their_region() -> None:
    assert translator("en-GB").date(NOON) == "29 Mar 2026"
    assert translator("en-US").date(NOON) == "Mar 29, 2026"


def test_a_catalogue_serves_every_region_of_its_language(catalogues: Path) -> None:
    for locale in ("de-DE", "de-AT", "de", "de-XX"):
        assert translator(locale, catalogues)("Run") == "Ausführen"
    assert translator("de-DE", catalogues).ngettext("{n} contact", "{n} contacts", 2) == "{n} Kontakte"
    assert translator("de-DE", catalogues).number(1_234.5) == "1.234,5"
    assert translator("fr-FR", catalogues)("Run") == "Run"


def test_a_text_that_is_not_translated_yet_stays_english(catalogues: Path) -> None:
    assert translator("de-DE", catalogues)("Preview") == "Preview"


def test_numbers_and_shares_are_written_as_people_write_them() -> None:
    t = translator()
    assert (t.number(1_000_000), t.percent(0.253)) == ("1,000,000", "25%")


def test_times_are_told_in_the_persons_zone() -> None:
    t = translator()
    assert t.time(NOON, "Europe/Berlin") == "2:00\u202fPM"
    assert t.moment(NOON, "Asia/Hong_Kong") == "Mar 29, 2026, 8:00:00\u202fPM"
    assert t.date(datetime(2026, 3, 29, 23, 0, tzinfo=UTC), "Europe/Berlin") == "Mar 30, 2026"
    assert t.time(NOON, "Mars/Olympus") == t.time(NOON, "Europe") == "12:00\u202fPM"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 sec"),
        (0.9, "0 sec"),
        (-3, "0 sec"),
        (59, "59 sec"),
        (60, "1 min 0 sec"),
        (192, "3 min 12 sec"),
        (3_600, "1 hr 0 min"),
        (14_399, "3 hr 59 min"),
        (90_000, "1 day 1 hr"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert translator().duration(seconds) == words


def test_spans_and_lists_are_told_in_words() -> None:
    t = translator()
    assert t.ago(NOON - timedelta(hours=2), NOON) == "2 hours ago"
    assert t.ago(NOON + timedelta(minutes=5), NOON) == "in 5 minutes"
    assert t.about(timedelta(hours=2, minutes=10)) == "2 hours"
    assert t.list(["VIP", "New", "Lost"]) == "VIP, New, and Lost"
