"""A Dataverse in memory behind httpx's mock transport, its trouble, and a clock that nobody has to wait for.

It knows as much of OData as the source uses, written from the reference and not from the emulator.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httpx
import orjson

from bot.sources.dataverse import DataverseSource
from bot.sources.dataverse.reading import ProfileReading

HOST = "contoso.crm4.dynamics.com"
URL = f"https://{HOST}"
ROOT = f"{URL}/api/data/v9.2/"

PROFILES = "msdynci_customerprofiles"
MEMBERSHIPS = "msdynci_segmentmemberships"
METADATA = "mscipriv_segmentmetadatas"
ATTRIBUTES = "EntityDefinitions(LogicalName='msdynci_customerprofile')/Attributes"
TOTAL = "RetrieveTotalRecordCount(EntityNames=@p1)"

TYPES = {
    "msdynci_customerprofileid": "Uniqueidentifier",
    "msdynci_customerid": "String",
    "msdynci_email": "String",
    "msdynci_city": "String",
    "msdynci_notes": "Memo",
    "msdynci_points": "Integer",
    "msdynci_spent": "Decimal",
    "msdynci_optin": "Boolean",
    "msdynci_birthdate": "DateTime",
    "msdynci_owner": "Lookup",
    "createdon": "DateTime",
    "versionnumber": "BigInt",
    "ownerid": "Owner",
}

Json = dict[str, Any]
Reply = httpx.Response | Exception
Trouble = Callable[[httpx.Request], Reply]


class Clockwork:
    """Time that passes when somebody pauses."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class Tokens:
    """A token provider that counts."""

    def __init__(self) -> None:
        self.refreshed = 0

    async def token(self) -> str:
        return f"token-{self.refreshed}"

    async def refresh(self) -> str:
        self.refreshed += 1
        return await self.token()


@dataclass
class FakeDataverse:
    """Tables, and how they are handed out. `page_rows`: sizes of the next pages, over and over."""

    profiles: list[Json] = field(default_factory=list)
    memberships: list[Json] = field(default_factory=list)
    metadata: list[Json] | None = None
    types: dict[str, str] = field(default_factory=lambda: dict(TYPES))
    total: int | None = None
    page_rows: Sequence[int] = (5_000,)
    filters: str = "work"  # or: unsupported, slow, find-nothing
    token: str | None = None  # the only one that is good; None: any
    headers: dict[str, str] = field(default_factory=dict)
    troubles: list[tuple[str, Trouble]] = field(default_factory=list)  # for the next request that has this in its path
    requests: list[httpx.Request] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _pages: int = 0

    def trouble(self, *replies: Reply | Trouble, at: str = "") -> None:
        """What befalls the next requests, one after the other, whose path has `at` in it."""
        self.troubles += [(at, reply if callable(reply) else _always(reply)) for reply in replies]

    def paths(self) -> list[str]:
        return [_path(request) for request in self.requests]

    def asked(self, table: str) -> list[str]:
        """The queries that were asked of a table, decoded."""
        return [
            unquote(request.url.query.decode())
            for request, path in zip(self.requests, self.paths(), strict=True)
            if path == table
        ]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
            return self._reply(request)
        finally:
            self._at_once -= 1

    def _reply(self, request: httpx.Request) -> httpx.Response:
        where = unquote(str(request.url))
        planned = next((plan for plan in self.troubles if plan[0] in where), None)
        if planned is not None:
            self.troubles.remove(planned)
            reply = planned[1](request)
            if isinstance(reply, Exception):
                raise reply
            return reply
        if self.token is not None and request.headers["Authorization"] != f"Bearer {self.token}":
            return error(401, "0x80072560")
        reply = self._answer(_path(request), request)
        reply.headers.update(self.headers)
        return reply

    def _answer(self, path: str, request: httpx.Request) -> httpx.Response:
        match path:
            case "WhoAmI":
                return json({"UserId": "0", "OrganizationId": "0"})
            case _ if path == ATTRIBUTES:
                return json({"value": [{"LogicalName": n, "AttributeType": t} for n, t in self.types.items()]})
            case _ if path == TOTAL and self.total is not None:
                return json({"EntityRecordCountCollection": {"Keys": ["x"], "Values": [self.total]}})
            case _ if path == TOTAL:
                return error(501, "0x80060888")
            case _ if path == PROFILES:
                return self._page(request, self.profiles)
            case _ if path == MEMBERSHIPS:
                return self._page(request, self.memberships)
            case _ if path == METADATA and self.metadata is not None:
                return self._page(request, self.metadata)
        return error(404, "0x8006088a", f"Resource not found for the segment '{path}'.")

    def _page(self, request: httpx.Request, table: list[Json]) -> httpx.Response:
        query = _options(request)
        start = int(query.pop("$skiptoken", "<0,' x>").strip("<>").partition(",")[0])
        rows = table
        if "$filter" in query:
            if self.filters == "unsupported":
                return error(501, "0x80060888")
            if self.filters == "slow":
                return error(500, "0x80044151")
            rows = [] if self.filters == "find-nothing" else [row for row in table if _matches(row, query["$filter"])]
        size = self.page_rows[self._pages % len(self.page_rows)]
        self._pages += 1
        page: Json = {"@odata.context": "x", "value": [_selected(row, query) for row in rows[start : start + size]]}
        if start + size < len(rows):
            page["@odata.nextLink"] = link(request, start + size, "" if size else str(self._pages))
        return json(page)


def link(request: httpx.Request, start: int, mark: str = "") -> str:
    """The same query with a token that has to come back byte for byte. `mark` tells it from one with the same start."""
    first = str(request.url).partition("&$skiptoken=")[0]
    return f"{first}&$skiptoken=%3c{start}%2C%27+x{mark}%3E"


def json(content: object, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(content), headers=headers or {})


def error(status: int, code: str = "", message: str = "", **headers: str) -> httpx.Response:
    """Dataverse's answer to what it refuses."""
    return json(
        {"error": {"code": code, "message": message}}, status, {k.replace("_", "-"): v for k, v in headers.items()}
    )


def _always(reply: Reply) -> Trouble:
    return lambda _: reply


def _path(request: httpx.Request) -> str:
    return unquote(request.url.path).removeprefix("/api/data/v9.2/")


def _options(request: httpx.Request) -> dict[str, str]:
    raw = request.url.query.decode()
    pairs = (piece.partition("=") for piece in raw.split("&") if piece)
    options = {}
    for name, _, value in pairs:
        if name == "$skiptoken":
            assert re.fullmatch(r"%3c\d+%2C%27\+x\d*%3E", value), f"the link came back changed: {value}"
        options[name] = unquote(value)
    return options


def _selected(row: Json, query: dict[str, str]) -> Json:
    names = query["$select"].split(",")
    return {"@odata.etag": 'W/"1"', **{name: row.get(name) for name in names}}


def _matches(row: Json, condition: str) -> bool:
    """One of the `or` terms fits: `contains` without regard to case and with `_` for any character, or `eq`."""
    ids, patterns = _terms(condition)
    text = row.get("msdynci_segments") or ""
    return row.get("msdynci_customerid") in ids or any(pattern.search(text) for pattern in patterns)


@lru_cache(8)
def _terms(condition: str) -> tuple[frozenset[str], list[re.Pattern[str]]]:
    ids = re.findall(r"msdynci_customerid eq '((?:[^']|'')*)'", condition)
    needles = re.findall(r"contains\(msdynci_segments,'((?:[^']|'')*)'\)", condition)
    patterns = [
        "".join("." if letter == "_" else re.escape(letter) for letter in needle.replace("''", "'"))
        for needle in needles
    ]
    found = [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in patterns]
    return frozenset(id_.replace("''", "'") for id_ in ids), found


def customer(number: int) -> str:
    """A customer id as Customer Insights makes them."""
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"


def profile(number: int, **values: Any) -> Json:
    row = {"msdynci_customerid": customer(number), "msdynci_email": f"person{number}@example.com"}
    return row | {f"msdynci_{name}": value for name, value in values.items()}


def membership(number: int, *names: str, text: str | None = "") -> Json:
    """A row that names these segments, or has this text."""
    shown = orjson.dumps({"Segments": names}).decode() if text == "" else text
    return {"msdynci_customerid": customer(number), "msdynci_segments": shown}


def segment(name: str, **other: Any) -> Json:
    """A row of the metadata."""
    row = {"msdyn_name": name, "statecode": 0, "msdyn_isdeleted": False, "msdyn_ishistoryentry": False}
    return row | other


def source_of(dataverse: FakeDataverse, tokens: Tokens | None = None, **options: Any) -> DataverseSource:
    clockwork = Clockwork()
    return DataverseSource(
        URL,
        tokens or Tokens(),
        **{
            "transport": httpx.MockTransport(dataverse.handle),
            "pause": clockwork.pause,
            "clock": clockwork.now,
            **options,
        },
    )


async def read(
    source: DataverseSource, segments: Sequence[str], fields: Sequence[str] = ("msdynci_email",)
) -> tuple[list[Json], ProfileReading]:
    """Everything that a reading gives, row by row, and the finished reading."""
    rows: list[Json] = []
    async with source.profiles(segments, fields) as stream:
        async for batch in stream:
            rows += batch.to_pylist()
    return rows, stream


def ids(rows: Iterable[Json]) -> list[str]:
    return [row["CustomerId"] for row in rows]
