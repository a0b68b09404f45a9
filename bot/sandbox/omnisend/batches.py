"""Batches: taken at once, worked off over virtual time (Omnisend docs, Batches)."""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import orjson

from bot.sandbox.omnisend.agenda import Agenda
from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.contact_rules import item_error
from bot.sandbox.omnisend.contacts import Contacts, contact_response
from bot.sandbox.omnisend.faults import Faults
from bot.sandbox.omnisend.formats import compact_json, hex_id, seconds_text
from bot.sandbox.omnisend.problems import FieldError, Problem, invalid, not_found
from bot.sandbox.omnisend.store import Record

ENDPOINTS = ("products", "contacts", "events", "categories")
LISTED_ENDPOINTS = ("products", "contacts", "events")
METHODS = ("POST", "PUT")
STATES = ("pending", "inProgress", "finished", "stopped")
MAX_ITEMS = 100
STOP_AFTER_ERRORS = 10  # items; the real threshold is not known
RETENTION = 7 * 86_400.0  # seconds


Success = tuple[bytes, bool]
"""An item that was carried out: the contact's stored text as it was then, and whether it was created by it.
A plain tuple of plain values, which the garbage collector need not visit: there may be millions."""

Result = Success | Problem | None
"""Of one item; None as long as it was not tried."""


@dataclass(slots=True, eq=False)
class Batch:
    """One batch. Times in virtual seconds; `body` is the request, compressed, since it is kept for a week."""

    id: str
    number: int  # in order of creation
    method: str
    endpoint: str
    origin: str
    body: bytes
    results: list[Result]  # by position in the request
    order: list[int] | None  # in which items are tried; None for the order sent
    created: float
    begin: float  # of the work
    span: float  # from there to the last item
    fault: str | None = None
    halt_at: int | None = None  # items tried when a fault strikes
    started: float | None = None
    ended: float | None = None
    status: str = "pending"
    tried: int = 0
    failed: int = 0
    items: list[bytes] | None = field(default=None, repr=False)  # only while it is worked on

    @property
    def total(self) -> int:
        """Number of items."""
        return len(self.results)

    def due(self, count: int) -> float:
        """When so many items have been tried."""
        return self.begin + self.span * count / self.total

    def sent_items(self) -> list[Any]:
        """The items as they were sent."""
        items: list[Any] = orjson.loads(zlib.decompress(self.body))["items"]
        return items


class Batches:
    """The batches of one brand."""

    def __init__(self, contacts: Contacts, assume: Assumptions, faults: Faults, agenda: Agenda, random: Random) -> None:
        self._contacts = contacts
        self._assume = assume
        self._faults = faults
        self._agenda = agenda
        self._random = random
        self._batches: dict[str, Batch] = {}
        self.items: Counter[str] = Counter()  # succeeded, failed

    def create(self, raw: bytes, envelope: Any, now: float) -> Batch:
        """Take a batch; `raw` is the body that `envelope` was decoded from. Raises `Problem` 400.

        The envelope is checked at once, the items when their turn comes.
        """
        _check_envelope(envelope)
        count = len(envelope["items"])
        delay = self._assume.batch_delay
        order = None
        if self._assume.says("execution", "shuffled"):
            order = self._random.sample(range(count), count)
            delay *= self._random.uniform(0.2, 1.8)
        batch = Batch(
            id=hex_id(self._random, now),
            number=len(self._batches),
            method=envelope["method"],
            endpoint=envelope["endpoint"],
            origin=envelope.get("origin") or "api" if self._assume.says("origin", "kept") else "api",
            body=zlib.compress(raw, 1),
            results=[None] * count,
            order=order,
            created=now,
            begin=now + delay / 2,
            span=delay / 2,
        )
        self._batches[batch.id] = batch
        self._befall(batch)
        if batch.fault != "vanished" or self._faults.chance("vanished") < 0.5:
            self._agenda.at(batch.begin, self._turn_of(batch))
        return batch

    def get(self, batch_id: str, now: float) -> Batch:
        """Raises `Problem` 404: unknown, vanished, or older than seven days."""
        batch = self._batches.get(batch_id)
        if batch is None or not _shown(batch, now):
            raise not_found("Batch")
        return batch

    def shown(self, now: float) -> Iterable[Batch]:
        """All batches that the API knows, oldest first."""
        return (batch for batch in self._batches.values() if _shown(batch, now))

    def all(self) -> list[Batch]:
        """All batches, the vanished and forgotten too."""
        return list(self._batches.values())

    def release(self, batch: Batch, now: float) -> bool:
        """Let a batch go on if it is stuck; gives whether it was."""
        if batch.fault != "stuck" or batch.status != "inProgress" or batch.tried != batch.halt_at:
            return False
        batch.halt_at = None
        batch.begin = now - batch.span * batch.tried / batch.total
        self._agenda.at(batch.due(batch.tried + 1), self._turn_of(batch))
        return True

    def as_json(self, batch: Batch) -> dict[str, Any]:
        """`Batch` of the API."""
        shown: dict[str, Any] = {
            "batchID": batch.id,
            "method": batch.method,
            "endpoint": batch.endpoint,
            "eventID": "",
            "origin": batch.origin,
            "status": batch.status,
            "createdAt": seconds_text(batch.created),
        }
        for name, moment in (("startedAt", batch.started), ("endedAt", batch.ended)):
            if moment is not None:
                shown[name] = seconds_text(moment)
            elif not self._assume.says("absent-dates", "omitted"):
                shown[name] = "" if self._assume.says("absent-dates", "empty") else None
        return shown | {
            "totalCount": batch.total,
            "finishedCount": batch.tried,
            "errorsCount": batch.failed,
        }

    def items_as_json(self, batch: Batch, segments_of: Callable[[Record], list[str]]) -> dict[str, Any]:
        """The batch with `responses` and `errors` of the items tried so far, in no order."""
        dice = Random(batch.id)  # noqa: S311 - the same ids at each look
        responses, errors = [], []
        for item, result in zip(batch.sent_items(), batch.results, strict=True):
            item_id = hex_id(dice)
            if result is None:
                continue
            shown = {"itemID": item_id, "request": item, "status": "finished"}
            if isinstance(result, Problem):
                shown["response"] = self._error_body(result, item_id)
                shown["responseCode"] = result.status
                errors.append(shown)
            else:
                shown["response"] = self._success_body(result, segments_of)
                shown["responseCode"] = self._success_code(result)
                responses.append(shown)
        if self._assume.says("responses", "everything"):
            responses += errors
        dice.shuffle(responses)
        dice.shuffle(errors)
        return self.as_json(batch) | {"responses": responses, "errors": errors}

    def _befall(self, batch: Batch) -> None:
        batch.fault = self._faults.on_batch()
        if batch.fault in ("stopped", "stuck"):
            batch.halt_at = int(self._faults.chance(batch.fault) * batch.total)

    def _turn_of(self, batch: Batch) -> Callable[[float, float], float | None]:
        def turn(due: float, horizon: float) -> float | None:
            until = max(due, horizon)
            if batch.started is None:
                batch.started = due
                batch.status = "inProgress"
            if batch.items is None:
                batch.items = [compact_json(item) for item in batch.sent_items()]
            while batch.ended is None:
                if batch.tried == batch.halt_at:
                    self._halt(batch, due)
                    return None
                due = batch.due(batch.tried + 1)
                if due > until:
                    return due
                self._try_next(batch, due)
            return None

        return turn

    def _halt(self, batch: Batch, now: float) -> None:
        if batch.fault == "stopped":
            self._end(batch, "stopped", now)
        batch.items = None

    def _end(self, batch: Batch, status: str, now: float) -> None:
        batch.status = status
        batch.ended = now
        batch.items = None

    def _try_next(self, batch: Batch, now: float) -> None:
        assert batch.items is not None
        position = batch.tried if batch.order is None else batch.order[batch.tried]
        result = self._carry_out(batch, orjson.loads(batch.items[position]), now)
        batch.results[position] = result
        batch.tried += 1
        if isinstance(result, Problem):
            batch.failed += 1
            self.items["failed"] += 1
        else:
            self.items["succeeded"] += 1
        if batch.tried == batch.total:
            self._end(batch, "finished", now)
        elif batch.failed >= STOP_AFTER_ERRORS and self._assume.says("stop-after-errors", "on"):
            self._end(batch, "stopped", now)

    def _carry_out(self, batch: Batch, item: Any, now: float) -> Success | Problem:
        if (fault := self._faults.strike("item-error")) is not None:
            if fault.code == 400:
                return invalid(FieldError("identifiers.0.id", "invalid", "The identifier was not accepted"))
            return Problem(fault.code, "internal-error", "The item could not be processed", "Try again later.")
        if batch.endpoint != "contacts":
            return b"", True  # taken, and kept nowhere: this emulator is about contacts
        try:
            add_tags = self._assume.says("batch-tags", "add")
            return self._contacts.upsert(item, now, add_tags=add_tags)
        except Problem as problem:
            return problem.with_traceback(None)

    def _error_body(self, problem: Problem, item_id: str) -> Any:
        brackets = self._assume.says("error-path", "brackets")
        instance = str(UUID(item_id.zfill(32)))
        return item_error(problem, self._assume["item-error"], brackets=brackets, instance=instance)

    def _success_body(self, result: Success, segments_of: Callable[[Record], list[str]]) -> dict[str, Any]:
        text, _ = result
        if not text:
            return {}
        record: Record = orjson.loads(text)
        contact_id = self._contacts.ids.of(record["n"])
        if self._assume.says("item-response", "v3"):
            return {"email": record["email"], "contactID": contact_id}
        return contact_response(record, contact_id, segments_of)

    def _success_code(self, result: Success) -> int:
        if self._assume.says("item-code", "as-single"):
            _, created = result
            return 201 if created else 200
        return int(self._assume["item-code"])


def _shown(batch: Batch, now: float) -> bool:
    return batch.fault != "vanished" and now - batch.created < RETENTION


def _check_envelope(envelope: Any) -> None:
    if not isinstance(envelope, dict):
        raise invalid(FieldError("", "invalid", "Must be an object"))
    errors = []
    method, endpoint, items = envelope.get("method"), envelope.get("endpoint"), envelope.get("items")
    if method not in METHODS:
        errors.append(FieldError("method", _absent_or_invalid(method), f"Must be one of {', '.join(METHODS)}"))
    elif method == "PUT" and endpoint == "contacts":  # there is no PUT /contacts (assumed)
        errors.append(FieldError("method", "invalid", "Must be POST for contacts"))
    if endpoint not in ENDPOINTS:
        message = f"Must be one of {', '.join(ENDPOINTS)}"
        errors.append(FieldError("endpoint", _absent_or_invalid(endpoint), message))
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        errors.append(FieldError("items", _absent_or_invalid(items), f"Must hold from 1 to {MAX_ITEMS} items"))
    if not isinstance(envelope.get("origin", ""), str):
        errors.append(FieldError("origin", "invalid", "Must be a string"))
    if errors:
        raise invalid(*errors)


def _absent_or_invalid(value: Any) -> str:
    return "required" if value is None else "invalid"
