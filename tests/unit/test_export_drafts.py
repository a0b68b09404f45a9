"""What the form of an export offers of a source: fields without technical keys, members with the age of their count."""

from datetime import UTC, datetime

import pytest

from bot.i18n import translator
from bot.services.exports import SourceChoices
from bot.slack.drafts import Draft
from bot.slack.views import configure as views
from bot.sources.base import Field, Segment

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def draft() -> Draft:
    made = Draft(id="d", user_id="U")
    made.offered = SourceChoices(
        [Field("email"), Field("shop_contacts_contactid", technical=True)],
        [Segment("VIP", 1_234, NOON), Segment("News", 7, title="Newsletter readers"), Segment("Uncounted", title="T")],
        {},
    )
    return made


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["email"]),
        ("Mail", ["email"]),
        ("contact", []),
        (" shop_contacts_contactid ", ["shop_contacts_contactid"]),
    ],
)
def test_technical_keys_are_offered_to_nobody_but_who_types_their_name(
    draft: Draft, typed: str, offered: list[str]
) -> None:
    assert draft.fields_with(typed) == offered


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("VIP", "1,234 members, counted May 4, 2026, 12:00:00\u202fPM UTC"),
        ("News", "7 members · Newsletter readers"),
        ("Uncounted", "T"),
    ],
)
def test_a_member_count_is_shown_with_its_age(draft: Draft, name: str, description: str | None) -> None:
    option = views.segment_option(translator(), draft.segment_choice(name))
    assert option.get("description", {}).get("text") == description


@pytest.mark.parametrize(("typed", "offered"), [("", 3), ("vip", 1), ("READERS", 1), ("nobody", 0)])
def test_segments_are_found_by_name_and_by_title(draft: Draft, typed: str, offered: int) -> None:
    assert len(draft.segments_with(typed)) == offered


def test_a_count_made_for_this_form_takes_the_place_of_an_old_one(draft: Draft) -> None:
    draft.counts["VIP"] = 1_300
    option = views.segment_option(translator(), draft.segment_choice("VIP"))
    assert option["description"]["text"] == "1,300 members"
