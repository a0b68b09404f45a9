"""`GET /contacts` and `GET /segments`: filters, order and opaque cursors (Omnisend docs, Pagination)."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from bot.sandbox.omnisend.contact_rules import STATUSES
from bot.sandbox.omnisend.contacts import contact_response, current_status
from bot.sandbox.omnisend.formats import parse_instant
from bot.sandbox.omnisend.problems import FieldError, Problem, bad_request, invalid
from bot.sandbox.omnisend.segments import Segment
from bot.sandbox.omnisend.store import TAGGED, ContactStore, Marks, Record
from bot.sandbox.omnisend.world import Brand

CONTACT_FILTERS = ("email", "phone", "status", "segmentID", "tag", "updatedAtFrom")
PAGING = ("limit", "after", "before", "sort", "direction")

Walk = Callable[[int | None, bool], Iterator[int]]
"""`walk(start, forward)`: places after (or before) `start` in ascending (or descending) order."""


def whole_number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A number from the query; raises `Problem` 400."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise invalid(FieldError(name, "invalid", f"Must be a number from {low} to {high}"))
    return int(text)


def refuse_unknown(query: Mapping[str, str], allowed: tuple[str, ...]) -> None:
    """Unknown query parameters are reported to give 400."""
    errors = [FieldError(name, "invalid", "Unknown parameter") for name in query if name not in allowed]
    if errors:
        raise invalid(*errors)


class ListRequest:
    """The checked paging part of a list request. The cursor carries filters and order."""

    def __init__(
        self,
        query: Mapping[str, str],
        *,
        filters: tuple[str, ...],
        sorts: tuple[str, ...],
        default_limit: int,
        most: int,
    ) -> None:
        refuse_unknown(query, (*PAGING, *filters))
        self.limit = whole_number(query, "limit", default_limit, 1, most)
        if "after" in query and "before" in query:
            raise bad_request("after and before exclude each other.")
        asked = {name: query[name] for name in (*filters, "sort", "direction") if name in query}
        self.before = "before" in query
        self.start: int | None = None
        if "after" in query or "before" in query:
            carried, self.start = _open_cursor(query["before"] if self.before else query["after"])
            if any(carried.get(name) != value for name, value in asked.items()):
                raise bad_request("The filters do not match the cursor.")
            asked = carried
        if asked.get("sort", sorts[0]) not in sorts:
            raise invalid(FieldError("sort", "invalid", f"Must be one of {', '.join(sorts)}"))
        if "direction" in asked and "sort" not in asked:
            raise invalid(FieldError("direction", "invalid", "Is valid only with sort"))
        if asked.get("direction", "desc") not in ("asc", "desc"):
            raise invalid(FieldError("direction", "invalid", "Must be asc or desc"))
        self.asked = asked
        self.sort = asked.get("sort", sorts[0])
        self.ascending = asked.get("direction") == "asc"

    def page(self, walk: Walk) -> tuple[list[int], dict[str, Any]]:
        """The places on this page in the order asked for, and the `paging` object."""
        forward = self.ascending != self.before
        places = list(islice(walk(self.start, forward), self.limit + 1))
        more = len(places) > self.limit
        places = places[: self.limit]
        if self.before:
            places.reverse()
        has_after = more if not self.before else bool(places)
        has_before = more if self.before else self.start is not None and bool(places)
        cursors = {
            "after": self._cursor(places[-1]) if has_after else None,
            "before": self._cursor(places[0]) if has_before else None,
        }
        return places, {"limit": self.limit, "hasMore": has_after, "cursors": cursors}

    def _cursor(self, place: int) -> str:
        return base64.urlsafe_b64encode(orjson.dumps([self.asked, place])).decode()


def _open_cursor(text: str) -> tuple[dict[str, str], int]:
    try:
        asked, place = orjson.loads(base64.urlsafe_b64decode(text))
        return dict(asked), int(place)
    except (binascii.Error, ValueError, TypeError):
        raise bad_request("The cursor is not valid.") from None


def list_contacts(brand: Brand, query: Mapping[str, str], now: float) -> dict[str, Any]:
    """The answer to `GET /contacts`; raises `Problem` 400."""
    request = ListRequest(query, filters=CONTACT_FILTERS, sorts=("createdAt", "updatedAt"), default_limit=100, most=250)
    filters = {name: request.asked[name] for name in CONTACT_FILTERS if name in request.asked}
    _check_filters(filters)
    places, paging = request.page(_contact_walk(brand, request, filters, now))
    numbers = places if request.sort == "createdAt" else [brand.contacts.store.updated_at(place) for place in places]
    segments_of = brand.segments_of(now)
    contacts = []
    for number in numbers:
        record = brand.contacts.store.record(number)
        if record is not None:
            contacts.append(contact_response(record, brand.contacts.ids.of(number), segments_of))
    return {"contacts": contacts, "paging": paging}


def _check_filters(filters: Mapping[str, str]) -> None:
    if "tag" in filters and "status" in filters:
        raise bad_request("tag and status exclude each other.")
    if "updatedAtFrom" in filters and len(filters) > 1:
        raise bad_request("updatedAtFrom excludes all other filters.")
    if filters.get("status", STATUSES[0]) not in STATUSES:
        raise invalid(FieldError("status", "invalid", f"Must be one of {', '.join(STATUSES)}"))
    if "updatedAtFrom" in filters:
        try:
            parse_instant(filters["updatedAtFrom"])
        except ValueError:
            raise invalid(FieldError("updatedAtFrom", "invalid_format", "Must be an RFC 3339 time")) from None


def _contact_walk(brand: Brand, request: ListRequest, filters: Mapping[str, str], now: float) -> Walk:
    """Walk over the contacts that pass the filters, by the cheapest index that fits."""
    store = brand.contacts.store
    segment = _segment(brand, filters)
    marked = _marked(store, filters, segment)
    if segment is not None and now < segment.ready_at:
        return lambda start, forward: iter(())

    def passes(number: int) -> bool:
        if marked is not None:
            marks, mark = marked
            if not marks.has(number, mark):
                return False
            if len(filters) == 1:
                return True
        record = store.record(number)
        return record is not None and _passes(record, filters, segment, int(now * 1000))

    if "email" in filters or "phone" in filters:
        return _walk_one(store, request, filters, passes)

    def created(start: int | None, forward: bool) -> Iterator[int]:
        if marked is not None:
            numbers = marked[0].walk(marked[1], start, forward=forward)
        else:
            numbers = store.walk_created(start, forward=forward)
        return filter(passes, numbers) if filters else numbers

    def updated(start: int | None, forward: bool) -> Iterator[int]:
        since = parse_instant(filters["updatedAtFrom"]) if "updatedAtFrom" in filters else None
        places = store.walk_updated(start, forward=forward, since=since)
        return (place for place in places if passes(store.updated_at(place))) if filters else places

    return created if request.sort == "createdAt" else updated


def _walk_one(
    store: ContactStore, request: ListRequest, filters: Mapping[str, str], passes: Callable[[int], bool]
) -> Walk:
    """Walk over the one contact with this email or phone, or over none."""
    by_email = "email" in filters
    number = store.number_of_email(filters["email"]) if by_email else store.number_of_phone(filters["phone"])
    found = [number] if number is not None and passes(number) else []
    places = found if request.sort == "createdAt" else [store.place_of_update(number) for number in found]

    def beyond(place: int, start: int | None, forward: bool) -> bool:
        return start is None or (place > start if forward else place < start)

    return lambda start, forward: (place for place in places if beyond(place, start, forward))


def _segment(brand: Brand, filters: Mapping[str, str]) -> Segment | None:
    if "segmentID" not in filters:
        return None
    try:
        return brand.segments.get(filters["segmentID"])
    except Problem:  # GET /contacts declares no 404
        raise invalid(FieldError("segmentID", "invalid", "Unknown segment")) from None


def _marked(store: ContactStore, filters: Mapping[str, str], segment: Segment | None) -> tuple[Marks, int] | None:
    """The marks that answer one of the filters without opening a contact."""
    if segment is not None and segment.rule.mark is not None:
        return segment.rule.mark(store)
    if "tag" in filters:
        return store.tag_marks(filters["tag"]), TAGGED
    return None


def _passes(record: Record, filters: Mapping[str, str], segment: Segment | None, now_ms: int) -> bool:
    if "email" in filters and record["email"] != filters["email"]:
        return False
    if "phone" in filters and record["phone"] != filters["phone"]:
        return False
    if "tag" in filters and filters["tag"] not in record["tags"]:
        return False
    if "status" in filters:
        status = current_status(record, "email")
        if (status[1] if status else "nonSubscribed") != filters["status"]:
            return False
    if "updatedAtFrom" in filters and record["updated"] < parse_instant(filters["updatedAtFrom"]):
        return False
    return segment is None or segment.rule.covers(record, now_ms)


def list_segments(brand: Brand, query: Mapping[str, str], now: float) -> dict[str, Any]:
    """The answer to `GET /segments`; raises `Problem` 400."""
    request = ListRequest(query, filters=(), sorts=("createdAt", "name"), default_limit=10, most=50)
    segments = brand.segments.all()
    by_number = {segment.number: segment for segment in segments}
    if request.sort == "name":
        segments.sort(key=lambda segment: (segment.name, segment.number))

    def walk(start: int | None, forward: bool) -> Iterator[int]:
        numbers = [segment.number for segment in (segments if forward else reversed(segments))]
        return iter(numbers if start is None else numbers[numbers.index(start) + 1 :])

    if request.start is not None and request.start not in by_number:
        raise bad_request("The cursor is not valid any more.")
    places, paging = request.page(walk)
    return {
        "segments": [brand.segments.as_json(by_number[place], now) for place in places],
        "paging": paging,
    }
