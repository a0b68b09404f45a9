"""What a source notes about a reading: a text for translation with its facts, English until somebody translates it."""

import json

from babel import Locale
from babel.support import NullTranslations

from bot.i18n import Translator, translator
from bot.slack.views.words import note_words
from bot.sources.base import Note


class German(NullTranslations):
    """A catalogue of one text."""

    def gettext(self, message: str) -> str:
        return {"{rows} rows of {table} left out.": "Von {table} ausgelassen: {rows}."}.get(message, message)


def as_stored(note: Note) -> dict[str, object]:
    """As the engine keeps it with its run."""
    kept: dict[str, object] = json.loads(json.dumps({"kind": "source", "text": note.template, "facts": note.facts}))
    return kept


def test_a_note_is_its_english_text() -> None:
    assert Note("{rows} rows of {table} left out.", rows=12_345, table="VIP") == "12,345 rows of VIP left out."
    assert Note("Nothing is there.") == "Nothing is there."


def test_a_stored_note_is_shown_in_the_readers_language_with_its_numbers() -> None:
    stored = as_stored(Note("{rows} rows of {table} left out.", rows=12_345, table="VIP"))
    assert note_words(translator(), stored) == "12,345 rows of VIP left out."
    assert note_words(Translator(Locale("de"), German()), stored) == "Von VIP ausgelassen: 12.345."


def test_names_in_a_note_do_no_harm() -> None:
    stored = as_stored(Note("{rows} rows of {table} left out.", rows=1, table="{rows} <!channel> {0}"))
    assert note_words(translator(), stored) == "1 rows of {rows} &lt;!channel&gt; {0} left out."


def test_a_note_of_an_older_version_is_shown_as_it_stands() -> None:
    assert note_words(translator(), {"kind": "source", "text": "Left out: {3}"}) == "Left out: {3}"
