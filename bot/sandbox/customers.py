"""Where the customers of a demo come from, how their data changes, and what it says should be in Omnisend.

Either a folder of tables or the stand-in of Customer Insights. What should be in Omnisend is asked of the tables, or of
the stand-in's control, and never of the sources that the bot reads through.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson

from bot.omnisend.contacts import segment_property
from bot.sandbox.evolving import EvolvingFolder
from bot.sandbox.profiles import make_folder
from bot.sandbox.proof import Verdict, compare, prove, segment_names, wanted_contacts
from bot.sandbox.workspace import emulator

PROFILES = 20_000  # made up where no source is given
SEGMENTS = {"Newsletter": 0.5, "VIP": 0.1, "重要客戶": 0.02}  # parts of the customers, in the stand-in
ENTRA_TIME_SCALE = 10  # so that a code is asked for every half second, and no proof waits for a token

Contacts = list[dict[str, Any]]


class Customers(Protocol):
    """The customers of a demo. `settings`: how the bot reaches them."""

    @property
    def introduction(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, str]: ...

    @property
    def segments(self) -> Sequence[str]: ...

    async def change(self, mapping: Mapping[str, str]) -> None:
        """Some join, some leave, some have another first name. `mapping`: attribute → field."""
        ...

    async def prove(self, mapping: Mapping[str, str], contacts: Contacts) -> list[Verdict]:
        """Whether these are the contacts that should be in Omnisend, segment by segment."""
        ...


class TablesCustomers:
    """A folder of tables, made up or the user's own (which is only read)."""

    def __init__(self, original: Path, folder: Path, introduction: str) -> None:
        self.introduction = introduction
        self._original = original
        self._folder = folder
        EvolvingFolder(original, folder).begin()
        self.settings = {"FERRY_SOURCE": str(folder)}
        self.segments = segment_names(folder)

    async def change(self, mapping: Mapping[str, str]) -> None:
        field = mapping.get("firstName", mapping["email"])
        await asyncio.to_thread(EvolvingFolder(self._original, self._folder).change, field)

    async def prove(self, mapping: Mapping[str, str], contacts: Contacts) -> list[Verdict]:
        return [
            await asyncio.to_thread(prove, self._folder, name, segment_property(name), mapping, contacts)
            for name in self.segments
        ]


async def tables_customers(source: Path | None, folder: Path) -> TablesCustomers:
    introduction = "The profiles are those of your own folder, which is only read."
    if source is None:
        source = await asyncio.to_thread(make_folder, folder / "made", count=PROFILES)
        introduction = f"Made up {PROFILES:,} profiles with the usual dirt: missing, invalid and shared addresses."
    return await asyncio.to_thread(TablesCustomers, source, folder / "source", introduction)


class InsightsCustomers:
    """The stand-in of Customer Insights, seen from its control."""

    introduction = (
        f"Customer Insights is a stand-in with {PROFILES:,} profiles, reached over TLS; so is Entra's sign-in."
    )

    def __init__(self, env: Mapping[str, Any], control: httpx.AsyncClient) -> None:
        self.env = env
        self._control = control
        self.segments = list(env["segments"])
        self.settings = {
            "FERRY_SOURCE": env["url"],
            "FERRY_DATAVERSE_HOSTS": "127.0.0.1",
            "FERRY_DATAVERSE_CA": env["ca"],
            "FERRY_ENTRA_TENANT": env["tenant"],
            "FERRY_ENTRA_CLIENT_ID": env["device_client_id"],
            "FERRY_ENTRA_AUTHORITY": env["authority"],
        }

    @property
    def account(self) -> str:
        return str(self.env["people"][0])

    async def enter_code(self, code: str) -> None:
        """What a person does on the sign-in page."""
        await self._post("device", {"user_code": code, "action": "approve", "user": self.account})

    async def change(self, mapping: Mapping[str, str]) -> None:
        await self._post(
            "changes",
            [
                {"op": "join", "segment": "VIP", "count": 150, "new": True},
                {"op": "join", "segment": "Newsletter", "count": 250},
                {"op": "leave", "segment": "Newsletter", "count": 400},
                {"op": "change-emails", "segment": "重要客戶", "count": 25},
                {"op": "edit", "segment": "VIP", "count": 300, "set": {mapping["firstName"]: "Renamed"}},
                {"op": "delete-profiles", "segment": "VIP", "count": 20},
            ],
        )

    async def prove(self, mapping: Mapping[str, str], contacts: Contacts) -> list[Verdict]:
        members = {name: await self._members(name, mapping) for name in self.segments}
        rows = {customer: fields for found in members.values() for customer, fields in found.items()}
        return [
            compare(name, segment_property(name), wanted_contacts(rows, set(found), set(rows)), contacts)
            for name, found in members.items()
        ]

    async def _members(self, segment: str, mapping: Mapping[str, str]) -> dict[str, dict[str, str | None]]:
        """The members who have a profile: customer id → attribute → value."""
        answer = await self._control.get("truth", params={"segment": segment})
        answer.raise_for_status()
        rows = [orjson.loads(line) for line in answer.content.splitlines()]
        return {
            row["customer_id"]: {attribute: row["profile"].get(column) for attribute, column in mapping.items()}
            for row in rows
            if row["profile"] is not None
        }

    async def _post(self, name: str, body: object) -> None:
        (await self._control.post(name, json=body)).raise_for_status()


@asynccontextmanager
async def insights_customers() -> AsyncIterator[InsightsCustomers]:
    shares = [part for name, share in SEGMENTS.items() for part in ("--segment", f"{name}:{share}")]
    options = ("--profiles", str(PROFILES), "--time-scale", str(ENTRA_TIME_SCALE), *shares)
    async with emulator("dataverse", "--port", "0", *options) as env:
        trusted = ssl.create_default_context(cafile=env["ca"])
        base = f"{env['url']}/_emulator/"
        async with httpx.AsyncClient(base_url=base, verify=trusted, trust_env=False, timeout=60) as control:
            yield InsightsCustomers(env, control)
