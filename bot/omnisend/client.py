"""The part of Omnisend's API that an export needs (version 2026-03-15), as methods that answer with plain data."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import orjson

from bot.omnisend.errors import NotFound, RubbishAnswer, ScopeMissing
from bot.omnisend.limiter import Limiter, Pot
from bot.omnisend.models import (
    BatchInfo,
    BatchItems,
    BatchPage,
    Brand,
    CursorPage,
    SegmentInfo,
    membership_rule,
    read_batch_id,
    read_contacts_count,
    read_email,
)
from bot.omnisend.wire import CONNECT_TIMEOUT, READ_TIMEOUT, TRIES, WHOLE_TIMEOUT, Call, Effect, Wire

BATCH_PAGE = 250  # batches a page: the most that Omnisend gives (Omnisend docs, Batches)
CONTACT_PAGE = 250  # contacts a page (Omnisend docs, Contacts)
SEGMENT_PAGE = 50  # segments a page (Omnisend docs, Segments)

T = TypeVar("T")

# Unknown addresses are passed over in silence (Omnisend docs, Contacts), and nobody's can end like this (RFC 2606).
WRITE_PROBE = {"tags": ["segment-ferry-write-check"], "emails": ["write-check@example.invalid"]}


class OmnisendClient:
    """One brand's API under one key. An async context manager. Never logs or shows the key or a body.

    Every method waits for the limiter and raises an `OmnisendError`. Reads and repeatable changes are repeated, `tries`
    times at most, when Omnisend or the way to it fails; then they raise `Unavailable` (surely not done) or
    `FateUnknown`. Any method may raise one of `errors.STOPS_RUN`. Timeouts are in seconds.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str,
        limiter: Limiter,
        transport: httpx.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        whole_timeout: float = WHOLE_TIMEOUT,
        tries: int = TRIES,
    ) -> None:
        """Raises `KeyRefused` for a key that can't be sent at all, such as one with a line break in it."""
        self._wire = Wire(
            key,
            base_url=base_url,
            limiter=limiter,
            transport=transport,
            pause=pause,
            random=random or Random(),  # noqa: S311  jitter, not a secret
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            whole_timeout=whole_timeout,
            tries=tries,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.close()

    def __repr__(self) -> str:
        return f"<OmnisendClient {self._wire.base_url}>"

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeats included."""
        return self._wire.requests

    async def brand(self) -> Brand:
        """The brand behind the key. A key that may use contacts but not read brands gets a `Brand` without id.

        Raises `KeyRefused`, or `ScopeMissing` if the key may not even read contacts.
        """
        try:
            return await self._wire.send(Call("GET", "/brands/current", Effect.NONE), Brand.read)
        except ScopeMissing:
            probe = Call("GET", "/contacts", Effect.NONE, query={"limit": 1})
            await self._wire.send(probe, partial(CursorPage.read, key="contacts", read_entry=read_email))
            return Brand(id=None)

    async def check_write(self) -> None:
        """Raise `ScopeMissing` or `KeyRefused` unless the key may write contacts. Changes nothing."""
        body = orjson.dumps(WRITE_PROBE)
        await self._wire.send(Call("POST", "/contacts/tags", Effect.NONE, body=body, pot=Pot.TAGS), _ignored)

    async def create_batch(self, body: bytes) -> str:
        """Hand in a batch (its JSON envelope, ready-made) and give its id.

        Waits out 429 and 503, where Omnisend did not take it. Raises `FateUnknown` at once for everything that leaves
        open whether it was taken (a broken connection, a timeout, any other 5xx, an unreadable success), `Unavailable`
        if it surely was not, `TooLarge`, or `Refused` with the fields that Omnisend names.
        """
        return await self._wire.send(Call("POST", "/batches", Effect.ONCE, body=body), read_batch_id)

    async def batches(self, since: date) -> AsyncIterator[list[BatchInfo]]:
        """All contact batches created on or after a day, page by page, in no promised order.

        A batch may show up twice if others are created meanwhile. The address in `next` is not followed: it says only
        that there is more, and the key goes to no address but ours.
        """
        offset = 0
        while True:
            call = Call(
                "GET",
                "/batches",
                Effect.NONE,
                query={
                    "endpoint": "contacts",
                    "dateFrom": since.isoformat(),
                    "limit": BATCH_PAGE,
                    "offset": offset,
                },
            )
            page = await self._wire.send(call, BatchPage.read)
            if page.batches:
                yield page.batches
            if not page.more:
                return
            offset += len(page.batches)

    async def batch(self, batch_id: str) -> BatchInfo:
        """How far a batch is. Raises `NotFound` for one that Omnisend does not know (any more)."""
        return await self._wire.send(Call("GET", f"/batches/{_safe(batch_id)}", Effect.NONE), BatchInfo.read)

    async def batch_items(self, batch_id: str) -> BatchItems:
        """What became of each contact of a batch. Raises `NotFound` as `batch` does."""
        return await self._wire.send(Call("GET", f"/batches/{_safe(batch_id)}/items", Effect.NONE), BatchItems.read)

    async def patch_contact(self, email: str, body: bytes) -> bool:
        """Change an existing contact; False if there is none with this email. Raises `Conflict`, `Refused`."""
        call = Call("PATCH", "/contacts", Effect.REPEATABLE, query={"email": email}, body=body)
        try:
            await self._wire.send(call, _ignored)
        except NotFound:
            return False
        return True

    async def contact_emails(self, segment_id: str) -> AsyncIterator[list[str]]:
        """The emails of a segment's members as Omnisend has them (not lower-cased), page by page."""
        async for contacts in self._pages("/contacts", "contacts", CONTACT_PAGE, read_email, segmentID=segment_id):
            emails = [email for email in contacts if email]
            if emails:
                yield emails

    async def segments(self) -> AsyncIterator[list[SegmentInfo]]:
        """All segments of the brand, page by page. Raises `ScopeMissing` without `segments.read`."""
        async for segments in self._pages("/segments", "segments", SEGMENT_PAGE, SegmentInfo.read, Pot.SEGMENTS_READ):
            yield segments

    async def create_segment(self, name: str, property_name: str) -> SegmentInfo:
        """Make a segment of the contacts whose boolean custom property is true.

        Names are not unique at Omnisend, so this is not repeated blindly: raises `FateUnknown` as `create_batch` does.
        """
        body = orjson.dumps({"name": name, "conditionGroups": membership_rule(property_name)})
        call = Call("POST", "/segments", Effect.ONCE, body=body, pot=Pot.SEGMENTS_WRITE)
        return await self._wire.send(call, SegmentInfo.read)

    async def segment_count(self, segment_id: str) -> int:
        """How many contacts Omnisend counts in a segment; may lag behind by minutes. Raises `NotFound`."""
        path = f"/segments/{_safe(segment_id)}/statistics"
        return await self._wire.send(Call("GET", path, Effect.NONE, pot=Pot.SEGMENTS_READ), read_contacts_count)

    async def _pages(
        self, path: str, key: str, limit: int, read_entry: Callable[[Any], T], pot: Pot = Pot.ALL, **filters: str
    ) -> AsyncIterator[list[T]]:
        """Pages of a list by cursor. The filters go with every page: a cursor is bound to them."""
        read: Callable[[Any], CursorPage[T]] = partial(CursorPage.read, key=key, read_entry=read_entry)
        query: dict[str, str | int] = {**filters, "limit": limit}
        while True:
            call = Call("GET", path, Effect.NONE, query=query, pot=pot)
            page = await self._wire.send(call, read)
            if page.entries:
                yield page.entries
            if page.after is None:
                return
            if page.after == query.get("after"):
                raise RubbishAnswer(call=str(call), detail="it gives the same page over and over")
            query = {**query, "after": page.after}


def _safe(identifier: str) -> str:
    """An opaque id as one part of a path."""
    return quote(identifier, safe="")


def _ignored(_: Any) -> None:
    """For answers whose status says it all."""
