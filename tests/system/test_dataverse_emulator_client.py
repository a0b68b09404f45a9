"""Microsoft's own Python client reads the Dataverse emulator unchanged, signed in by azure-identity.

reference: customer-insights.md §12.10 (last line), §12.11; toolbox.md §8.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from azure.identity import ClientSecretCredential
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError

from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, fresh_api, running

N = 900
PROFILE, MEMBERSHIP = "msdynci_customerprofile", "msdynci_segmentmembership"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", str(N)) as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


@pytest.fixture
def client(env: Json, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataverseClient]:
    """Its only setting is where the certificate lies: it takes that from the environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", env["ca"])
    with (
        ClientSecretCredential(
            env["tenant"],
            env["client_id"],
            env["client_secret"],
            authority=env["authority"].removeprefix("https://"),
            disable_instance_discovery=True,
        ) as credential,
        DataverseClient(env["url"], credential) as dataverse,
    ):
        yield dataverse


async def pages(client: DataverseClient, table: str, **query: Any) -> list[list[Json]]:
    """All pages of a query, with the annotations that the client adds to its records left out."""

    def read() -> list[list[Json]]:
        return [[dict(record) for record in page] for page in client.records.list_pages(table, **query)]

    return await asyncio.to_thread(read)


@pytest.mark.parametrize(
    ("table", "entity_set", "columns"),
    [
        (PROFILE, PROFILES, ["msdynci_customerid", "msdynci_email", "msdynci_firstname"]),
        (MEMBERSHIP, MEMBERSHIPS, ["msdynci_customerid", "msdynci_segments"]),
    ],
)
async def test_it_pages_through_both_tables(
    api: Api, client: DataverseClient, table: str, entity_set: str, columns: list[str]
) -> None:
    expected = await api.rows(f"{entity_set}?$select={','.join(columns)}")
    found = await pages(client, table, select=columns, page_size=200)
    assert [len(page) for page in found[:-1]] == [200] * (len(found) - 1)
    assert [{name: row[name] for name in columns} for page in found for row in page] == [
        {name: row[name] for name in columns} for row in expected
    ]


async def test_it_filters_orders_and_limits(api: Api, client: DataverseClient) -> None:
    condition = "contains(msdynci_segments,'VIP') and msdynci_segmentprovider eq 'CustomerInsights'"
    found = await pages(client, MEMBERSHIP, select=["msdynci_segments"], filter=condition, page_size=30)
    expected = await api.rows_where(MEMBERSHIPS, condition, "msdynci_segments")
    assert [row["msdynci_segments"] for page in found for row in page] == [row["msdynci_segments"] for row in expected]
    top = await pages(client, PROFILE, select=["msdynci_loyaltypoints"], orderby=["msdynci_loyaltypoints desc"], top=7)
    points = [row["msdynci_loyaltypoints"] for page in top for row in page]
    assert len(points) == 7
    assert points == sorted(points, reverse=True)


async def test_it_retrieves_a_row_and_the_table(api: Api, client: DataverseClient) -> None:
    row = (await api.json(f"{PROFILES}?$select=msdynci_email&$top=1"))["value"][0]
    key = row["msdynci_customerprofileid"]
    record = await asyncio.to_thread(client.records.retrieve, PROFILE, key, select=["msdynci_email"])
    assert record is not None
    assert record["msdynci_email"] == row["msdynci_email"]
    table = await asyncio.to_thread(client.tables.get, PROFILE)
    assert table is not None
    assert table["entity_set_name"] == PROFILES


async def test_it_understands_throttling(api: Api, client: DataverseClient) -> None:
    await pages(client, PROFILE, select=["msdynci_email"], page_size=500)
    await api.assume(request_limit=1)
    with pytest.raises(HttpError) as refused:
        await pages(client, PROFILE, select=["msdynci_email"], page_size=500)
    assert refused.value.status_code == 429
    assert refused.value.is_transient
    assert refused.value.details["service_error_code"] == "0x80072322"
    assert refused.value.details["retry_after"] > 0


async def test_it_understands_a_missing_column_and_a_missing_role(api: Api, client: DataverseClient) -> None:
    with pytest.raises(HttpError) as refused:
        await pages(client, PROFILE, select=["msdynci_nothing"])
    assert (refused.value.status_code, refused.value.details["service_error_code"]) == (400, "0x80060888")
    await api.control("principals", name="app", role=False)
    with pytest.raises(HttpError, match="prvReadmsdynci_customerprofile") as refused:
        await pages(client, PROFILE, select=["msdynci_email"])
    assert (refused.value.status_code, refused.value.details["service_error_code"]) == (403, "0x80040220")


async def test_its_writes_are_refused(api: Api, client: DataverseClient) -> None:
    row = (await api.json(f"{PROFILES}?$top=1"))["value"][0]
    with pytest.raises(HttpError) as refused:
        await asyncio.to_thread(client.records.delete, PROFILE, row["msdynci_customerprofileid"])
    assert refused.value.status_code == 403
    assert (await api.look("stats"))["writes_refused"] == 1
