"""What a contact can hold, the properties of segments, and batches within the limits.

Reference: omnisend-api.md §3.3, §3.5 and §4.1.
"""

import re

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.omnisend.contacts import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ITEMS,
    batch_body,
    pack,
    property_name,
    removal_item,
    removal_patch,
    segment_property,
)

ENVELOPE = len(batch_body([]))


# --- names


def test_segments_whose_names_have_no_latin_letter_get_properties_of_their_own() -> None:
    assert segment_property("客戶細分") != segment_property("重要客戶")


def test_the_property_of_a_segment_is_the_same_on_every_installation() -> None:
    """These are in use: a ledger is rebuilt by them. They may never change."""
    assert segment_property("VIP") == "segment_vip_986e2890"
    assert segment_property("客戶細分") == "segment_a98f16e4"


def test_segments_that_look_alike_in_latin_letters_get_properties_of_their_own() -> None:
    names = ["VIP", "vip", "V.I.P", "VIP ", "VÍP"]
    assert len({segment_property(name) for name in names}) == len(names)


def test_an_accent_encoded_in_another_way_is_the_same_segment() -> None:
    assert segment_property("Cafe\u0301") == segment_property("Café")


@given(st.text())
@example("a" * 500)
def test_every_segment_gets_a_valid_property_name(segment: str) -> None:
    assert re.fullmatch(r"segment_([a-z0-9_]+_)?[0-9a-f]{8}", segment_property(segment))
    assert len(segment_property(segment)) <= 128


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Points", "Points"),
        ("Último pedido", "Ultimo_pedido"),
        ("  a-b.c ", "a_b_c"),
        ("積分", ""),
        ("x" * 200, "x" * 128),
    ],
)
def test_a_property_name_keeps_latin_letters_digits_and_underscores(text: str, name: str) -> None:
    assert property_name(text) == name


@given(st.text())
def test_a_property_name_is_always_valid_or_empty(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]{0,128}", property_name(text))


# --- removals


def test_a_removal_says_false_to_the_segments_and_touches_nothing_else() -> None:
    assert orjson.loads(removal_item("ann+x@example.com", ["segment_a", "segment_b"])) == {
        "identifiers": [
            {
                "type": "email",
                "id": "ann+x@example.com",
                "channels": {"email": {"status": "nonSubscribed", "statusChangedAt": "1970-01-01T00:00:00.000Z"}},
                "sendWelcomeMessage": False,
            }
        ],
        "customProperties": {"segment_a": False, "segment_b": False},
    }
    assert orjson.loads(removal_patch(["segment_a"])) == {"customProperties": {"segment_a": False}}


# --- batches


def test_a_batch_is_an_envelope_around_its_items() -> None:
    assert orjson.loads(batch_body([b'{"a":1}', b'{"b":2}'])) == {
        "method": "POST",
        "endpoint": "contacts",
        "items": [{"a": 1}, {"b": 2}],
    }


@given(
    st.one_of(
        st.lists(st.integers(1, 2_000), max_size=450),
        st.lists(st.integers(1, 999_000), max_size=60),
        st.lists(st.integers(9_900, 10_100), min_size=90, max_size=320),
    )
)
def test_batches_keep_the_order_and_both_limits(sizes: list[int]) -> None:
    batches = pack(sizes)
    assert [index for batch in batches for index in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= MAX_BATCH_ITEMS
        assert ENVELOPE + sum(sizes[index] for index in batch) + len(batch) - 1 <= MAX_BATCH_BYTES


@given(st.lists(st.integers(1, 30_000), max_size=300))
def test_a_batch_ends_only_where_the_next_item_would_not_fit(sizes: list[int]) -> None:
    reserve = 200  # bytes for the envelope
    for batch in pack(sizes)[:-1]:
        with_the_next = sum(sizes[batch.start : batch.stop + 1]) + len(batch) + 1
        assert len(batch) == MAX_BATCH_ITEMS or with_the_next > MAX_BATCH_BYTES - reserve


def test_an_item_larger_than_a_batch_goes_alone() -> None:
    assert pack([10, 2_000_000, 10]) == [range(1), range(1, 2), range(2, 3)]
