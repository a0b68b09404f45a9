"""What the source makes of each answer in the reference's table of errors, from the emulator over TLS.

The rows 405, 412 and 413, which no GET meets, are in `tests/unit/test_dataverse_client.py`.

reference: customer-insights.md §12.7, row by row.
"""

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest

from bot.sources.base import FieldMissing, SourceError
from bot.sources.dataverse import DataverseSource, client
from bot.sources.dataverse.client import TRIES
from bot.sources.dataverse.faults import DataSharingOff, RoleMissing, Throttled, TokenRefused, Unavailable
from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, fresh_api, running
from tests.system.test_dataverse_source import agrees, app, read, source_of

SEGMENT = "Newsletter"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "1000", "--assume", "page-cap=200") as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


@pytest.fixture
async def source(env: Json, api: Api) -> AsyncIterator[DataverseSource]:
    reading = source_of(env, app(env))
    yield reading
    await reading.close()


async def asked(api: Api, table: str) -> list[tuple[str, int]]:
    """Address and status of each request for a table."""
    requests = (await api.look("requests"))["requests"]
    return [(each["path"], each["status"]) for each in requests if f"/{table}?" in each["path"]]


def lasting(kind: str) -> Json:
    """This fault at every request for profiles."""
    return {"next": [{"kind": kind, "times": 999, "path": PROFILES}]}


# --- what stops a reading

STOPS: dict[str, tuple[str, Json, type[SourceError], str]] = {
    "401 for each token": ("faults", lasting("401"), TokenRefused, "though it was renewed just now"),
    "403 without the role": ("principals", {"name": "app", "role": False}, RoleMissing, "Viewer"),
    "404 without data sharing": ("changes", {"op": "share-data", "on": False}, DataSharingOff, "turn on data sharing"),
    "429 for good": ("faults", lasting("429"), Throttled, "more than 15 minutes"),
    "500 for good": ("faults", lasting("500"), Unavailable, "5 tries.*status 500"),
    "502 for good": ("faults", lasting("502"), Unavailable, "5 tries.*status 502"),
    "503 for good": ("faults", lasting("503"), Unavailable, "5 tries.*status 503"),
    "reset for good": ("faults", lasting("cut"), Unavailable, "5 tries.*Error"),
}


@pytest.mark.parametrize("name", STOPS)
async def test_it_stops_with_the_reason(api: Api, source: DataverseSource, name: str) -> None:
    control, body, kind, words = STOPS[name]
    await api.control(control, **body)
    with pytest.raises(kind, match=words):
        await read(source, [SEGMENT], ["msdynci_email"])


@pytest.mark.parametrize("code", ["0x80060888", "0x0"])
async def test_400_for_a_column_that_is_gone_names_the_field(api: Api, source: DataverseSource, code: str) -> None:
    await api.assume(unknown_column_code=code)
    await api.control("changes", op="remove-column", column="msdynci_notes", after_pages=1, table=MEMBERSHIPS)
    with pytest.raises(FieldMissing, match="no field named msdynci_notes"):
        await read(source, [SEGMENT], ["msdynci_notes"])
    assert [status for _, status in await asked(api, PROFILES)] == [400]


async def test_what_asking_again_can_not_mend_is_asked_once(api: Api, source: DataverseSource) -> None:
    await api.control("principals", name="app", readable=["msdynci_segmentmembership"])
    with pytest.raises(RoleMissing):
        await read(source, [SEGMENT], ["msdynci_email"])
    assert [status for _, status in await asked(api, PROFILES)] == [403]


# --- what a reading goes through


@pytest.mark.parametrize("kind", ["401", "429", "500", "502", "503", "cut", "lying-length", "cut-json"])
@pytest.mark.parametrize("table", [MEMBERSHIPS, PROFILES])
async def test_it_goes_on_with_the_same_link(api: Api, source: DataverseSource, kind: str, table: str) -> None:
    await api.control("faults", next=[{"kind": kind, "path": table, "skip": 2}])
    await agrees(api, source, SEGMENT)
    addresses = [address for address, _ in await asked(api, table)]
    [again] = {address for address in addresses if addresses.count(address) > 1}
    assert addresses.count(again) == 2
    assert "skiptoken" in again


async def test_it_goes_on_up_to_the_last_try(api: Api, source: DataverseSource) -> None:
    kinds = itertools.cycle(["500", "502", "503", "cut", "cut-json"])
    faults = [{"kind": next(kinds), "path": PROFILES, "skip": 2} for _ in range(TRIES - 1)]
    await api.control("faults", next=faults)
    await agrees(api, source, SEGMENT)
    addresses = [address for address, _ in await asked(api, PROFILES)]
    assert max(map(addresses.count, addresses)) == TRIES


async def test_a_request_that_is_never_answered_is_made_again(
    api: Api, source: DataverseSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_TIMEOUTS", httpx.Timeout(0.5, connect=10, pool=10).as_dict())
    await api.control("faults", next=[{"kind": "timeout", "path": PROFILES, "skip": 2}])
    await agrees(api, source, SEGMENT)


async def test_429_by_each_of_the_three_codes_is_waited_out(api: Api, source: DataverseSource) -> None:
    await api.control("faults", next=[{"kind": "429", "path": PROFILES, "times": 3}])
    await agrees(api, source, SEGMENT)
    refused = (await api.look("stats"))["throttled"]
    assert refused == dict.fromkeys(("0x80072322", "0x80072321", "0x80072326"), 1)


@pytest.mark.parametrize("contains", ["unsupported", "times-out"])
async def test_501_and_a_filter_out_of_time_fall_back_to_a_scan(
    api: Api, source: DataverseSource, contains: str
) -> None:
    await api.assume(contains=contains)
    await agrees(api, source, SEGMENT)
    queries = [address for address, status in await asked(api, MEMBERSHIPS) if status == 200]
    assert queries
    assert not [address for address in queries if "filter" in address]
