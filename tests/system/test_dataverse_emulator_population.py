"""What the emulator's made-up customers promise: any page can be computed, nothing is lost between pages.

reference: customer-insights.md §12.10 (lines three, six and eight).
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.changes import apply_change
from bot.sandbox.dataverse.memberships import Memberships
from bot.sandbox.dataverse.population import Population, Share
from bot.sandbox.dataverse.profiles import Profiles
from bot.sandbox.dataverse.query import parse_query
from bot.sandbox.dataverse.reading import START, read_page
from bot.sandbox.dataverse.world import World

SHARES = (Share("Many", 0.3), Share("Some", 0.1), Share("Few", 0.02))
AnyTable = Profiles | Memberships

sizes = st.integers(0, 260)
seeds = st.integers(0, 2**32)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """An environment in which people have come, gone, and lost their profiles."""
    world = World(Population(draw(sizes), draw(seeds), SHARES))
    for op in draw(st.lists(st.sampled_from(["new", "join", "leave", "delete-profiles"]), max_size=4)):
        change = {"op": "join" if op == "new" else op, "segment": "Some", "count": draw(st.integers(0, 12))}
        apply_change(world, {**change, "new": op == "new"})
    return world


def scan(table: AnyTable, limit: int) -> list[int]:
    rows: list[int] = []
    after: int | None = START
    while after is not None:
        batch, after = table.scan(after, limit)
        rows += batch.rows
    return rows


@given(st.integers(0, 2**40), seeds)
def test_a_customer_id_leads_back_to_its_number(number: int, seed: int) -> None:
    population = Population(10, seed)
    [customer_id] = population.customer_ids(population.hashes([number]))
    assert re.fullmatch(r"[0-9a-f]{32}", customer_id)
    assert population.number_of(customer_id) == number
    other = ("0" if customer_id[0] != "0" else "1") + customer_id[1:]
    assert population.number_of(other) is None


@pytest.mark.parametrize("text", ["", "x", "g" * 32, "ce759201f786d590bf2134bff576c369", "-" + "0" * 31, "é" * 32])
def test_any_other_text_leads_to_nobody(text: str) -> None:
    assert Population(10, 1).number_of(text) is None


@settings(max_examples=20, deadline=None)
@given(worlds(), st.integers(1, 90))
def test_a_scan_gives_each_row_once_in_the_order_of_its_key_however_long_the_steps(world: World, limit: int) -> None:
    for table in (Profiles(world), Memberships(world)):
        rows = scan(table, limit)
        keys = table.scan(START, 1)[0].of(rows).column(table.primary_key)
        assert keys == sorted(set(map(str, keys)))
        assert rows == scan(table, 10_000)


@settings(max_examples=20, deadline=None)
@given(worlds())
def test_customers_are_found_as_a_scan_finds_them(world: World) -> None:
    everybody = world.population.customer_ids(world.population.hashes(world.all_customers()))
    for table in (Profiles(world), Memberships(world)):
        assert [*table.find(everybody).rows] == scan(table, 10_000)


@settings(max_examples=20, deadline=None)
@given(worlds())
def test_the_rows_of_a_customer_together_name_the_segments_it_is_in(world: World) -> None:
    table = Memberships(world)
    named: dict[str, set[str]] = {}
    batch = table.scan(START, 10_000)[0]
    for customer_id, text in zip(batch.column("msdynci_customerid"), batch.column("msdynci_segments"), strict=True):
        named.setdefault(str(customer_id), set()).update(re.findall(r'^\{"Segments":\["(.*)"\]\}$', str(text)))
    counts = world.count_members()
    for index, segment in enumerate(world.segments):
        members = {n for chunk in world.members(1 << index) for n in chunk}
        ids = world.population.customer_ids(world.population.hashes(sorted(members)))
        found = {cid for cid, texts in named.items() if any(segment.name in text.split('","') for text in texts)}
        assert found == set(ids)
        assert counts[segment.name] == len(members)


@settings(max_examples=20, deadline=None)
@given(
    worlds(),
    st.integers(1, 60),
    st.integers(0, 50),
    st.sampled_from(["", "contains(msdynci_segments,'Some')", "msdynci_segmentprovider ne 'CustomerInsights'"]),
)
async def test_pages_of_any_size_make_up_the_whole(world: World, size: int, scan_rows: int, condition: str) -> None:
    table = Memberships(world)
    options = {"$select": "msdynci_customerid"} | ({"$filter": condition} if condition else {})
    query = parse_query(table, options, "", Assumptions())
    everything = (await read_page(table, query, START, 100_000, 0)).rows
    rows: list[int] = []
    cursor: int | None = START
    while cursor is not None:
        page = await read_page(table, query, cursor, size, scan_rows)
        assert len(page.rows) <= size
        rows += page.rows.rows
        cursor = page.cursor
    assert rows == [*everything.rows]
