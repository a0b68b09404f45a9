"""Who is a member: ids in little space, texts read leniently, names compared exactly, rows of one customer united.

reference: customer-insights.md §9 (key), §12.3 (memberships), §12.4 (notes), §12.9 (step 3), §16 (names).
"""

import tracemalloc
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sources.dataverse.columns import MEMBERSHIP
from bot.sources.dataverse.faults import TooManyMembers
from bot.sources.dataverse.keys import Keys
from bot.sources.dataverse.memberships import COUNTED_NAMES, KNOWN_CHARACTERS, Roll
from bot.sources.dataverse.names import read_names
from bot.sources.dataverse.queries import MAX_URL, memberships_of, profiles_by_id
from bot.sources.nearest import nearest
from tests.unit.dataverse_world import customer, membership

HEX_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
ANY_IDS = HEX_IDS | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | HEX_IDS.map(str.upper)
NAMES = ("VIP", "VIP_2", "客戶", "vip")


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    """A page of memberships."""
    return pa.RecordBatch.from_pylist(list(rows), pa.schema([(column.name, pa.string()) for column in MEMBERSHIP]))


class TestNames:
    @pytest.mark.parametrize(
        "text",
        [
            '{"Segments":["A","B"]}',
            '["A","B"]',
            '"{\\"Segments\\":[\\"A\\",\\"B\\"]}"',
            orjson.dumps(orjson.dumps('["A","B"]').decode()).decode(),
            '{"Version":2,"segments":["A","B"],"Source":{"Kind":"batch"}}',
            '\n {\t"Segments" : [ "A" , "B" ] } ',
        ],
    )
    def test_every_form_that_was_seen_or_may_be_is_read(self, text: str) -> None:
        assert read_names(text) == ("A", "B")

    def test_what_is_json_already_is_taken_as_it_is(self) -> None:
        assert read_names({"Segments": ["A"]}) == ("A",)
        assert read_names(["A"]) == ("A",)

    @pytest.mark.parametrize(
        "text", [None, "", "null", "7", "VIP;Newsletter", "{'Segments':['A']}", '{"Segments":["A"', '{"Segments":null}',
                 '{"Segments":[7]}', '{"Names":["A"]}', "[[]]"]
    )  # fmt: skip
    def test_what_nothing_can_be_made_of_is_told_apart_from_no_segments(self, text: str | None) -> None:
        assert read_names(text) is None
        assert read_names('{"Segments":[]}') == ()

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
    def test_names_come_back_as_they_were(self, names: list[str]) -> None:
        assert read_names(orjson.dumps({"Segments": names}).decode()) == tuple(names)

    @given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
    def test_no_text_is_an_error(self, text: str) -> None:
        assert read_names(text) is None or isinstance(read_names(text), tuple)

    def test_the_name_that_was_probably_meant_is_found(self) -> None:
        assert nearest("vip", ["Newsletter", "VIP"]) == "VIP"
        assert nearest("Newsleter", ["Newsletter", "VIP"]) == "Newsletter"
        assert nearest("Lapsed", ["Newsletter", "VIP"]) is None


class TestKeys:
    @given(st.lists(ANY_IDS, unique=True), st.lists(ANY_IDS))
    def test_an_id_is_found_where_it_stands_and_no_other_is(self, known: list[str], others: list[str]) -> None:
        keys = Keys.of(known)
        keys = keys.take(keys.order())
        places = keys.places(Keys.of([*known, *others])).to_pylist()
        assert sorted(places[: len(known)]) == list(range(len(known)))
        assert [place is not None for place in places[len(known) :]] == [other in known for other in others]

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), unique=True), st.integers(0, 2), st.integers(0, 5))
    def test_ids_that_share_a_half_are_told_apart(self, halves: list[tuple[int, int]], high: int, low: int) -> None:
        def keys_of(pairs: Sequence[tuple[int, int]]) -> Keys:
            return Keys(pa.array([h for h, _ in pairs], pa.uint64()), pa.array([low for _, low in pairs], pa.uint64()))

        ordered = sorted(halves)
        found = keys_of(ordered).places(keys_of([(high, low)])).to_pylist()
        assert found == [ordered.index((high, low)) if (high, low) in ordered else None]

    @given(st.lists(ANY_IDS))
    def test_every_id_can_be_had_back(self, ids: list[str]) -> None:
        odd: dict[bytes, str] = {}
        assert [odd.get(raw) or raw.hex() for raw in Keys.of(ids, odd).raw()] == ids

    def test_upper_case_digits_make_another_id(self) -> None:
        lower = customer(1)
        assert Keys.of([lower]).places(Keys.of([lower.upper()])).to_pylist() == [None]


class TestRoll:
    @given(
        rows=st.lists(st.tuples(st.integers(0, 9), st.sets(st.sampled_from([*NAMES, "other"]))), max_size=40),
        asked=st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
        page=st.integers(1, 7),
    )
    def test_whatever_the_pages_each_customer_is_in_all_the_segments_that_any_row_names(
        self, rows: list[tuple[int, set[str]]], asked: list[str], page: int
    ) -> None:
        roll = Roll(asked)
        for start in range(0, len(rows), page):
            roll.add(batch(*(membership(number, *names) for number, names in rows[start : start + page])))
        members = roll.members()

        united = {customer(n): set().union(*(names for m, names in rows if m == n)) & {*asked} for n, _ in rows}
        wanted = {id_: [asked.index(name) for name in asked if name in names] for id_, names in united.items() if names}
        ids = list(members.ids())
        places = members.places(ids).to_pylist()
        assert dict(zip(ids, members.segments_at(places).to_pylist(), strict=True)) == wanted
        assert members.counts() == {name: sum(name in names for names in united.values()) for name in asked}

    def test_more_than_64_segments_have_room(self) -> None:
        names = [f"S{n}" for n in range(130)]
        roll = Roll(names)
        roll.add(batch(membership(1, "S0", "S63", "S64"), membership(2, "S129"), membership(1, "S128")))
        members = roll.members()
        places = members.places([customer(1), customer(2)]).to_pylist()
        assert members.segments_at(places).to_pylist() == [[0, 63, 64, 128], [129]]

    def test_names_are_taken_in_as_they_come_where_all_are_counted(self) -> None:
        roll = Roll()
        for start in range(0, 300, 50):
            roll.add(batch(*(membership(n, f"S{n}", "everyone") for n in range(start, start + 50))))
        counts = roll.members().counts()
        assert len(counts) == COUNTED_NAMES
        assert counts["everyone"] == 300
        assert len(roll.seen) == 301

    def test_rows_that_say_nothing_are_counted_and_left_out(self) -> None:
        roll = Roll(["VIP"])
        nameless = {"msdynci_customerid": None, "msdynci_segments": '["VIP"]'}
        roll.add(batch(membership(1, "VIP"), membership(2, text="VIP,"), membership(3, text=None), nameless))
        assert (roll.unreadable, roll.nameless, roll.rows, len(roll.members())) == (2, 1, 4, 1)

    def test_names_that_differ_only_in_case_are_other_segments_but_remembered(self) -> None:
        roll = Roll(["VIP"])
        roll.add(batch(membership(1, "vip"), membership(2, "ＶＩＰ"), membership(3, "VIP_2")))
        assert len(roll.members()) == 0
        assert roll.near("VIP") == ["vip", "ＶＩＰ"]

    def test_what_is_remembered_of_very_long_texts_stays_small(self) -> None:
        roll = Roll(["VIP"])
        tracemalloc.start()
        for number in range(40):  # of a million characters each
            names = ["VIP", *(f"{number}-{n}-{'x' * 990}" for n in range(1_000))]
            roll.add(batch(membership(number, *names)))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 3 * KNOWN_CHARACTERS
        assert len(roll.members()) == 40

    def test_a_scan_that_begins_again_counts_nothing_twice(self) -> None:
        roll = Roll(["VIP"])
        roll.add(batch(membership(1, "VIP"), membership(2, text="?")))
        roll.clear()
        roll.add(batch(membership(1, "VIP")))
        assert (len(roll.members()), roll.rows, roll.unreadable) == (1, 1, 0)

    def test_more_members_than_allowed_stop_it_while_pages_still_come(self) -> None:
        roll = Roll(["VIP"], most=10)
        roll.add(batch(*(membership(n, "VIP") for n in range(20))))
        with pytest.raises(TooManyMembers, match="more than 10 members"):
            roll.add(batch(membership(20, "VIP")))

    def test_the_same_members_again_and_again_are_not_too_many(self) -> None:
        roll = Roll(["VIP"], most=10)
        for _ in range(20):
            roll.add(batch(*(membership(n, "VIP") for n in range(10))))
        assert len(roll.members()) == 10

    def test_one_member_more_than_allowed_is_found_out_at_the_end(self) -> None:
        roll = Roll(["VIP"], most=10)
        roll.add(batch(*(membership(n, "VIP") for n in range(11))))
        with pytest.raises(TooManyMembers):
            roll.members()


class TestQueries:
    @pytest.mark.parametrize(
        ("names", "trusted"),
        [
            (["VIP"], True),
            (["VIP_2", "Birthday_100pct", "a b-c.d"], True),
            (["客戶細分"], False),  # may stand there as JSON escapes
            (["A[1]"], False),  # brackets may match one character
            (['a"b'], False),
            (["a'b"], False),
            (["50%"], False),
            ([], False),
            ([f"S{n}" for n in range(6)], False),
        ],
    )
    def test_a_filter_is_used_only_for_names_that_it_is_sure_to_find(self, names: list[str], trusted: bool) -> None:
        assert (memberships_of(names) is not None) == trusted

    @given(st.lists(ANY_IDS | st.text("é'" + chr(0x1F600), min_size=100, max_size=100), max_size=60))
    def test_no_address_is_longer_than_dataverse_takes(self, ids: list[str]) -> None:
        root = "https://contoso.crm4.dynamics.com/api/data/v9.2/"
        requests = list(profiles_by_id(["msdynci_email"], ids, root=root))
        assert all(len(root) + len(request) <= MAX_URL for request in requests)
        assert sum(request.count("msdynci_customerid%20eq") for request in requests) == len(ids)

    def test_some_four_hundred_ids_fit_in_one_address(self) -> None:
        requests = list(profiles_by_id(["msdynci_email"], map(customer, range(800)), root="https://h/"))
        assert [request.count(" eq ") + request.count("%20eq%20") for request in requests] == [400, 400]
