"""The operations of the API, one function each (Omnisend docs, version 2026-03-15)."""

import math
from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

from bot.sandbox.omnisend.answers import json_response
from bot.sandbox.omnisend.batches import LISTED_ENDPOINTS, STATES, Batch
from bot.sandbox.omnisend.formats import DAY_MS, parse_day
from bot.sandbox.omnisend.gateway import Call, Operation
from bot.sandbox.omnisend.listing import list_contacts, list_segments, whole_number
from bot.sandbox.omnisend.problems import FieldError, invalid, not_found


def no_such_operation(call: Call) -> web.Response:
    raise not_found("Operation")


# Brands


def get_current_brand(call: Call) -> web.Response:
    call.need("brands.read")
    call.query()
    return json_response(
        {
            "brandID": call.brand.id,
            "name": call.brand.name,
            "platform": "custom",
            "website": "https://shop.example",
            "currency": "EUR",
            "timezone": "Europe/Berlin",
            "connected": True,
            "version": "",
        }
    )


# Contacts


def post_contact(call: Call) -> web.Response:
    call.need("contacts.write")
    call.query()
    body = call.body()
    text, created = call.brand.contacts.upsert(body, call.now)
    return json_response(call.contact(orjson.loads(text)), 201 if created else 200)


def get_contacts(call: Call) -> web.Response:
    call.need("contacts.read")
    return json_response(list_contacts(call.brand, call.request.query, call.now))


def get_contact(call: Call) -> web.Response:
    call.need("contacts.read")
    call.query()
    record = call.brand.contacts.store.record(_number_of_id(call))
    assert record is not None
    return json_response(call.contact(record))


def patch_contact_by_id(call: Call) -> web.Response:
    call.need("contacts.write")
    call.query()
    return _patch(call, _number_of_id(call))


def patch_contact_by_email(call: Call) -> web.Response:
    call.need("contacts.write")
    email = call.query("email").get("email")
    if not email:
        raise invalid(FieldError("email", "required", "Is required in the query"))
    number = call.brand.contacts.store.number_of_email(email)
    if number is None:
        raise not_found("Contact")
    return _patch(call, number)


def _patch(call: Call, number: int) -> web.Response:
    body = call.body()
    text = call.brand.contacts.patch(number, body, call.now)
    return json_response(call.contact(orjson.loads(text)))


def _number_of_id(call: Call) -> int:
    number = call.brand.contacts.ids.number(call.part("id"))
    if number is None or call.brand.contacts.store.text(number) is None:
        raise not_found("Contact")
    return number


# Tags


def post_tags(call: Call) -> web.Response:
    return _tags(call, add=True)


def delete_tags(call: Call) -> web.Response:
    return _tags(call, add=False)


def _tags(call: Call, *, add: bool) -> web.Response:
    call.need("contacts.write")
    call.query()
    body = call.body()
    call.brand.tags.take(body, call.now, add=add)
    return web.Response(status=202)


# Batches


def post_batch(call: Call) -> web.Response:
    envelope = call.body()
    call.query()
    endpoint = envelope.get("endpoint") if isinstance(envelope, dict) else None
    if isinstance(endpoint, str) and f"{endpoint}.write" in _BATCH_SCOPES:
        call.need(f"{endpoint}.write")
    batch = call.brand.batches.create(call.raw, envelope, call.now)
    return json_response({"batchID": batch.id, "totalCount": batch.total}, 201)


_BATCH_SCOPES = ("products.write", "contacts.write", "events.write", "categories.write")


def get_batches(call: Call) -> web.Response:
    query = call.query("endpoint", "limit", "offset", "status", "dateFrom", "dateTo")
    endpoint = query.get("endpoint")
    if endpoint not in LISTED_ENDPOINTS:
        code = "required" if endpoint is None else "invalid"
        raise invalid(FieldError("endpoint", code, f"Must be one of {', '.join(LISTED_ENDPOINTS)}"))
    call.need(f"{endpoint}.read")
    limit = whole_number(query, "limit", 100, 1, 250)
    offset = whole_number(query, "offset", 0, 0, 1 << 31)
    fits = _batch_filter(query, endpoint)
    batches = [batch for batch in call.brand.batches.shown(call.now) if fits(batch)]
    if call.world.assume.says("batch-order", "newest-first"):
        batches.reverse()

    def page(start: int) -> str:
        return str(call.request.url.update_query(limit=limit, offset=start))

    return json_response(
        {
            "batches": [call.brand.batches.as_json(batch) for batch in batches[offset : offset + limit]],
            "paging": {
                "limit": limit,
                "offset": offset,
                "next": page(offset + limit) if offset + limit < len(batches) else None,
                "previous": page(max(0, offset - limit)) if offset else None,
            },
        }
    )


def _batch_filter(query: Mapping[str, str], endpoint: str) -> Callable[[Batch], bool]:
    status = query.get("status")
    if status is not None and status not in STATES:
        raise invalid(FieldError("status", "invalid", f"Must be one of {', '.join(STATES)}"))
    days: dict[str, float] = {"dateFrom": -math.inf, "dateTo": math.inf}
    for name, shift in (("dateFrom", 0), ("dateTo", DAY_MS)):
        if name in query:
            try:
                days[name] = (parse_day(query[name]) + shift) / 1000
            except ValueError:
                raise invalid(FieldError(name, "invalid_format", "Must be yyyy-mm-dd")) from None

    def fits(batch: Batch) -> bool:
        return (
            batch.endpoint == endpoint
            and (status is None or batch.status == status)
            and days["dateFrom"] <= batch.created < days["dateTo"]
        )

    return fits


def get_batch(call: Call) -> web.Response:
    call.query()
    batch = _readable_batch(call)
    return json_response(call.brand.batches.as_json(batch))


def get_batch_items(call: Call) -> web.Response:
    call.query()
    batch = _readable_batch(call)
    return json_response(call.brand.batches.items_as_json(batch, call.brand.segments_of(call.now)))


def _readable_batch(call: Call) -> Batch:
    batch = call.brand.batches.get(call.part("id"), call.now)
    call.need(f"{batch.endpoint}.read")
    return batch


# Segments


def get_segments(call: Call) -> web.Response:
    call.need("segments.read")
    return json_response(list_segments(call.brand, call.request.query, call.now))


def post_segment(call: Call) -> web.Response:
    call.need("segments.write")
    call.query()
    body = call.body()
    segment = call.brand.segments.create(body, call.now)
    return json_response(call.brand.segments.as_json(segment, call.now), 201)


def get_segment(call: Call) -> web.Response:
    call.need("segments.read")
    call.query()
    segment = call.brand.segments.get(call.part("id"))
    return json_response(call.brand.segments.as_json(segment, call.now))


def put_segment(call: Call) -> web.Response:
    call.need("segments.write")
    call.query()
    body = call.body()
    segment = call.brand.segments.replace(call.part("id"), body, call.now)
    return json_response(call.brand.segments.as_json(segment, call.now))


def delete_segment(call: Call) -> web.Response:
    call.need("segments.write")
    call.query()
    call.brand.segments.delete(call.part("id"), call.now)
    return web.Response(status=204)


def get_segment_statistics(call: Call) -> web.Response:
    call.need("segments.read")
    call.query()
    segment = call.brand.segments.get(call.part("id"))
    return json_response({"contactsCount": call.brand.segments.statistics(segment, call.now)})


OPERATIONS: tuple[tuple[str, str, Operation], ...] = (
    ("GET", "/brands/current", get_current_brand),
    ("POST", "/contacts", post_contact),
    ("GET", "/contacts", get_contacts),
    ("PATCH", "/contacts", patch_contact_by_email),
    ("POST", "/contacts/tags", post_tags),
    ("DELETE", "/contacts/tags", delete_tags),
    ("GET", "/contacts/{id}", get_contact),
    ("PATCH", "/contacts/{id}", patch_contact_by_id),
    ("POST", "/batches", post_batch),
    ("GET", "/batches", get_batches),
    ("GET", "/batches/{id}", get_batch),
    ("GET", "/batches/{id}/items", get_batch_items),
    ("GET", "/segments", get_segments),
    ("POST", "/segments", post_segment),
    ("GET", "/segments/{id}", get_segment),
    ("PUT", "/segments/{id}", put_segment),
    ("DELETE", "/segments/{id}", delete_segment),
    ("GET", "/segments/{id}/statistics", get_segment_statistics),
)
