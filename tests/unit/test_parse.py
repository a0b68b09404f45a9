"""What people type after `/ferry`.

reference: slack-platform.md §4 (slash command payloads: the text as typed)
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.parse import Request, Verb, parse, unquote


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Request(Verb.HELP)),
        ("   ", Request(Verb.HELP)),
        ("help", Request(Verb.HELP)),
        ("HELP", Request(Verb.HELP)),
        ("?", Request(Verb.HELP)),
        ("connect", Request(Verb.CONNECT)),
        ("add connection", Request(Verb.CONNECT)),
        ("connections", Request(Verb.CONNECTIONS)),
        ("new export", Request(Verb.EXPORT)),
        ("export VIP letter", Request(Verb.EXPORT, "VIP letter")),
        ("list exports", Request(Verb.EXPORTS)),
        ("run VIP", Request(Verb.RUN, "VIP")),
        ("Start  VIP   letter", Request(Verb.RUN, "VIP letter")),
        ('run "VIP letter"', Request(Verb.RUN, "VIP letter")),
        ("run “VIP letter”", Request(Verb.RUN, "VIP letter")),
        ("run „VIP“", Request(Verb.RUN, "VIP")),
        ("run «VIP»", Request(Verb.RUN, "VIP")),
        ("run 「客戶細分」", Request(Verb.RUN, "客戶細分")),
        ("run all", Request(Verb.RUN_ALL)),
        ("run All Customers", Request(Verb.RUN, "All Customers")),
        ("run 'all'", Request(Verb.RUN, "all")),
        ("dry run VIP", Request(Verb.PREVIEW, "VIP")),
        ("delete VIP", Request(Verb.REMOVE, "VIP")),
        ("schedule", Request(Verb.REFRESH)),
        ("runn VIP", Request(None, "VIP", Verb.RUN)),
        ("preveiw VIP", Request(None, "VIP", Verb.PREVIEW)),
        ("xyzzy", Request(None, "")),
    ],
)
def test_what_is_typed_is_understood(text: str, wanted: Request) -> None:
    assert parse(text) == wanted


def test_every_verb_understands_itself_in_any_case() -> None:
    for verb in Verb:
        assert parse(verb.value).verb is verb
        assert parse(verb.value.upper()).verb is verb


@given(st.text(max_size=200))
def test_no_text_is_too_strange_to_read(text: str) -> None:
    request = parse(text)
    assert request.verb is not None or isinstance(request.rest, str)
    assert request.rest == request.rest.strip()


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=30))
def test_quotes_around_a_name_change_nothing(name: str) -> None:
    for opening, closing in ('""', "''", "“”", "„“", "«»", "‘’"):
        assert unquote(f" {opening}{name}{closing} ") == name


@given(
    st.sampled_from([verb for verb in Verb if verb is not Verb.RUN_ALL]),
    st.text(alphabet="abcdefgh", min_size=3, max_size=12),
)
def test_a_name_after_a_verb_arrives_as_it_is(verb: Verb, name: str) -> None:
    request = parse(f"{verb.value} '{name}'")
    assert request == Request(verb, name)
