"""The controls under `/_emulator`: for tests, demos and a person in a browser. No faults, no limits, no key.

GET  contacts             all contacts as stored, one JSON object a line, with the history of their status; `?brand=`
                          (a name), `?q=` (text in address, names or properties), `?limit=&offset=`, `?format=json`
POST contacts/delete      {"email", "brand"?}: as if deleted by hand in the app
GET  segments             every segment with its rule and its true count
GET  batches              every batch, the vanished ones too, with the fault that struck it
POST batches/release      {"batchID"?}: let stuck batches go on
GET  requests             what was asked of the API; `?since=` (an index)
GET  stats                counts, and requests per minute
GET|POST assume           the switches; POST turns some: {"pots": "per-endpoint"}
GET|POST faults           the faults; POST replaces all: {"faults": [{"kind", "rate", "times"?, "method"?, "path"?,
                          "code"?}]}
GET|POST keys             the keys; POST adds or restores one: {"key"?, "brand"?, "scopes"?, "revoke_after"?}
POST keys/revoke          {"key"?}: the default key if none is named
POST versions/retire      {"version"}: it answers 410 from now on
GET|POST clock            the virtual time; POST {"advance_seconds"} moves it
POST reset                back to how the emulator was started; the default key stays the same
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import orjson
from aiohttp import web

from bot.sandbox.omnisend.answers import json_response
from bot.sandbox.omnisend.assumptions import TABLE, UnknownAssumption
from bot.sandbox.omnisend.faults import MEANINGS, BadFault, fault_from_json
from bot.sandbox.omnisend.formats import instant_text, seconds_text
from bot.sandbox.omnisend.store import Record
from bot.sandbox.omnisend.world import DEFAULT_BRAND, SCOPES, Brand, Key, World

CONTROL = "/_emulator"
CHUNK = 500  # contacts encoded between two turns of the event loop

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadControl(ValueError):
    """A control request that makes no sense; the message says why."""


def control_routes(world: World) -> list[web.RouteDef]:
    """The routes of the controls of one emulator."""
    control = Control(world)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/contacts", control.contacts),
        ("POST", "/contacts/delete", control.delete_contact),
        ("GET", "/segments", control.segments),
        ("GET", "/batches", control.batches),
        ("POST", "/batches/release", control.release),
        ("GET", "/requests", control.requests),
        ("GET", "/stats", control.stats),
        ("GET", "/assume", control.assumptions),
        ("POST", "/assume", control.assume),
        ("GET", "/faults", control.faults),
        ("POST", "/faults", control.set_faults),
        ("GET", "/keys", control.keys),
        ("POST", "/keys", control.add_key),
        ("POST", "/keys/revoke", control.revoke),
        ("POST", "/versions/retire", control.retire),
        ("GET", "/clock", control.clock),
        ("POST", "/clock", control.advance),
        ("POST", "/reset", control.reset),
    ]
    return [web.route(method, CONTROL + path, _answering(handler)) for method, path, handler in routes]


def _answering(handler: Handler) -> Handler:
    """Turn what is wrong with a control request into 400 with a plain text."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (BadControl, BadFault, UnknownAssumption) as error:
            return json_response({"error": str(error)}, 400)

    return handle


class Control:
    """One method a route; see the list at the head of this module."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def contacts(self, request: web.Request) -> web.StreamResponse:
        self._world.catch_up()
        brands, wanted = self._brands(request), request.query.get("q", "").casefold()
        offset, limit = _number(request, "offset", 0), _number(request, "limit", None)
        page = islice(_find(brands, wanted), offset, None if limit is None else offset + limit)
        if request.query.get("format") != "json":
            return await _stream(request, page)
        return json_response(
            {"total": _count(brands, wanted), "contacts": [_stored(brand, text) for brand, text in page]}
        )

    async def delete_contact(self, request: web.Request) -> web.Response:
        body = await _body(request)
        self._world.catch_up()
        store = self._brand(body.get("brand", DEFAULT_BRAND)).contacts.store
        number = store.number_of_email(str(body.get("email")))
        if number is None:
            raise BadControl(f"There is no contact {body.get('email')!r}.")
        store.delete(number)
        return json_response({"deleted": body["email"]})

    async def segments(self, request: web.Request) -> web.Response:
        now = self._world.catch_up()
        return json_response(
            {
                "segments": [
                    brand.segments.as_json(segment, now)
                    | {"brand": brand.name, "members": brand.segments.count(segment, now)}
                    for brand in self._brands(request)
                    for segment in brand.segments.all()
                ]
            }
        )

    async def batches(self, request: web.Request) -> web.Response:
        self._world.catch_up()
        return json_response(
            {
                "batches": [
                    brand.batches.as_json(batch) | {"brand": brand.name, "fault": batch.fault}
                    for brand in self._brands(request)
                    for batch in brand.batches.all()
                ]
            }
        )

    async def release(self, request: web.Request) -> web.Response:
        wanted = (await _body(request)).get("batchID")
        now = self._world.catch_up()
        released = [
            batch.id
            for brand in self._world.brands.values()
            for batch in brand.batches.all()
            if wanted in (None, batch.id) and brand.batches.release(batch, now)
        ]
        return json_response({"released": released})

    async def requests(self, request: web.Request) -> web.Response:
        log = self._world.log
        since = _number(request, "since", 0)
        return json_response({"total": len(log), "requests": [entry._asdict() for entry in log[since:]]})

    async def stats(self, request: web.Request) -> web.Response:
        world = self._world
        now = world.catch_up()
        return json_response(
            {
                "time": seconds_text(now),
                "requests": len(world.log),
                "requests_by_status": Counter(str(entry.status) for entry in world.log),
                "faults": world.faults.fired,
                "brands": [_brand_stats(brand, now) for brand in self._brands(request)],
            }
        )

    async def assumptions(self, request: web.Request) -> web.Response:
        switches = {
            name: {"values": switch.values, "meaning": switch.meaning, "now": self._world.assume[name]}
            for name, switch in TABLE.items()
        }
        return json_response({"switches": switches, "batch_delay_seconds": self._world.assume.batch_delay})

    async def assume(self, request: web.Request) -> web.Response:
        body = await _body(request)
        self._world.catch_up()  # what was due before still runs under the switches of then
        self._world.assume.set(body)
        return json_response(self._world.assume.as_dict())

    async def faults(self, request: web.Request) -> web.Response:
        faults = self._world.faults
        return json_response(
            {
                "faults": [asdict(fault) for fault in faults.in_force()],
                "fired": faults.fired,
                "kinds": MEANINGS,
            }
        )

    async def set_faults(self, request: web.Request) -> web.Response:
        body = await _body(request)
        wanted = body.get("faults")
        if not isinstance(wanted, list):
            raise BadControl('Give {"faults": [...]}; an empty list clears them.')
        self._world.catch_up()  # what was due before still runs under the faults of then
        self._world.faults.set([fault_from_json(entry) for entry in wanted])
        return await self.faults(request)

    async def keys(self, request: web.Request) -> web.Response:
        return json_response({"keys": [_key(key) for key in self._world.keys.values()]})

    async def add_key(self, request: web.Request) -> web.Response:
        body = await _body(request)
        scopes = frozenset(body.get("scopes", SCOPES))
        if scopes - SCOPES:
            raise BadControl(f"Unknown scopes: {', '.join(sorted(scopes - SCOPES))}.")
        key = self._world.add_key(
            body.get("key"),
            brand=body.get("brand", DEFAULT_BRAND),
            scopes=scopes,
            requests_left=body.get("revoke_after"),
        )
        return json_response(_key(key))

    async def revoke(self, request: web.Request) -> web.Response:
        secret = (await _body(request)).get("key", self._world.default_key.secret)
        if secret not in self._world.keys:
            raise BadControl("There is no such key.")
        self._world.keys[secret].revoked = True
        return json_response(_key(self._world.keys[secret]))

    async def retire(self, request: web.Request) -> web.Response:
        self._world.retired.add(str((await _body(request)).get("version")))
        return json_response({"retired": sorted(self._world.retired)})

    async def clock(self, request: web.Request) -> web.Response:
        now = self._world.catch_up()
        return json_response({"now": now, "time": instant_text(int(now * 1000)), "scale": self._world.clock.scale})

    async def advance(self, request: web.Request) -> web.Response:
        seconds = (await _body(request)).get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise BadControl("advance_seconds must be a number from 0 up.")
        self._world.clock.advance(seconds)
        return await self.clock(request)

    async def reset(self, request: web.Request) -> web.Response:
        self._world.reset()
        return json_response({"key": self._world.default_key.secret})

    def _brands(self, request: web.Request) -> list[Brand]:
        if "brand" in request.query:
            return [self._brand(request.query["brand"])]
        return list(self._world.brands.values())

    def _brand(self, name: str) -> Brand:
        if name not in self._world.brands:
            raise BadControl(f"There is no brand {name!r}. Brands: {', '.join(self._world.brands)}.")
        return self._world.brands[name]


def _find(brands: list[Brand], wanted: str) -> Iterator[tuple[Brand, bytes]]:
    """Stored texts that hold `wanted` (case-folded; empty for all), brand by brand in order of creation."""
    for brand in brands:
        store = brand.contacts.store
        for number in store.walk_created(None, forward=True):
            text = store.text(number)
            if text is not None and (not wanted or wanted in _searched(orjson.loads(text))):
                yield brand, text


def _count(brands: list[Brand], wanted: str) -> int:
    if not wanted:
        return sum(brand.contacts.store.count for brand in brands)
    return sum(1 for _ in _find(brands, wanted))


def _searched(record: Record) -> str:
    """What a search looks through."""
    texts = [record["email"] or "", record["phone"] or "", *record["fields"].values(), *record["tags"]]
    texts += [value for value in record["properties"].values() if isinstance(value, str)]
    return "\n".join(texts).casefold()


async def _stream(request: web.Request, found: Iterator[tuple[Brand, bytes]]) -> web.StreamResponse:
    """All contacts, a line each. Those written meanwhile may be there or not."""
    response = web.StreamResponse()
    response.content_type = "application/x-ndjson"
    await response.prepare(request)
    while lines := [orjson.dumps(_stored(brand, text)) for brand, text in islice(found, CHUNK)]:
        await response.write(b"\n".join(lines) + b"\n")
    await response.write_eof()
    return response


def _stored(brand: Brand, text: bytes) -> dict[str, Any]:
    """A contact as stored: like the API shows it, without empty parts, with the history of its statuses."""
    record: Record = orjson.loads(text)
    return {
        "id": brand.contacts.ids.of(record["n"]),
        "brand": brand.name,
        "email": record["email"],
        "phone": record["phone"],
        **record["fields"],
        "customProperties": record["properties"],
        "tags": record["tags"],
        "statusHistory": [
            {
                "channel": channel,
                "status": status,
                "statusChangedAt": instant_text(changed),
                "appliedAt": instant_text(applied),
            }
            for channel, status, changed, applied in record["history"]
        ],
        "consents": [consent | {"createdAt": instant_text(consent["createdAt"])} for consent in record["consents"]],
        "welcomeMessages": record["welcome"],
        "createdAt": instant_text(record["created"]),
        "updatedAt": instant_text(record["updated"]),
    }


def _brand_stats(brand: Brand, now: float) -> dict[str, Any]:
    batches = brand.batches.all()
    return {
        "brand": brand.name,
        "brandID": brand.id,
        "contacts": brand.contacts.store.count,
        "segments": len(brand.segments.all()),
        "batches": Counter(batch.status for batch in batches),
        "batch_faults": Counter(batch.fault for batch in batches if batch.fault),
        "items": brand.batches.items,
        "welcome_messages": brand.contacts.welcome_messages,
        "requests_per_minute": {
            "accepted_now": brand.limiter.accepted.count(now),
            "accepted_peak": brand.limiter.accepted.peak,
            "offered_now": brand.limiter.offered.count(now),
            "offered_peak": brand.limiter.offered.peak,
            "peaks": brand.limiter.peaks(),
        },
    }


def _key(key: Key) -> dict[str, Any]:
    return {
        "key": key.secret,
        "brand": key.brand.name,
        "brandID": key.brand.id,
        "scopes": sorted(key.scopes),
        "revoked": key.revoked,
        "revoke_after": key.requests_left,
    }


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise BadControl(f"The body is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadControl("The body must be a JSON object.")
    return body


def _number(request: web.Request, name: str, default: Any) -> Any:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit():
        raise BadControl(f"{name} must be a whole number from 0 up.")
    return int(text)
