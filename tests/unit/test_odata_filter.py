"""The emulator's `$filter`: what it understands, what it refuses, and that it says of each row what the text says.

reference: customer-insights.md §12.4 (notes), §12.10 (line two).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.conditions import text_search
from bot.sandbox.dataverse.errors import ODataError
from bot.sandbox.dataverse.odata import MAX_CONDITIONS, parse_filter
from bot.sandbox.dataverse.population import Value
from bot.sandbox.dataverse.tables import RecordBatch

Row = dict[str, Value]

TYPES = {
    "name": "String",
    "msdynci_segments": "Memo",
    "points": "Integer",
    "worth": "Decimal",
    "opted": "Boolean",
    "born": "DateTime",
    "id": "Uniqueidentifier",
}
ROW: Row = {
    "name": "O'Brien",
    "msdynci_segments": '{"Segments":["VIP_2","Newsletter"]}',
    "points": 5,
    "worth": 1.5,
    "opted": True,
    "born": "1980-02-29T00:00:00Z",
    "id": "0a1b2c3d-0000-4000-8000-000000000000",
}
EMPTY: Row = dict.fromkeys(TYPES)


def matches(text: str, row: Row = ROW, switches: Mapping[str, object] = MappingProxyType({})) -> bool:
    condition = parse_filter(text, TYPES, "thing", Assumptions().changed({**switches}))
    [flag] = condition.matches(RecordBatch([row]))
    return flag


def refusal(text: str, switches: Mapping[str, object] = MappingProxyType({})) -> tuple[int, str]:
    with pytest.raises(ODataError) as refused:
        matches(text, switches=switches)
    return refused.value.status, refused.value.code


@pytest.mark.parametrize(
    "text",
    [
        "name eq 'O''Brien'",
        "name eq 'o''BRIEN'",
        "name ne 'x'",
        "name gt 'a'",
        "points eq 5",
        "points ge 5 and points le 5",
        "points lt 6",
        "worth gt 1.4",
        "opted eq true",
        "born lt 1980-03-01",
        "born eq 1980-02-29T00:00:00Z",
        "id eq 0A1B2C3D-0000-4000-8000-000000000000",
        "not name eq 'x'",
        "not (name eq 'x' or points eq 6)",
        "points eq 6 or name eq 'O''Brien' and points eq 5",
        "( ( points eq 5 ) )",
        "contains(name,'brie')",
        "startswith(name,'o''')",
        "endswith(name,'EN')",
        "contains(name,'x') eq false",
        "contains(msdynci_segments,'\"vip_2\"')",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['x','o''brien'])",
    ],
)
def test_a_row_is_found(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "name eq 'OBrien'",
        "(points eq 6 or name eq 'O''Brien') and points eq 6",
        "not contains(name,'brien')",
        "contains(name,'brien') eq false",
        "startswith(name,'Brien')",
        "endswith(name,'Bri')",
        "opted eq false",
        "points eq null",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['x'])",
    ],
)
def test_a_row_is_left_out(text: str) -> None:
    assert not matches(text)


def test_a_row_without_value_only_matches_null_and_inequality() -> None:
    assert matches("name eq null", EMPTY)
    assert matches("name ne 'x'", EMPTY)
    for text in ("name eq 'x'", "points gt 0", "points lt 0", "contains(name,'')", "name ne null"):
        assert not matches(text, EMPTY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name eq",
        "name eq 'x",
        "name eq 'x' or",
        "name is 'x'",
        "name eq 'x' name eq 'y'",
        "(name eq 'x'",
        "name eq 'x')",
        "name eq 5",
        "points eq '5'",
        "opted eq 1",
        "id eq 'x'",
        "nothing eq 'x'",
        "contains(nothing,'x')",
        "contains(points,'5')",
        "contains(name)",
        "Microsoft.Dynamics.CRM.In(PropertyName='name')",
        "Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=@p1)",
        "{name}",
        "(" * 100 + "points eq 5" + ")" * 100,
    ],
)
def test_nonsense_is_a_bad_request(text: str) -> None:
    assert refusal(text) == (400, "0x80060888")


@pytest.mark.parametrize(
    ("text", "switches"),
    [
        ("contains(msdynci_segments,'x')", {"contains": "unsupported"}),
        ("Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['x'])", {"in-operator": False}),
        ("year(born) eq 1980", {}),
    ],
)
def test_what_is_not_supported_is_not_implemented(text: str, switches: dict[str, object]) -> None:
    assert refusal(text, switches)[0] == 501


def test_so_many_conditions_are_allowed_and_no_more() -> None:
    assert not matches(" or ".join(["name eq 'x'"] * MAX_CONDITIONS))
    assert refusal(" or ".join(["name eq 'x'"] * (MAX_CONDITIONS + 1))) == (400, "0x8004430C")


class TestPinned:
    """Rows of named customers are looked up, not searched for."""

    @pytest.mark.parametrize(
        ("text", "pinned"),
        [
            ("name eq 'A' or name eq 'b'", {"a", "b"}),
            ("Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=['A'])", {"a"}),
            ("(name eq 'a' or name eq 'b') and points eq 1", {"a", "b"}),
            ("name eq 'a' and name eq 'b'", set()),
            ("name eq 'a' or points eq 1", None),
            ("not name eq 'a'", None),
            ("name ne 'a'", None),
            ("contains(name,'a')", None),
        ],
    )
    def test_the_values_a_row_can_have_are_known_or_not(self, text: str, pinned: set[str] | None) -> None:
        assert parse_filter(text, TYPES, "thing", Assumptions()).pinned("name") == pinned


class TestWildcards:
    @pytest.mark.parametrize(
        ("needle", "text", "found"),
        [
            ("VIP_2", "VIPx2", True),
            ("VIP_2", "VIP2", False),
            ("a%z", "xx a to z", True),
            ("[abc]1", "c1", True),
            ("[^abc]1", "c1", False),
            ("[a-c]1", "B1", True),
            ("a.c", "abc", False),
            ("(", "f(x)", True),
        ],
    )
    def test_they_match_as_in_like(self, needle: str, text: str, found: bool) -> None:
        assert bool(text_search("contains", needle, wildcards=True)(text)) is found

    @given(st.text(), st.text(), st.text())
    def test_a_needle_without_brackets_is_always_found_in_what_contains_it(
        self, before: str, needle: str, after: str
    ) -> None:
        needle = needle.replace("[", "").replace("]", "")
        assert text_search("contains", needle, wildcards=True)(before + needle + after)
        assert text_search("startswith", needle, wildcards=True)(needle + after)
        assert text_search("endswith", needle, wildcards=True)(before + needle)

    def test_they_can_be_switched_off(self) -> None:
        assert not matches("contains(msdynci_segments,'VIPx2')")
        assert matches("contains(msdynci_segments,'V_P')")
        assert not matches("contains(msdynci_segments,'V_P')", switches={"wildcards": False})


@pytest.mark.parametrize(
    ("needle", "switch"),
    [("Newsletter", "contains-bare"), ('"Newsletter"', "contains-quoted"), ('\\"Newsletter\\"', "contains-backslash")],
)
def test_each_form_of_a_segments_name_can_be_switched_off(needle: str, switch: str) -> None:
    text = f"contains(msdynci_segments,'{needle}')"
    assert matches(text)
    assert not matches(text, switches={switch: False})
    assert matches(
        text, switches=dict.fromkeys({"contains-bare", "contains-quoted", "contains-backslash"} - {switch}, False)
    )


texts = st.text(alphabet="abcAB'% _\"é客", max_size=4)


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Callable[[Row], bool]]:
    """A filter's text, and what it means in Python."""
    kind = draw(st.sampled_from(["name", "points", "search"]))
    if kind == "name":
        value = draw(texts)
        return f"name eq '{value.replace(chr(39), chr(39) * 2)}'", lambda row: fold(row["name"]) == value.lower()
    if kind == "points":
        number = draw(st.integers(-2, 2))
        return f"points gt {number}", lambda row: row["points"] is not None and int(row["points"]) > number
    value = draw(texts)
    text = f"contains(name,'{value.replace(chr(39), chr(39) * 2)}')"
    return text, lambda row: row["name"] is not None and value.lower() in str(row["name"]).lower()


def fold(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


def combined(
    parts: st.SearchStrategy[tuple[str, Callable[[Row], bool]]],
) -> st.SearchStrategy[tuple[str, Callable[[Row], bool]]]:
    both = st.tuples(parts, parts)
    return st.one_of(
        both.map(lambda ab: (f"({ab[0][0]} and {ab[1][0]})", lambda row: ab[0][1](row) and ab[1][1](row))),
        both.map(lambda ab: (f"({ab[0][0]} or {ab[1][0]})", lambda row: ab[0][1](row) or ab[1][1](row))),
        parts.map(lambda a: (f"not ({a[0]})", lambda row: not a[1](row))),
    )


rows = st.fixed_dictionaries({"name": st.none() | texts, "points": st.none() | st.integers(-2, 2)})


@given(st.recursive(conditions(), combined, max_leaves=8), st.lists(rows, max_size=6))
def test_a_filter_means_what_it_says(filter_: tuple[str, Callable[[Row], bool]], table: list[Row]) -> None:
    text, meaning = filter_
    condition = parse_filter(text, TYPES, "thing", Assumptions(wildcards=False))
    assert condition.matches(RecordBatch(table)) == [meaning(row) for row in table]


words = st.sampled_from(
    ["name", "points", "eq", "and", "or", "not", "(", ")", ",", "contains", "'x'", "5", "null", "[", "@p1", '"', "€"]
)


@given(st.lists(words, max_size=12).map(" ".join))
def test_any_text_is_understood_or_refused_as_the_clients_mistake(text: str) -> None:
    try:
        parse_filter(text, TYPES, "thing", Assumptions())
    except ODataError as refused:
        status, code = refused.status, refused.code
    else:
        return
    assert (status, code) in [(400, "0x80060888"), (501, "0x80060888")]
