"""Tag calls: taken at once, carried out later, never reported on (Omnisend docs, Contacts: tags)."""

from dataclasses import dataclass
from random import Random
from typing import Any

from bot.sandbox.omnisend.agenda import Agenda
from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.contacts import Contacts
from bot.sandbox.omnisend.formats import is_phone
from bot.sandbox.omnisend.problems import FieldError, invalid
from bot.sandbox.omnisend.segments import Segment, Segments

MAX_TAGS = 100
MAX_SELECTED = 250
_SELECTORS = ("emails", "contactIDs", "phones")


@dataclass(frozen=True, slots=True)
class TagCall:
    """What to put on or take off, and whom."""

    add: bool
    tags: list[str]
    emails: list[str]
    contact_ids: list[str]
    phones: list[str]
    segment: Segment | None


class Tags:
    """The tag calls of one brand."""

    def __init__(
        self, contacts: Contacts, segments: Segments, assume: Assumptions, agenda: Agenda, random: Random
    ) -> None:
        self._contacts = contacts
        self._segments = segments
        self._assume = assume
        self._agenda = agenda
        self._random = random

    def take(self, body: Any, now: float, *, add: bool) -> None:
        """Check a call and put it on the agenda. Raises `Problem` 400, 404 for an unknown segment (assumed)."""
        call = self._parse(body, add)
        if self._assume.says("tag-effect", "lost"):
            return
        delay = self._assume.seconds("tag-delay")
        if self._assume.says("execution", "shuffled"):
            delay *= self._random.uniform(0.2, 1.8)

        def carry_out(due: float, horizon: float) -> None:
            for number in self._selected(call, due):
                self._contacts.retag(number, call.tags, due, add=call.add)

        self._agenda.at(now + delay, carry_out)

    def _parse(self, body: Any, add: bool) -> TagCall:
        if not isinstance(body, dict):
            raise invalid(FieldError("", "invalid", "Must be an object"))
        errors: list[FieldError] = []
        tags = _texts(body, "tags", MAX_TAGS, errors)
        if not tags and not errors:
            errors.append(FieldError("tags", "required", "At least one tag is required"))
        emails, ids, phones = (_texts(body, name, MAX_SELECTED, errors) for name in _SELECTORS)
        for index, phone in enumerate(phones):
            if not is_phone(phone):
                errors.append(FieldError(f"phones.{index}", "invalid_format", "Must be in E.164 format"))
        segment_id = body.get("segmentID")
        if segment_id is not None and not isinstance(segment_id, str):
            errors.append(FieldError("segmentID", "invalid", "Must be a string"))
        if not (emails or ids or phones or segment_id or errors):
            message = "One of emails, contactIDs, phones and segmentID is required"
            errors.append(FieldError("emails", "required", message))
        if errors:
            raise invalid(*errors)
        segment = self._segments.get(segment_id) if segment_id else None
        return TagCall(add, tags, emails, ids, phones, segment)

    def _selected(self, call: TagCall, now: float) -> list[int]:
        """Numbers of the contacts that exist when the call is carried out, each once; the unknown are passed over."""
        store = self._contacts.store
        numbers = [
            *(store.number_of_email(email) for email in call.emails),
            *(store.number_of_phone(phone) for phone in call.phones),
            *(self._contacts.ids.number(contact_id) for contact_id in call.contact_ids),
        ]
        if call.segment is not None:
            numbers += self._segments.members(call.segment, now)
        return list(dict.fromkeys(number for number in numbers if number is not None))


def _texts(body: dict[str, Any], name: str, most: int, errors: list[FieldError]) -> list[str]:
    values = body.get(name)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        errors.append(FieldError(name, "invalid", "Must be an array of strings"))
        return []
    if len(values) > most:
        errors.append(FieldError(name, "invalid", f"At most {most} in one request"))
    return values
