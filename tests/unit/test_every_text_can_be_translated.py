"""Every text that a view shows goes through gettext: a language that marks what it translates leaves nothing unmarked.

reference: slack-platform.md §14 (a supported language means everything is in it)
"""

import re
from typing import Any

from babel.support import NullTranslations

from bot.i18n import ENGLISH, Translator
from tests.unit import view_gallery
from tests.unit.view_gallery import SHORT, Exhibit

# What is data, or the same in every language: names and numbers of the gallery, times, Slack's own codes, marks.
DATA = re.compile(
    r"""
      <[^>]*>                     # mentions, links, dates
    | `[^`]*`                     # commands and properties
    | :[a-z_]+:                   # emoji
    | \{\w+\} | Loyalty_Tier | x{9,}
    | \b(?:Shop|Ferry|Omnisend|Slack|CSV)\b
    | \bF-[0-9A-Z]{4}\b
    | \b[\w+-]+/[\w/+-]+\b        # time zones
    | \b\d[\d.,:]*\b
    """,
    re.VERBOSE,
)
TEXTS = ("text", "title", "label", "placeholder", "hint", "description", "accessibility_label", "alt_text", "name")


class Marking(NullTranslations):
    """A language in which every text reads ⟦…⟧."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, num: int) -> str:
        return f"⟦{msgid1 if num == 1 else msgid2}⟧"


def test_nothing_that_people_read_is_left_out_of_the_catalogue(monkeypatch: Any) -> None:
    marking = Translator(ENGLISH, Marking())
    monkeypatch.setattr(view_gallery, "T", marking)
    monkeypatch.setattr(view_gallery, "SIZES", (SHORT,))
    left_out = {
        (exhibit.function, text)
        for exhibit in view_gallery.exhibits()
        for text in _texts(exhibit)
        if _unmarked(text) and not exhibit.function.endswith(".as_modal")  # its title is the gallery's own
    }
    assert left_out == set()


def _unmarked(text: str) -> list[str]:
    """Words of at least four letters outside of every mark."""
    outside = re.sub(r"⟦[^⟦⟧]*⟧", " ", text)
    while outside != (outside := re.sub(r"⟦[^⟦⟧]*⟧", " ", outside)):
        pass
    return re.findall(r"[A-Za-z]{4,}", DATA.sub(" ", outside))


def _texts(exhibit: Exhibit) -> list[str]:
    return [exhibit.payload["text"] if exhibit.surface == "message" else "", *_within(exhibit.payload)]


def _within(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _within(item)]
    if isinstance(value, dict):
        own = [value[key] for key in TEXTS if isinstance(value.get(key), str)]
        return own + [text for item in value.values() for text in _within(item)]
    return []
