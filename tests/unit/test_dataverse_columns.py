"""The profile's columns: which of them are fields, of what type; and pages of them, from JSON to Arrow.

reference: customer-insights.md §9 (semantic types), §12.3 (columns, system columns), §12.4 (Columns), §12.5 (pages).
"""

from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipeline.mapping import suggest
from bot.sources.dataverse.columns import KINDS, Column, columns
from bot.sources.dataverse.pages import read_page

JSON_VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_infinity=False) | st.text(
    st.characters(exclude_categories=["Cs"])
) | st.lists(st.integers(0, 9), max_size=2)  # fmt: skip

TEXT = Column("msdynci_x", KINDS["String"])
NUMBER = Column("msdynci_n", KINDS["Integer"])
NOON = datetime.fromisoformat("2026-05-04T12:00:00")


def attribute(name: str, type_: str) -> dict[str, Any]:
    return {"LogicalName": name, "AttributeType": type_}


def converted(type_: str, *values: Any) -> tuple[list[Any], int]:
    """A column's values as they come out of a page, and how many did not fit."""
    body = orjson.dumps({"value": [{"msdynci_x": value} for value in values]})
    page = read_page(body, [Column("msdynci_x", KINDS[type_])])
    assert page is not None
    lost = page.lost["msdynci_x"].true_count if page.lost else 0
    assert page.rows.schema.types == [KINDS[type_].arrow]
    return page.rows.column(0).to_pylist(), lost


def test_what_unification_made_is_a_field_and_what_dataverse_added_is_not() -> None:
    found = columns(
        [
            attribute("msdynci_customerprofileid", "Uniqueidentifier"),
            attribute("msdynci_customerid", "String"),
            attribute("msdynci_email", "String"),
            attribute("msdynci_notes", "Memo"),
            attribute("msdynci_points", "Integer"),
            attribute("msdynci_optin", "Boolean"),
            attribute("msdynci_birthdate", "DateTime"),
            attribute("msdynci_account", "Lookup"),
            attribute("msdynci_emailname", "Virtual"),
            *(attribute(name, "DateTime") for name in ("createdon", "modifiedon", "overriddencreatedon")),
            *(attribute(name, "Integer") for name in ("ttlinseconds", "importsequencenumber", "versionnumber")),
            attribute("partitionid", "String"),
            attribute("ownerid", "Owner"),
            {"LogicalName": None},
        ]
    )
    assert {column.name: column.field.type for column in found} == {
        "msdynci_email": "text",
        "msdynci_notes": "text",
        "msdynci_points": "number",
        "msdynci_optin": "boolean",
        "msdynci_birthdate": "date",
    }


@pytest.mark.parametrize(
    ("name", "technical"),
    [
        ("msdynci_ecommerce_contacts_contactid", True),
        ("msdynci_loyalty_scheme_members_memberkey", True),
        ("msdynci_email", False),
        ("msdynci_address_city", False),
        ("msdynci_loyaltyid", False),
        ("msdynci_loyalty_id", False),
        ("msdynci_last_order_date", False),
    ],
)
def test_keys_of_source_rows_are_technical_and_attributes_are_not(name: str, technical: bool) -> None:
    [column] = columns([attribute(name, "String")])
    assert column.field.technical is technical


def test_known_attributes_have_their_semantic_type_and_mapping_suggests_them() -> None:
    names = ("fullname", "email", "firstname", "lastname", "addressline1", "city", "stateorprovince", "postalcode",
             "country", "loyalty")  # fmt: skip
    fields = [column.field for column in columns(attribute(f"msdynci_{name}", "String") for name in names)]
    semantic = {field.name: field.semantic_type for field in fields}
    assert semantic["msdynci_email"] == "Identity.Service.Email"
    assert semantic["msdynci_loyalty"] is None
    assert suggest(fields) == {
        "email": "msdynci_email",
        "firstName": "msdynci_firstname",
        "lastName": "msdynci_lastname",
        "address": "msdynci_addressline1",
        "city": "msdynci_city",
        "state": "msdynci_stateorprovince",
        "postalCode": "msdynci_postalcode",
        "country": "msdynci_country",
    }


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("String", ["a", None, "nul\0", "\u202eright to left", "long " * 2_000, "客"]),
        ("Integer", [1, None, -5]),
        ("BigInt", [2**62]),
        ("Decimal", [12.34, None, 5]),
        ("Boolean", [True, False, None]),
        ("Uniqueidentifier", ["0a1b2c3d-0000-4000-8000-000000000000"]),
    ],
)
def test_values_of_the_attributes_type_stay_as_they_are(type_: str, values: list[Any]) -> None:
    assert converted(type_, *values) == (values, 0)


def test_moments_are_utc_whatever_their_zone_and_precision() -> None:
    shown = ["2026-05-04T12:00:00Z", "2026-05-04T12:00:00", "2026-05-04T14:00:00+02:00", "2026-05-04T12:00:00.0000000Z"]
    assert converted("DateTime", *shown) == ([NOON] * 4, 0)
    assert converted("DateTime", *shown[:2], None) == ([NOON, NOON, None], 0)
    assert converted("DateTime", "1940-02-01") == ([datetime.fromisoformat("1940-02-01")], 0)


def test_values_of_another_type_are_taken_where_they_fit_and_counted_where_they_do_not() -> None:
    assert converted("Integer", "7", 8.0, 8.5, "x", 2**63, None) == ([7, 8, None, None, None, None], 3)
    assert converted("Decimal", "1.5", "x", 2) == ([1.5, None, 2.0], 1)
    assert converted("Boolean", "true", 0, "perhaps") == ([True, False, None], 1)
    assert converted("DateTime", "2026-05-04T12:00:00Z", "yesterday", 5) == ([NOON, None, None], 2)
    assert converted("String", "a", 7, 1.5, True, ["x"]) == (["a", "7", "1.5", "true", '["x"]'], 0)


@given(st.sampled_from(sorted(KINDS)), st.lists(JSON_VALUES, max_size=5))
def test_no_value_is_an_error(type_: str, values: list[Any]) -> None:
    found, lost = converted(type_, *values)
    missing = sum(value is None or value != value for value in values)  # JSON has no NaN: it is written as null
    assert len(found) == len(values)
    assert found.count(None) == lost + missing


def test_a_column_that_a_page_leaves_out_is_empty() -> None:
    page = read_page(b'{"value":[{},{}],"@odata.nextLink":"https://x/"}', [TEXT])
    assert page is not None
    assert page.rows.to_pylist() == [{"msdynci_x": None}] * 2
    assert page.next == "https://x/"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.none()), st.booleans(), st.booleans())
def test_pages_are_read_the_same_at_once_and_value_by_value(texts: list[str | None], odd_row: bool, more: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"@odata.etag": 'W/"1"', "msdynci_x": text, "msdynci_n": n, "other": {"a": [1]}} for n, text in enumerate(texts)
    ]
    if odd_row:  # makes the whole page be read value by value
        rows.append({"msdynci_x": 7, "msdynci_n": 1.5})
    body = orjson.dumps({"value": rows} | ({"@odata.nextLink": "https://x/?a=%2c"} if more else {}))
    page = read_page(body, [TEXT, NUMBER])
    assert page is not None
    read = page.rows.to_pylist()
    assert read[: len(texts)] == [{"msdynci_x": text, "msdynci_n": n} for n, text in enumerate(texts)]
    assert read[len(texts) :] == [{"msdynci_x": "7", "msdynci_n": None}] * odd_row
    assert {name: flags.true_count for name, flags in page.lost.items()} == ({"msdynci_n": 1} if odd_row else {})
    assert page.next == ("https://x/?a=%2c" if more else None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b"null",
        b'{"value":null}',
        b'{"value":7}',
        b'{"value":[null]}',
        b'{"value":["x"]}',
        b'{"value":[[]]}',
        b'{"value":[{"msdynci_x":"a"}',
        b'{"value":[{"msdynci_x":"a',
        b'{"value":[]}{"value":[]}',
        b'{"value":[]}x',
        b'{"value":[{"msdynci_x":"\xff"}]}',
    ],
)
def test_what_is_no_whole_page_is_none(body: bytes) -> None:
    assert read_page(body, [TEXT]) is None


@given(st.integers(1, 400))
def test_a_page_cut_anywhere_is_none(end: int) -> None:
    body = orjson.dumps({"value": [{"msdynci_x": f"value {n}"} for n in range(15)], "@odata.nextLink": "https://x"})
    assert end >= len(body) or read_page(body[:end], [TEXT]) is None


def test_half_a_surrogate_pair_costs_the_character_and_not_the_page() -> None:
    page = read_page(rb'{"value":[{"msdynci_x":"a\ud83d"},{"msdynci_x":"\ud83d\ude00"}]}', [TEXT])
    assert page is not None
    assert page.rows.column(0).to_pylist() == ["a?", "\U0001f600"]


def test_a_link_that_is_no_text_is_passed_on_to_be_refused() -> None:
    page = read_page(b'{"value":[],"@odata.nextLink":7}', [TEXT])
    assert page is not None
    assert page.next == "7"
