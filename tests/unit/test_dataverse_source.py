"""The Dataverse source behind its protocol: segments, fields, and readings that end well or for a reason with a name.

reference: customer-insights.md §4 (refresh), §8 (inactive segments), §9, §12.3, §12.4, §12.9 (the algorithm), §16.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pyarrow as pa
import pytest

from bot.sources.base import FieldMissing, Segment, SegmentMissing
from bot.sources.dataverse import DataverseSource
from bot.sources.dataverse.catalog import COUNT_AGAIN, COUNTING, COUNTS_LAST, FILTERS_FAIL
from bot.sources.dataverse.faults import (
    DataSharingOff,
    Interrupted,
    NotDataverse,
    RefreshBegan,
    RefreshRunning,
    RoleMissing,
    TooManyMembers,
    Unavailable,
)
from bot.sources.dataverse.queries import MAX_URL, PAGE_ROWS
from bot.sources.dataverse.source import CHECK_TRIES
from tests.unit.dataverse_world import (
    ATTRIBUTES,
    MEMBERSHIPS,
    METADATA,
    PROFILES,
    FakeDataverse,
    customer,
    error,
    ids,
    membership,
    profile,
    read,
    segment,
    source_of,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def dataverse() -> FakeDataverse:
    """A hundred customers: 0 to 9 are VIP, 5 to 39 are in News, nobody is in Empty."""
    return FakeDataverse(
        profiles=[profile(n, city="Wien" if n % 2 else None, points=n) for n in range(100)],
        memberships=[
            membership(n, *(["VIP"] if n < 10 else []), *(["News"] if 5 <= n < 40 else [])) for n in range(40)
        ],
        metadata=[segment("VIP"), segment("News"), segment("Empty")],
        total=100,
    )


@pytest.fixture
async def source(dataverse: FakeDataverse) -> AsyncIterator[DataverseSource]:
    reading = source_of(dataverse)
    yield reading
    await reading.close()


async def until_counted() -> None:
    """Wait for the count in the background."""
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == COUNTING))


class Refreshes:
    """A refresh from one moment to another."""

    def __init__(self, start: datetime, end: datetime) -> None:
        self.start, self.end = start, end

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        return self.end if self.start <= until and since < self.end else None


class TestReading:
    async def test_members_come_once_each_with_their_fields_and_the_segments_that_were_asked_for(
        self, source: DataverseSource
    ) -> None:
        rows, stream = await read(source, ["News", "VIP"], ["msdynci_email", "msdynci_points"])
        assert {row["CustomerId"]: row["segments"] for row in rows} == {
            customer(n): [0] * (n >= 5) + [1] * (n < 10) for n in range(40)
        }
        assert len(rows) == 40
        assert all(row["msdynci_email"] == f"person{row['msdynci_points']}@example.com" for row in rows)
        assert stream.summary.members == {"News": 35, "VIP": 10}
        assert stream.summary.without_profile == 0
        assert stream.summary.notes == []

    async def test_batches_carry_the_sources_types(self, source: DataverseSource) -> None:
        fields = ["msdynci_email", "msdynci_points", "msdynci_spent", "msdynci_optin", "msdynci_birthdate"]
        async with source.profiles(["VIP"], fields) as stream:
            batch = await anext(stream)
        assert dict(zip(batch.schema.names, batch.schema.types, strict=True)) == {
            "CustomerId": pa.string(),
            "msdynci_email": pa.string(),
            "msdynci_points": pa.int64(),
            "msdynci_spent": pa.float64(),
            "msdynci_optin": pa.bool_(),
            "msdynci_birthdate": pa.timestamp("us"),
            "segments": pa.list_(pa.int32()),
        }

    async def test_no_more_than_the_mapped_columns_are_asked_for(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        await read(source, ["News"], ["msdynci_email", "msdynci_city", "msdynci_email"])
        assert dataverse.asked(PROFILES) == ["$select=msdynci_customerid,msdynci_email,msdynci_city"]

    async def test_a_field_that_is_gone_is_named_before_anything_is_read(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        del dataverse.types["msdynci_city"]
        with pytest.raises(FieldMissing, match="msdynci_city"):
            await read(source, ["VIP"], ["msdynci_email", "msdynci_city"])
        assert dataverse.paths() == [ATTRIBUTES]

    async def test_a_field_that_goes_in_mid_read_is_named(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(400, "0x0", "Could not find a property named 'msdynci_city' on type 'x'"), at=PROFILES)
        with pytest.raises(FieldMissing, match="msdynci_city"):
            await read(source, ["VIP"], ["msdynci_city"])

    async def test_members_without_a_profile_are_counted_and_do_not_fail_it(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        del dataverse.profiles[3:7]
        rows, stream = await read(source, ["VIP"])
        assert sorted(ids(rows)) == sorted(customer(n) for n in (0, 1, 2, 7, 8, 9))
        assert (stream.summary.members, stream.summary.without_profile) == ({"VIP": 10}, 4)

    async def test_broken_memberships_are_a_note(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.memberships += [membership(50, text='{"Segments":["VIP"'), membership(51, text="VIP")]
        _, stream = await read(source, ["VIP"])
        assert stream.summary.notes == ["Memberships that could not be read, left out: 2."]

    async def test_values_that_do_not_fit_are_a_note(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.profiles[0]["msdynci_points"] = "many"
        rows, stream = await read(source, ["VIP"], ["msdynci_points"])
        assert [row["msdynci_points"] for row in rows if row["CustomerId"] == customer(0)] == [None]
        assert stream.summary.notes == ["Values of msdynci_points that do not fit its type, left out: 1."]

    async def test_a_row_that_comes_twice_counts_once(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.profiles += dataverse.profiles[:20]
        dataverse.memberships += dataverse.memberships[:20]
        rows, stream = await read(source, ["VIP", "News"])
        assert len(rows) == len(set(ids(rows))) == 40
        assert stream.summary.members == {"VIP": 10, "News": 35}

    async def test_two_profiles_with_one_email_are_both_there_for_staging_to_fold(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.profiles[1]["msdynci_email"] = dataverse.profiles[0]["msdynci_email"]
        rows, _ = await read(source, ["VIP"])
        assert len(rows) == 10

    async def test_ids_of_any_form_are_opaque(self, dataverse: FakeDataverse) -> None:
        odd = ["O'Brien", customer(1).upper(), "客戶 7", "x" * 100]
        dataverse.profiles += [{"msdynci_customerid": id_, "msdynci_email": "e"} for id_ in odd]
        dataverse.memberships = [{"msdynci_customerid": id_, "msdynci_segments": '["VIP"]'} for id_ in odd]
        for total in (10, 10_000):  # all profiles, then by id
            dataverse.total = total
            rows, _ = await read(source_of(dataverse), ["VIP"])
            assert sorted(ids(rows)) == sorted(odd)

    async def test_too_many_members_are_named_before_profiles_are_read(self, dataverse: FakeDataverse) -> None:
        with pytest.raises(TooManyMembers, match="more than 34 members"):
            await read(source_of(dataverse, most_members=34), ["News"])
        assert dataverse.asked(PROFILES) == []

    async def test_no_members_need_no_profiles(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        rows, stream = await read(source, ["Empty"])
        assert (rows, stream.summary.members) == ([], {"Empty": 0})
        assert dataverse.asked(PROFILES) == []

    async def test_a_scan_of_profiles_that_begins_again_doubles_nobody(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.page_rows = (7,)
        dataverse.trouble(
            error(400, "0x0", "The skip token has expired."),
            at=f"{PROFILES}?$select=msdynci_customerid,msdynci_email&$skiptoken=<35",
        )
        rows, stream = await read(source, ["News"])
        assert len(rows) == len(set(ids(rows))) == 35
        assert stream.summary.without_profile == 0

    async def test_a_scan_of_memberships_that_begins_again_counts_nothing_twice(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.filters, dataverse.page_rows = "unsupported", (7,)
        dataverse.memberships[1] |= {"msdynci_segments": "VIP,"}
        dataverse.trouble(
            error(400, "0x0", "The skip token has expired."),
            at=f"{MEMBERSHIPS}?$select=msdynci_customerid,msdynci_segments&$skiptoken=<21",
        )
        rows, stream = await read(source, ["VIP"])
        assert len(rows) == 9
        assert stream.summary.notes == ["Memberships that could not be read, left out: 1."]

    async def test_what_a_filter_found_is_not_counted_again_by_the_scan_after_it(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        rows, stream = await read(source, ["VIP", "Empty"])  # nobody is in Empty, so that everything is read
        assert len([query for query in dataverse.asked(MEMBERSHIPS) if "$filter" not in query]) == 1
        assert len(rows) == 10
        assert stream.summary.notes == []

    async def test_leaving_early_frees_everything(self, dataverse: FakeDataverse) -> None:
        dataverse.profiles = [profile(n) for n in range(3 * PAGE_ROWS)]
        dataverse.memberships = [membership(n, "VIP") for n in range(3 * PAGE_ROWS)]
        source = source_of(dataverse)
        tasks = asyncio.all_tasks()
        async with source.profiles(["VIP"], ["msdynci_email"]) as stream:
            await anext(stream)
        assert not asyncio.all_tasks() - tasks
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    @pytest.mark.parametrize("at", [ATTRIBUTES, METADATA, MEMBERSHIPS, PROFILES, "skiptoken"])
    async def test_cancelling_at_any_request_frees_everything(self, dataverse: FakeDataverse, at: str) -> None:
        reached = asyncio.Event()

        async def hang(request: httpx.Request) -> httpx.Response:
            if at in str(request.url):
                reached.set()
                await asyncio.Event().wait()
            return await dataverse.handle(request)

        dataverse.page_rows = (7,)
        source = source_of(dataverse, transport=httpx.MockTransport(hang))
        tasks = asyncio.all_tasks()
        reading = asyncio.create_task(read(source, ["News"]))
        await reached.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not asyncio.all_tasks() - tasks


class TestHowProfilesAreRead:
    async def test_few_members_are_asked_for_by_id(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.total = 200  # 5 % of it are VIP
        rows, _ = await read(source, ["VIP"])
        assert len(rows) == 10
        (asked,) = dataverse.asked(PROFILES)
        assert asked.count("msdynci_customerid eq '") == 10

    async def test_many_members_are_picked_out_of_all_profiles(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.total = 199
        await read(source, ["VIP"])
        assert not any("$filter" in query for query in dataverse.asked(PROFILES))

    @pytest.mark.parametrize(("members", "by_id"), [(10_000, True), (10_001, False)])
    async def test_where_nobody_knows_how_many_profiles_there_are_their_number_decides(
        self, dataverse: FakeDataverse, members: int, by_id: bool
    ) -> None:
        dataverse.total = None
        dataverse.profiles = [profile(0)]
        dataverse.memberships = [membership(n, "VIP") for n in range(members)]
        await read(source_of(dataverse), ["VIP"])
        assert all(("$filter" in query) == by_id for query in dataverse.asked(PROFILES))

    async def test_a_thousand_ids_take_three_requests_side_by_side(self, dataverse: FakeDataverse) -> None:
        dataverse.profiles = [profile(n) for n in range(1_000)]
        dataverse.memberships = [membership(n, "VIP") for n in range(1_000)]
        dataverse.total = 1_000_000
        dataverse.page_rows = (150,)
        rows, stream = await read(source_of(dataverse), ["VIP"])
        assert sorted(ids(rows)) == sorted(map(customer, range(1_000)))
        assert stream.summary.without_profile == 0
        assert sum("skiptoken" not in query for query in dataverse.asked(PROFILES)) == 3
        assert dataverse.most_at_once == 3

    async def test_more_requests_than_that_go_four_at_a_time(self, dataverse: FakeDataverse) -> None:
        dataverse.memberships = [membership(n, "VIP") for n in range(4_000)]
        dataverse.total = 1_000_000
        _, stream = await read(source_of(dataverse), ["VIP"])
        assert (dataverse.most_at_once, stream.summary.without_profile) == (4, 3_900)

    @pytest.mark.parametrize(
        "refusal", [lambda: error(501), lambda: error(500, "0x80044151"), lambda: error(400, "0x8004430C")]
    )
    async def test_where_ids_can_not_be_asked_for_all_profiles_are_read(
        self, source: DataverseSource, dataverse: FakeDataverse, refusal: Callable[[], httpx.Response]
    ) -> None:
        dataverse.total = 1_000
        dataverse.trouble(refusal(), at=PROFILES)
        rows, _ = await read(source, ["VIP"])
        assert len(rows) == 10
        assert dataverse.asked(PROFILES)[-1] == "$select=msdynci_customerid,msdynci_email"

    async def test_where_no_id_finds_anybody_all_profiles_are_read_before_that_is_believed(
        self, dataverse: FakeDataverse
    ) -> None:
        dataverse.total = 1_000
        dataverse.filters = "find-nothing"
        rows, _ = await read(source_of(dataverse), ["VIP"])
        assert len(rows) == 10


class TestHowMembersAreFound:
    async def test_a_plain_name_is_looked_for_by_a_filter_and_compared_exactly(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [segment(name) for name in ("V_P", "VIP", "v_p", "XV_PX")]
        dataverse.memberships = [membership(n, name) for n, name in enumerate(["V_P", "VIP", "v_p", "XV_PX"])]
        rows, _ = await read(source, ["V_P"])
        assert ids(rows) == [customer(0)]
        assert dataverse.asked(MEMBERSHIPS) == [
            "$select=msdynci_customerid,msdynci_segments&$filter=contains(msdynci_segments,'V_P')"
        ]

    async def test_a_name_that_json_may_have_escaped_is_found_by_reading_all(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.memberships.append(membership(1, text='{"Segments":["\\u5ba2\\u6236"]}'))
        rows, _ = await read(source, ["客戶"])
        assert ids(rows) == [customer(1)]
        assert len(dataverse.asked(MEMBERSHIPS)) == 1

    @pytest.mark.parametrize("filters", ["unsupported", "slow", "find-nothing"])
    async def test_a_filter_that_is_of_no_use_costs_time_but_nobody(
        self, source: DataverseSource, dataverse: FakeDataverse, filters: str
    ) -> None:
        dataverse.filters = filters
        rows, stream = await read(source, ["VIP", "News"])
        assert len(rows) == 40
        assert stream.summary.members == {"VIP": 10, "News": 35}

    async def test_a_filter_that_failed_is_not_waited_for_again_on_the_same_day(self, dataverse: FakeDataverse) -> None:
        time = [NOON]
        dataverse.filters = "slow"
        source = source_of(dataverse, now=lambda: time[0])
        for _ in range(3):
            await read(source, ["News"])
        assert len([query for query in dataverse.asked(MEMBERSHIPS) if "$filter" in query]) == 1
        time[0] += FILTERS_FAIL
        await read(source, ["News"])
        assert len([query for query in dataverse.asked(MEMBERSHIPS) if "$filter" in query]) == 2

    async def test_one_segment_without_hits_is_reason_enough_to_read_all(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        await read(source, ["VIP", "Empty"])
        assert [("$filter" in query) for query in dataverse.asked(MEMBERSHIPS)] == [True, False]

    async def test_a_name_that_is_nowhere_is_missing_with_the_one_that_was_meant(self, source: DataverseSource) -> None:
        with pytest.raises(SegmentMissing, match=r"\*Newss\* is not in the source .*Did you mean \*News\*"):
            await read(source, ["Newss"])
        with pytest.raises(SegmentMissing) as missing:
            await read(source, ["Gone"])
        assert "Did you mean" not in str(missing.value)

    @pytest.mark.parametrize("metadata", [None, [segment("VIP"), segment("News")], [segment("vip")]])
    async def test_a_name_that_memberships_write_in_another_case_is_missing_not_empty(
        self, source: DataverseSource, dataverse: FakeDataverse, metadata: list[dict[str, object]] | None
    ) -> None:
        dataverse.metadata = metadata
        with pytest.raises(SegmentMissing, match=r"Did you mean \*VIP\*"):
            await read(source, ["vip"])

    async def test_two_segments_that_differ_in_case_are_two(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [segment("VIP"), segment("vip")]
        _, stream = await read(source, ["vip"])
        assert (stream.summary.members, stream.summary.notes) == ({"vip": 0}, [])

    async def test_members_of_a_similar_name_are_mentioned(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.memberships.append(membership(50, "vip"))
        _, stream = await read(source, ["VIP"])
        assert stream.summary.members == {"VIP": 10}
        assert stream.summary.notes == ["Memberships also name *vip*, which is another segment than *VIP*."]

    async def test_a_deleted_segment_is_missing(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.metadata = [segment("VIP"), segment("Empty", msdyn_isdeleted=True)]
        with pytest.raises(SegmentMissing):
            await read(source, ["Empty"])

    async def test_an_inactive_segment_keeps_its_last_members_and_says_so(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [segment("VIP", statecode=1)]
        rows, stream = await read(source, ["VIP"])
        assert len(rows) == 10
        assert stream.summary.notes == [
            "*VIP* is inactive in Customer Insights: its members are those of its last refresh."
        ]

    async def test_without_a_list_of_segments_nobody_knows_empty_from_gone(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = None
        _, stream = await read(source, ["Gone"])
        assert stream.summary.members == {"Gone": 0}
        assert "it may be empty, renamed or deleted" in stream.summary.notes[0]

    async def test_a_table_without_any_membership_is_remarked_upon(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.memberships = []
        _, stream = await read(source, ["VIP"])
        assert "no memberships at all" in stream.summary.notes[0]

    async def test_a_deleted_segment_that_memberships_still_name_is_remarked_upon(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [segment("VIP", msdyn_isdeleted=True), segment("News")]
        rows, stream = await read(source, ["VIP"])
        assert len(rows) == 10
        assert "*VIP* was deleted in Customer Insights" in stream.summary.notes[0]

    async def test_a_new_segment_in_place_of_a_deleted_one_is_no_deleted_one(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [segment("VIP", msdyn_isdeleted=True), segment("VIP")]
        _, stream = await read(source, ["VIP"])
        assert stream.summary.notes == []

    async def test_several_memberships_of_one_customer_are_united_and_counted(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.memberships += [membership(1, "VIP"), membership(2, "News"), membership(2, "News")]
        rows, stream = await read(source, ["VIP", "News"])
        assert len(rows) == 40
        assert stream.summary.members == {"VIP": 10, "News": 36}
        assert stream.summary.notes == ["Further memberships of customers who had one already, each counted once: 3."]


class TestRefresh:
    async def test_nothing_is_read_while_a_refresh_is_known_to_run(self, dataverse: FakeDataverse) -> None:
        refresh = Refreshes(NOON - timedelta(hours=1), NOON + timedelta(minutes=30))
        source = source_of(dataverse, refresh=refresh, now=lambda: NOON)
        for reading in (read(source, ["VIP"]), source.count("VIP"), source.recount()):
            with pytest.raises(RefreshRunning, match="12:30 UTC"):
                await reading
        assert dataverse.requests == []

    async def test_a_refresh_that_begins_in_mid_read_spoils_the_reading(self, dataverse: FakeDataverse) -> None:
        times = iter([NOON, NOON])
        refresh = Refreshes(NOON + timedelta(minutes=5), NOON + timedelta(hours=1))
        source = source_of(dataverse, refresh=refresh, now=lambda: next(times, NOON + timedelta(minutes=10)))
        with pytest.raises(RefreshBegan, match=r"began while profiles were read.*nothing was sent"):
            await read(source, ["VIP"])

    async def test_a_refresh_is_noticed_before_the_next_page_and_not_only_at_the_end(
        self, dataverse: FakeDataverse
    ) -> None:
        time = [NOON]
        refresh = Refreshes(NOON + timedelta(minutes=5), NOON + timedelta(hours=1))
        dataverse.page_rows = (7,)
        source = source_of(dataverse, refresh=refresh, now=lambda: time[0])

        def later(request: httpx.Request) -> httpx.Response:
            time[0] += timedelta(minutes=10)
            return dataverse._reply(request)

        dataverse.trouble(later, at=f"{PROFILES}?$select=msdynci_customerid,msdynci_email&$skiptoken=<14")
        with pytest.raises(RefreshBegan):
            await read(source, ["News"])
        assert len(dataverse.asked(PROFILES)) <= 4  # of fifteen pages; the next one was on its way

    async def test_members_counted_while_a_refresh_began_are_not_kept(self, dataverse: FakeDataverse) -> None:
        times = iter([NOON])
        refresh = Refreshes(NOON + timedelta(minutes=5), NOON + timedelta(hours=1))
        source = source_of(dataverse, refresh=refresh, now=lambda: next(times, NOON + timedelta(minutes=10)))
        with pytest.raises(RefreshBegan):
            await source.recount()
        times = iter([NOON])
        with pytest.raises(RefreshBegan):
            await source.count("VIP")
        assert {segment.members for segment in await source.segments()} == {None}
        await source.close()

    async def test_a_list_without_metadata_waits_for_the_refresh_too(self, dataverse: FakeDataverse) -> None:
        dataverse.metadata = None
        refresh = Refreshes(NOON, NOON + timedelta(hours=1))
        with pytest.raises(RefreshRunning):
            await source_of(dataverse, refresh=refresh, now=lambda: NOON).segments()

    async def test_before_and_after_a_refresh_readings_end_well(self, dataverse: FakeDataverse) -> None:
        refresh = Refreshes(NOON - timedelta(hours=1), NOON)
        rows, _ = await read(source_of(dataverse, refresh=refresh, now=lambda: NOON), ["VIP"])
        assert len(rows) == 10


class TestSegments:
    async def test_names_come_from_the_metadata_without_deleted_ones_and_history(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = [
            segment("VIP"),
            segment("Old", msdyn_isdeleted=True),
            segment("Draft", msdyn_ishistoryentry=True),
            segment("Sleeping", statecode=1),
            segment("客戶"),
            {"msdyn_name": None},
        ]
        assert await source.segments() == [Segment(name) for name in ("Sleeping", "VIP", "客戶")]
        assert dataverse.asked(MEMBERSHIPS) == []

    async def test_titles_come_from_payloads_of_whatever_form(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        payloads = {
            "VIP": '{"friendlyName":" Very  important "}',
            "News": '{"v":3,"d":{"DisplayName":"Newsletter readers"}}',
            "Empty": '{"friendlyName":"Empty"}',
            "Broken": '{"friendlyName": ',
            "Nameless": '{"friendlyName":7,"d":[{"displayName":"x"}]}',
            "None": None,
        }
        dataverse.metadata = [segment(name, mscipriv_payload1=text) for name, text in payloads.items()]
        titles = {each.name: each.title for each in await source.segments()}
        assert titles == dict.fromkeys(payloads, "") | {"VIP": "Very important", "News": "Newsletter readers"}

    async def test_where_there_is_no_payload_names_have_to_do(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        message = "Could not find a property named 'mscipriv_payload1' on type 'x'"
        dataverse.trouble(error(400, "0x0", message), at=METADATA)
        assert [each.name for each in await source.segments()] == ["Empty", "News", "VIP"]

    async def test_counts_are_kept_with_the_time_of_counting(self, dataverse: FakeDataverse) -> None:
        time = [NOON]
        source = source_of(dataverse, now=lambda: time[0])
        assert await source.count("VIP") == 10
        time[0] += timedelta(hours=1)
        await read(source, ["News"])
        assert await source.segments() == [
            Segment("Empty"),
            Segment("News", 35, NOON + timedelta(hours=1)),
            Segment("VIP", 10, NOON),
        ]

    @pytest.mark.parametrize("reply", [404, 403, 501, 400])
    async def test_where_the_metadata_can_not_be_read_the_memberships_name_them_and_are_counted(
        self, source: DataverseSource, dataverse: FakeDataverse, reply: int
    ) -> None:
        dataverse.trouble(*[error(reply)] * 6, at=METADATA)
        found = await source.segments()
        assert [(each.name, each.members) for each in found] == [("News", 35), ("VIP", 10)]
        assert len(dataverse.asked(MEMBERSHIPS)) == 1
        assert await source.segments() == found
        assert len(dataverse.asked(MEMBERSHIPS)) == 1

    async def test_metadata_without_a_column_that_we_ask_for_is_no_metadata(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        message = "Could not find a property named 'msdyn_isdeleted' on type 'x'"
        dataverse.trouble(*[error(400, "0x0", message)] * 2, at=METADATA)
        assert [each.name for each in await source.segments()] == ["News", "VIP"]

    async def test_many_who_ask_for_segments_at_once_cause_one_scan(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.metadata = None
        await asyncio.gather(*(source.segments() for _ in range(4)))
        assert len(dataverse.asked(MEMBERSHIPS)) == 1

    async def test_looking_at_the_list_has_members_counted_for_the_next_look(self, dataverse: FakeDataverse) -> None:
        source = source_of(dataverse, now=lambda: NOON)
        assert {segment.members for segment in await source.segments()} == {None}
        await until_counted()
        assert await source.segments() == [
            Segment("Empty"),
            Segment("News", 35, NOON),
            Segment("VIP", 10, NOON),
        ]
        assert len(dataverse.asked(MEMBERSHIPS)) == 1

    async def test_old_counts_are_shown_with_their_age_and_renewed(self, dataverse: FakeDataverse) -> None:
        time = [NOON]
        source = source_of(dataverse, now=lambda: time[0])
        await source.recount()
        dataverse.memberships += [membership(n, "VIP") for n in range(50, 55)]
        time[0] += COUNTS_LAST
        assert Segment("VIP", 10, NOON) in await source.segments()
        await until_counted()
        assert Segment("VIP", 15, NOON + COUNTS_LAST) in await source.segments()

    @pytest.mark.parametrize("status", [403, 404])
    async def test_a_count_in_the_background_that_fails_bothers_nobody(
        self, source: DataverseSource, dataverse: FakeDataverse, status: int
    ) -> None:
        dataverse.trouble(error(status), at=MEMBERSHIPS)
        await source.segments()
        await until_counted()
        assert {segment.members for segment in await source.segments()} == {None}

    async def test_a_count_that_failed_is_tried_again_after_some_minutes(self, dataverse: FakeDataverse) -> None:
        time = [NOON]
        source = source_of(dataverse, now=lambda: time[0])
        dataverse.trouble(error(403), at=MEMBERSHIPS)
        for _ in range(3):
            await source.segments()
            await until_counted()
        assert len(dataverse.asked(MEMBERSHIPS)) == 1
        time[0] += COUNT_AGAIN
        await source.segments()
        await until_counted()
        assert Segment("VIP", 10, time[0]) in await source.segments()

    async def test_closing_ends_a_count_in_the_background(self, dataverse: FakeDataverse) -> None:
        tasks = asyncio.all_tasks()
        source = source_of(dataverse)
        await source.segments()
        await source.close()
        assert not asyncio.all_tasks() - tasks

    async def test_a_recount_counts_everything_anew(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        await source.recount()
        dataverse.memberships += [membership(n, "VIP") for n in range(50, 55)]
        await source.recount()
        assert {each.name: each.members for each in await source.segments()} == {"Empty": None, "News": 35, "VIP": 15}

    async def test_counting_a_missing_segment_raises_as_reading_does(self, source: DataverseSource) -> None:
        with pytest.raises(SegmentMissing):
            await source.count("Newss")

    async def test_counting_has_no_limit(self, dataverse: FakeDataverse) -> None:
        assert await source_of(dataverse, most_members=3).count("VIP") == 10


class TestFieldsSamplesCheck:
    async def test_fields_are_what_unification_made(self, source: DataverseSource) -> None:
        assert {field.name: field.type for field in await source.fields()} == {
            "msdynci_email": "text",
            "msdynci_city": "text",
            "msdynci_notes": "text",
            "msdynci_points": "number",
            "msdynci_spent": "number",
            "msdynci_optin": "boolean",
            "msdynci_birthdate": "date",
        }

    async def test_a_sample_is_the_first_value_that_is_there(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.profiles[0] |= {"msdynci_email": "   ", "msdynci_optin": False}
        sample = await source.sample(
            ["msdynci_email", "msdynci_city", "msdynci_points", "msdynci_optin", "msdynci_notes"]
        )
        assert sample == {
            "msdynci_email": "person1@example.com",
            "msdynci_city": "Wien",
            "msdynci_points": "0",
            "msdynci_optin": "false",
            "msdynci_notes": None,
        }
        with pytest.raises(FieldMissing, match="msdynci_gone"):
            await source.sample(["msdynci_gone"])

    async def test_for_a_missing_field_the_one_that_may_be_meant_is_named(self, source: DataverseSource) -> None:
        with pytest.raises(FieldMissing, match=r"no field named msdynci_emial any more\. Did you mean msdynci_email\?"):
            await source.sample(["msdynci_emial"])
        with pytest.raises(FieldMissing, match=r"named Nowhere any more\. Nothing was sent"):
            await source.sample(["Nowhere"])

    async def test_a_check_asks_who_we_are_and_reads_a_row_of_each_table(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        await source.check()
        assert dataverse.paths() == ["WhoAmI", PROFILES, MEMBERSHIPS, ATTRIBUTES]
        assert all("$top=1" in dataverse.asked(table)[0] for table in (PROFILES, MEMBERSHIPS))

    @pytest.mark.parametrize("table", [PROFILES, MEMBERSHIPS])
    async def test_a_check_finds_a_missing_role_and_a_missing_table(
        self, source: DataverseSource, dataverse: FakeDataverse, table: str
    ) -> None:
        dataverse.trouble(error(403, "0x80040220"), error(404, "0x8006088a"), at=table)
        with pytest.raises(RoleMissing, match=table):
            await source.check()
        with pytest.raises(DataSharingOff, match=table):
            await source.check()

    async def test_a_check_finds_that_columns_may_not_be_looked_up(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(403, "0x80040220", "missing prvReadAttribute"), at=ATTRIBUTES)
        with pytest.raises(RoleMissing, match="prvReadAttribute"):
            await source.check()

    async def test_a_wide_tables_samples_are_asked_for_in_addresses_that_are_not_too_long(
        self, dataverse: FakeDataverse
    ) -> None:
        names = [f"msdynci_{'x' * 110}{number}" for number in range(400)]
        dataverse.types |= dict.fromkeys(names, "String")
        dataverse.profiles[0] |= dict.fromkeys(names, "here")
        sample = await source_of(dataverse).sample(names)
        assert sample == dict.fromkeys(names, "here")
        assert max(len(str(request.url)) for request in dataverse.requests) < MAX_URL

    async def test_an_address_where_something_else_answers_is_told_from_data_that_is_not_shared(
        self, source: DataverseSource, dataverse: FakeDataverse
    ) -> None:
        for reply in (error(404), httpx.Response(302), httpx.Response(405)):
            dataverse.trouble(reply, at="WhoAmI")
            with pytest.raises(NotDataverse, match="is not Dataverse"):
                await source.check()
        dataverse.trouble(*[httpx.Response(200, text="<html>Welcome</html>")] * CHECK_TRIES, at="WhoAmI")
        with pytest.raises(NotDataverse, match="can't be read"):
            await source.check()

    async def test_a_check_does_not_let_somebody_wait_for_long(self, dataverse: FakeDataverse) -> None:
        dataverse.trouble(*[error(503)] * CHECK_TRIES, at="WhoAmI")
        with pytest.raises(Unavailable):
            await source_of(dataverse).check()
        assert dataverse.paths() == ["WhoAmI"] * CHECK_TRIES

    async def test_it_is_known_by_its_host(self, source: DataverseSource) -> None:
        assert (source.kind, source.label) == ("dataverse", "contoso.crm4.dynamics.com")

    async def test_an_outage_is_no_empty_segment(self, source: DataverseSource, dataverse: FakeDataverse) -> None:
        dataverse.trouble(*[error(503)] * 5, at=MEMBERSHIPS)
        with pytest.raises(Unavailable):
            await read(source, ["VIP"])
        dataverse.page_rows = (7,)
        dataverse.trouble(*[error(400)] * 4, at="skiptoken")
        with pytest.raises(Interrupted):
            await read(source, ["News"])
