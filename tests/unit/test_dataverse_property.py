"""Whatever the page sizes, the trouble and the throttling: the stream is exactly the members' profiles, once each.

reference: customer-insights.md §12.4 to §12.9; issue 4, Done when.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.sources.dataverse.client import RESTARTS
from tests.unit.dataverse_world import (
    FakeDataverse,
    Reply,
    Tokens,
    customer,
    error,
    ids,
    profile,
    read,
    segment,
    source_of,
)

NAMES = ("VIP", "VIP_2", "VIPx2", "vip", "客戶", "a.b-c d")
BROKEN = (None, "", '{"Segments":["VIP"', "VIP", '{"Segments":null}')
LONGEST_RUN = 4  # failures of one link in a row: a fifth would be the end

Json = dict[str, Any]

Forms: Sequence[Callable[[list[str]], str]] = (
    lambda names: orjson.dumps({"Segments": names}).decode(),
    lambda names: orjson.dumps(names).decode(),
    lambda names: orjson.dumps(orjson.dumps({"Segments": names}).decode()).decode(),
    lambda names: (
        '{"V":2,"Segments":' + orjson.dumps(names).decode().encode("ascii", "backslashreplace").decode() + "}"
    ),
)

FAILURES: dict[str, Callable[[], Reply]] = {
    "429": lambda: error(429, "0x80072322", Retry_After="3"),
    "429 without a time": lambda: error(429, "0x80072321"),
    "500": lambda: error(500, "0x80040216"),
    "502": lambda: httpx.Response(502, text="<html></html>"),
    "503": lambda: httpx.Response(503, headers={"retry-after": "2"}),
    "timeout": lambda: httpx.ReadTimeout("slow"),
    "reset": lambda: httpx.ReadError("reset"),
    "cut": lambda: httpx.Response(200, content=b'{"value":[{"msdynci_customerid":"'),
    "html": lambda: httpx.Response(200, text="<html></html>"),
}


@dataclass
class TroubledDataverse(FakeDataverse):
    """Each new link meets the next of `plans`, from its first failure to its last, and is answered after that."""

    plans: Sequence[Sequence[str]] = ((),)
    refused_links: int = 0  # how many links of next pages are refused once
    expiring: int = 0  # after how many requests the token is no longer good, again and again; 0: never
    _open: dict[bytes, list[str]] = field(default_factory=dict)
    _refused: set[bytes] = field(default_factory=set)
    _tokens: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def _reply(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"]
        self._tokens[token] += 1
        if self.expiring and self._tokens[token] > self.expiring:
            return error(401)
        target = request.url.raw_path
        if b"skiptoken" in target and len(self._refused) < self.refused_links and target not in self._refused:
            self._refused.add(target)
            return error(400, "0x80060888", "The skip token has expired.")
        failures = self._open.setdefault(target, list(self.plans[len(self._open) % len(self.plans)]))
        if failures:
            reply = FAILURES[failures.pop(0)]()
            if isinstance(reply, Exception):
                raise reply
            return reply
        return super()._reply(request)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[TroubledDataverse, list[str], dict[str, tuple[str, list[int]]]]:
    """A Dataverse, the segments to read, and what should come: customer id → email and segments."""
    people = draw(st.integers(0, 30))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 34),  # some have no profile
                st.lists(st.sampled_from(NAMES), unique=True),
                st.sampled_from(Forms),
            ),
            max_size=60,
        )
    )
    asked = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    memberships: list[Json] = [
        {"msdynci_customerid": customer(number), "msdynci_segments": form(names)} for number, names, form in rows
    ]
    for text in draw(st.lists(st.sampled_from(BROKEN), max_size=3)):
        memberships.insert(0, {"msdynci_customerid": customer(1), "msdynci_segments": text})
    profiles = [profile(number) for number in range(people)]
    again = draw(st.lists(st.sampled_from(profiles), max_size=5)) if profiles else []

    wanted: dict[str, tuple[str, list[int]]] = {}
    for row in profiles:
        id_ = row["msdynci_customerid"]
        named = {name for number, names, _ in rows if customer(number) == id_ for name in names}
        if segments := [index for index, name in enumerate(asked) if name in named]:
            wanted[id_] = (row["msdynci_email"], segments)

    plans = st.lists(st.sampled_from(sorted(FAILURES)), max_size=LONGEST_RUN)
    dataverse = TroubledDataverse(
        profiles=[*profiles, *again],
        memberships=memberships,
        metadata=[segment(name) for name in NAMES],
        total=draw(st.sampled_from([None, people, 10_000])),
        page_rows=draw(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any)),  # 0: empty, with a link
        filters=draw(st.sampled_from(["work", "work", "unsupported", "slow", "find-nothing"])),
        plans=draw(st.lists(plans, min_size=1, max_size=6)),
        refused_links=draw(st.integers(0, RESTARTS)),
        expiring=draw(st.sampled_from([0, 0, 3, 10])),
    )
    return dataverse, asked, wanted


@given(world=worlds())
@settings(max_examples=200, deadline=None)
def test_the_stream_is_exactly_the_members_profiles_once_each(
    world: tuple[TroubledDataverse, list[str], dict[str, tuple[str, list[int]]]],
) -> None:
    dataverse, asked, wanted = world
    rows, stream = asyncio.run(read(source_of(dataverse, Tokens()), asked))
    assert {row["CustomerId"]: (row["msdynci_email"], row["segments"]) for row in rows} == wanted
    assert len(set(ids(rows))) == len(rows)
    in_profiles = {row["msdynci_customerid"] for row in dataverse.profiles}
    assert stream.summary.without_profile == len(_members(dataverse, asked) - in_profiles)
    assert stream.summary.members == {name: len(_members(dataverse, [name])) for name in asked}


def _members(dataverse: FakeDataverse, names: Sequence[str]) -> set[str]:
    """Who is in one of these segments, by the whole table."""
    found = set()
    for row in dataverse.memberships:
        text = row["msdynci_segments"]
        if text in BROKEN:
            continue
        value = orjson.loads(text)
        value = orjson.loads(value) if isinstance(value, str) else value
        named = value["Segments"] if isinstance(value, dict) else value
        if set(named) & set(names):
            found.add(row["msdynci_customerid"])
    return found
