"""The Dataverse source with Entra's tokens, against the emulator over TLS: what it reads is what is true there.

reference: customer-insights.md §12.4 to §12.10, §16.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.sources.base import FieldMissing, SegmentMissing
from bot.sources.dataverse import DataverseSource, TokenProvider, environment_url
from bot.sources.dataverse.client import DataverseClient, default_transport
from bot.sources.dataverse.columns import PROFILE_ID
from bot.sources.dataverse.faults import DataSharingOff, NotAMember, RoleMissing
from bot.sources.dataverse.reading import ProfileReading
from bot.sources.entra import AppIdentity, AppSecret, Registration, SignInState, UserIdentity
from bot.sources.entra.errors import SignInAgain
from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, fresh_api, running

CUSTOMERS = 3_000
FIELDS = ("msdynci_email", "msdynci_firstname", "msdynci_loyaltypoints", "msdynci_marketingoptin", "msdynci_notes")


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", str(CUSTOMERS), "--assume", "page-cap=500") as announced:
        yield announced


@pytest.fixture(autouse=True)
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


@pytest.fixture
async def source(env: Json) -> AsyncIterator[DataverseSource]:
    reading = source_of(env, app(env))
    yield reading
    await reading.close()


class MemoryStore:
    """Where the export user's tokens are kept."""

    tokens: str | None = None

    async def load(self) -> str | None:
        return self.tokens

    async def save(self, tokens: str) -> None:
        self.tokens = tokens

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


async def soon(seconds: float) -> None:
    """A pause that lets others go on and takes next to no time."""
    await asyncio.sleep(min(seconds, 0.002))


def registration(env: Json, client: str) -> Registration:
    return Registration(env["url"], env["tenant"], env[client], env["authority"], Path(env["ca"]))


def app(env: Json) -> AppIdentity:
    return AppIdentity(registration(env, "client_id"), AppSecret(env["client_secret"]), pause=soon)


def source_of(env: Json, tokens: TokenProvider, **options: Any) -> DataverseSource:
    url = environment_url(env["url"], any_host=True)
    return DataverseSource(url, tokens, **{"ca_file": Path(env["ca"]), "pause": soon, "random": Random(7), **options})


async def read(
    source: DataverseSource, segments: Sequence[str], fields: Sequence[str] = FIELDS
) -> tuple[list[Json], ProfileReading]:
    rows: list[Json] = []
    async with source.profiles(segments, fields) as stream:
        async for batch in stream:
            rows += batch.to_pylist()
    return rows, stream


async def agrees(api: Api, source: DataverseSource, *segments: str) -> ProfileReading:
    """Read the segments and compare every value with what the emulator says is true."""
    truths = [await api.truth(name) for name in segments]
    rows, stream = await read(source, segments)
    wanted = {
        id_: {**{name: found[name] for name in FIELDS}, "segments": [n for n, t in enumerate(truths) if id_ in t]}
        for truth in truths
        for id_, found in truth.items()
        if found is not None
    }
    assert {row.pop("CustomerId"): row for row in rows} == wanted
    assert len(rows) == len(wanted)
    assert stream.summary.members == {name: len(truth) for name, truth in zip(segments, truths, strict=True)}
    without = {id_ for truth in truths for id_, found in truth.items() if found is None}
    assert stream.summary.without_profile == len(without)
    return stream


class TestReading:
    @pytest.mark.parametrize(
        "segments",
        [("VIP",), ("VIP_2", "VIP"), ("BigSpenders",), ("客戶細分", "Newsletter"), ("Birthday_100pct",), ("Nobody",)],
    )
    async def test_it_reads_what_is_true(self, api: Api, source: DataverseSource, segments: tuple[str, ...]) -> None:
        await agrees(api, source, *segments)

    async def test_members_without_profile_and_broken_memberships_are_reported(
        self, api: Api, source: DataverseSource
    ) -> None:
        await api.control("changes", op="delete-profiles", segment="VIP", count=5)
        stream = await agrees(api, source, "VIP", "客戶細分")
        assert stream.summary.without_profile >= 5
        assert any("could not be read" in note for note in stream.summary.notes)

    async def test_an_inactive_segment_keeps_its_members(self, api: Api, source: DataverseSource) -> None:
        stream = await agrees(api, source, "Summer_2024")
        assert any("inactive" in note for note in stream.summary.notes)

    @pytest.mark.parametrize("form", ["array", "string", "mixed"])
    async def test_every_form_of_the_memberships_is_read(self, api: Api, source: DataverseSource, form: str) -> None:
        await api.assume(segments_form=form)
        await agrees(api, source, "VIP", "重要客戶")

    @pytest.mark.parametrize(
        "switch",
        [
            {"contains": "unsupported"},
            {"contains": "times-out"},
            {"contains_bare": False},
            {"wildcards": False},
            {"scan_rows": 200},
            {"record_count": False},
            {"metadata_table": False},
            {"metadata_payload": "broken"},
            {"table_type": "Virtual"},
        ],
        ids=str,
    )
    async def test_whatever_is_not_known_about_the_tables_it_reads_what_is_true(
        self, api: Api, source: DataverseSource, switch: dict[str, Any]
    ) -> None:
        await api.assume(**switch)
        await agrees(api, source, "VIP")

    async def test_leaving_with_a_page_on_its_way_again_and_again_uses_nothing_up(self, env: Json) -> None:
        transport = default_transport(Path(env["ca"]))
        client = DataverseClient(env["url"], app(env), transport=transport, page_rows=100)
        tasks = asyncio.all_tasks()
        for _ in range(120):  # more than the transport has connections
            async with aclosing(
                client.scan(f"{PROFILES}?$select=msdynci_customerid", [PROFILE_ID], lambda: None)
            ) as pages:
                await anext(pages)
                await asyncio.sleep(0)
        assert not asyncio.all_tasks() - tasks
        async with aclosing(client.scan(f"{PROFILES}?$select=msdynci_customerid", [PROFILE_ID], lambda: None)) as pages:
            assert sum([len(page.rows) async for page in pages]) == CUSTOMERS
        await client.close()

    async def test_only_get_is_sent_and_at_most_four_at_once(self, api: Api, source: DataverseSource) -> None:
        await source.check()
        await source.segments()
        await agrees(api, source, "BigSpenders")
        requests = (await api.look("requests"))["requests"]
        assert {request["method"] for request in requests if "/api/data/" in request["path"]} == {"GET"}
        assert (await api.look("stats"))["most_concurrent"] <= 4


class TestTrouble:
    @pytest.mark.parametrize(
        "rates",
        [
            {"429": 0.2},
            {"500": 0.04, "502": 0.03, "503": 0.03},
            {"cut": 0.04, "lying-length": 0.03, "cut-json": 0.03},
            {"short-page": 0.5, "empty-page": 0.2, "repeated-rows": 0.5, "lying-count": 0.5},
            {"429": 0.1, "500": 0.03, "cut": 0.03, "cut-json": 0.03, "short-page": 0.3, "repeated-rows": 0.3},
        ],
        ids=str,
    )
    async def test_trouble_at_random_changes_nothing_of_what_is_read(
        self, api: Api, env: Json, rates: dict[str, float]
    ) -> None:
        source = source_of(env, app(env), page_rows=100)
        await api.control("faults", rates=rates)
        await agrees(api, source, "VIP", "Newsletter")
        await source.close()

    async def test_a_good_token_refused_now_and_then_is_replaced(self, api: Api, source: DataverseSource) -> None:
        await api.control("faults", next=[{"kind": "401", "skip": skip} for skip in (0, 2, 4, 7)])
        await agrees(api, source, "VIP")
        assert (await api.look("stats"))["tokens_issued"]["client_credentials"] == 5

    @pytest.mark.parametrize("table", [MEMBERSHIPS, PROFILES])
    async def test_a_link_that_has_expired_starts_that_scan_again(
        self, api: Api, source: DataverseSource, table: str
    ) -> None:
        await api.control("faults", next=[{"kind": "expired-link", "path": table, "skip": 2}])
        await agrees(api, source, "Newsletter", "客戶細分")

    @pytest.mark.parametrize("limit", [{"request_limit": 5}, {"execution_limit_ms": 500, "row_ms": 0.5}], ids=str)
    async def test_each_limit_is_waited_out_as_told(self, api: Api, env: Json, limit: dict[str, Any]) -> None:
        async def pause(seconds: float) -> None:
            await api.control("clock", advance=seconds)

        source = source_of(env, app(env), pause=pause)
        await api.assume(**limit)
        await agrees(api, source, "VIP")
        await agrees(api, source, "Newsletter")
        assert sum((await api.look("stats"))["throttled"].values())
        await source.close()

    async def test_tokens_that_run_out_in_mid_read_are_renewed(self, api: Api, source: DataverseSource) -> None:
        async with source.profiles(["Newsletter"], FIELDS) as stream:
            await api.control("tokens", expire_access=True)
            rows = [row async for batch in stream for row in batch.to_pylist()]
        assert len(rows) == sum(found is not None for found in (await api.truth("Newsletter")).values())

    async def test_a_sign_in_that_is_revoked_in_mid_read_ends_it_with_its_reason(self, api: Api, env: Json) -> None:
        user = UserIdentity(registration(env, "device_client_id"), MemoryStore(), pause=soon)
        sign_in = await user.begin_sign_in()
        await api.control("device", user_code=sign_in.code, action="approve", user=env["people"][0])
        assert await sign_in.wait() is SignInState.SIGNED_IN
        source = source_of(env, user, page_rows=100)
        async with source.profiles(["Newsletter"], FIELDS) as stream:
            await api.control("tokens", expire_access=True, revoke_refresh=True)
            with pytest.raises(SignInAgain, match="AADSTS50173") as caught:
                [batch async for batch in stream]
        assert env["people"][0] not in str(caught.value)  # reports reach channels
        await source.close()

    @pytest.mark.parametrize("after", [0, 1])
    async def test_a_column_that_goes_is_named(self, api: Api, source: DataverseSource, after: int) -> None:
        change: Json = {"op": "remove-column", "column": "msdynci_notes"}
        await api.control("changes", **change, **({"after_pages": after, "table": MEMBERSHIPS} if after else {}))
        with pytest.raises(FieldMissing, match="msdynci_notes"):
            await read(source, ["Newsletter"])

    async def test_a_renamed_segment_is_missing_with_the_new_name(self, api: Api, source: DataverseSource) -> None:
        await api.control("changes", op="rename-segment", segment="Newsletter", to="newsLetter")
        with pytest.raises(SegmentMissing, match=r"Did you mean \*newsLetter\*"):
            await read(source, ["Newsletter"])

    async def test_a_deleted_segment_is_missing(self, api: Api, source: DataverseSource) -> None:
        await api.control("changes", op="delete-segment", segment="VIP")
        with pytest.raises(SegmentMissing):
            await read(source, ["VIP"])

    async def test_an_emptied_segment_is_empty(self, api: Api, source: DataverseSource) -> None:
        await api.control("changes", op="empty-segment", segment="VIP")
        stream = await agrees(api, source, "VIP")
        assert stream.summary.members == {"VIP": 0}

    async def test_a_missing_role_an_absent_user_and_unshared_data_are_told_apart(
        self, api: Api, source: DataverseSource
    ) -> None:
        await source.check()
        await api.control("principals", name="app", role=False)
        with pytest.raises(RoleMissing, match="prvRead"):
            await source.check()
        await api.control("principals", name="app", role=True, member=False)
        with pytest.raises(NotAMember):
            await source.check()
        await api.control("principals", name="app", member=True)
        await api.control("changes", op="share-data", on=False)
        with pytest.raises(DataSharingOff):
            await source.check()


class TestOffers:
    async def test_segments_are_those_of_the_metadata(self, env: Json, source: DataverseSource) -> None:
        assert [each.name for each in await source.segments()] == sorted(env["segments"])

    @pytest.mark.parametrize(
        ("payload", "title"), [("friendly", "Very important people"), ("unknown", ""), ("broken", "")]
    )
    async def test_titles_are_shown_where_the_payload_can_be_read(
        self, api: Api, source: DataverseSource, payload: str, title: str
    ) -> None:
        await api.assume(metadata_payload=payload)
        titles = {each.name: each.title for each in await source.segments()}
        assert (titles["VIP"], titles["重要客戶"]) == (title, "")

    async def test_without_metadata_they_are_found_and_counted_in_the_memberships(
        self, api: Api, source: DataverseSource
    ) -> None:
        await api.assume(metadata_table=False)
        found = {each.name: each.members for each in await source.segments()}
        assert found["VIP"] == len(await api.truth("VIP"))
        assert "Nobody" not in found

    async def test_a_count_is_that_of_all_members(self, api: Api, source: DataverseSource) -> None:
        assert await source.count("VIP_2") == len(await api.truth("VIP_2"))

    async def test_fields_have_types_and_samples(self, source: DataverseSource) -> None:
        fields = {field.name: field for field in await source.fields()}
        assert fields["msdynci_email"].semantic_type == "Identity.Service.Email"
        assert fields["msdynci_loyaltypoints"].type == "number"
        assert not {"createdon", "msdynci_customerid", "msdynci_customerprofileid"} & fields.keys()
        sample = await source.sample(["msdynci_email", "msdynci_previouscustomerid"])
        assert sample["msdynci_email"]
        assert sample["msdynci_previouscustomerid"] is None
