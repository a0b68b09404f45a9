"""A million contacts in little memory.

A contact is one JSON text (`Record`), kept by number; the number follows the order of creation. A text is never
changed, only replaced: whoever keeps one (the result of a batch item) keeps the contact as it was then, for the
price of a reference. Beside the texts stand the indexes that reads need.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, TypedDict

import orjson

from bot.sandbox.omnisend.contact_rules import property_type
from bot.sandbox.omnisend.formats import compact_json

StatusEntry = tuple[str, str, int, int]
"""Channel, status, changed at, applied at."""


class Record(TypedDict):
    """A contact as stored. Times in milliseconds since 1970; absent parts are empty."""

    n: int
    created: int
    updated: int
    email: str | None
    phone: str | None
    fields: dict[str, str]
    properties: dict[str, Any]
    tags: list[str]
    history: list[StatusEntry]  # oldest first; the last of a channel holds
    consents: list[dict[str, Any]]
    welcome: int  # welcome messages asked for


class Marks:
    """One byte for each contact: quick to set, to count and to walk in order of creation."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def set(self, number: int, mark: int) -> None:
        """Mark a contact; 0 takes the mark off."""
        if number >= len(self._bytes):
            if not mark:
                return
            self._bytes.extend(bytes(max(number + 1 - len(self._bytes), 4096)))
        self._bytes[number] = mark

    def has(self, number: int, mark: int) -> bool:
        """Whether this contact bears this mark."""
        return number < len(self._bytes) and self._bytes[number] == mark

    def count(self, mark: int) -> int:
        """How many contacts bear this mark."""
        return self._bytes.count(mark)

    def walk(self, mark: int, start: int | None, *, forward: bool) -> Iterator[int]:
        """Numbers that bear the mark, after (or before) `start`, both without it; None for the end."""
        find, rfind = self._bytes.find, self._bytes.rfind
        found = start if start is not None else (-1 if forward else len(self._bytes))
        while True:
            found = find(mark, found + 1) if forward else rfind(mark, 0, max(found, 0))
            if found < 0:
                return
            yield found


FALSE, TRUE = 1, 2  # marks of a boolean property
TAGGED = 1


class ContactStore:
    """The contacts of one brand with their indexes."""

    def __init__(self) -> None:
        self._texts: list[bytes | None] = []
        self._by_email: dict[str, int] = {}
        self._by_phone: dict[str, int] = {}
        self._updates = array("Q")  # contact numbers in order of their updates; outdated entries stay
        self._update_times = array("q")
        self._last_update = array("Q")  # by contact: the place of its valid entry in `_updates`
        self._bools: dict[str, Marks] = {}
        self._tags: dict[str, Marks] = {}
        self.property_types: dict[str, str] = {}
        self.version = 0  # grows with each change
        self.count = 0

    @property
    def size(self) -> int:
        """One more than the highest number given so far."""
        return len(self._texts)

    def number_of_email(self, email: str) -> int | None:
        """Exact and case-sensitive, as Omnisend matches."""
        return self._by_email.get(email)

    def number_of_phone(self, phone: str) -> int | None:
        """The contact with this phone number."""
        return self._by_phone.get(phone)

    def text(self, number: int) -> bytes | None:
        """The stored JSON text; None if there is no such contact (any more)."""
        return self._texts[number] if 0 <= number < len(self._texts) else None

    def record(self, number: int) -> Record | None:
        """The contact, decoded afresh."""
        text = self.text(number)
        return None if text is None else orjson.loads(text)

    def put(self, record: Record, touched: dict[str, Any], old_tags: list[str]) -> bytes:
        """Keep a new or changed contact. `touched` are the custom properties that may have changed (None: removed)."""
        number = record["n"]
        text = compact_json(record)
        if number == len(self._texts):
            self._texts.append(text)
            self._last_update.append(0)
            self.count += 1
        else:
            self._texts[number] = text
        self._last_update[number] = len(self._updates)
        self._updates.append(number)
        self._update_times.append(record["updated"])
        if record["email"] is not None:
            self._by_email[record["email"]] = number
        if record["phone"] is not None:
            self._by_phone[record["phone"]] = number
        self._mark_properties(number, touched)
        if record["tags"] != old_tags:
            self._mark_tags(number, set(old_tags), set(record["tags"]))
        self.version += 1
        return text

    def delete(self, number: int) -> None:
        """Forget a contact; its number is not given again."""
        record = self.record(number)
        if record is None:
            return
        self._texts[number] = None
        if record["email"] is not None:
            del self._by_email[record["email"]]
        if record["phone"] is not None:
            del self._by_phone[record["phone"]]
        for marks in (*self._bools.values(), *self._tags.values()):
            marks.set(number, 0)
        self.count -= 1
        self.version += 1

    def bool_marks(self, name: str) -> Marks:
        """Marks `TRUE` and `FALSE` of a boolean custom property."""
        return self._bools.get(name) or Marks()

    def tag_marks(self, tag: str) -> Marks:
        """Mark `TAGGED` of those who bear the tag."""
        return self._tags.get(tag) or Marks()

    def walk_created(self, start: int | None, *, forward: bool) -> Iterator[int]:
        """Numbers in order of creation, after (or before) `start`."""
        if forward:
            numbers = range(0 if start is None else start + 1, len(self._texts))
        else:
            numbers = range(len(self._texts) - 1 if start is None else start - 1, -1, -1)
        return (number for number in numbers if self._texts[number] is not None)

    def updated_at(self, place: int) -> int:
        """The contact at a place in the order of updates."""
        return self._updates[place]

    def walk_updated(self, start: int | None, *, forward: bool, since: int | None = None) -> Iterator[int]:
        """Places in order of their last update, after (or before) the place `start` (`place_of_update`)."""
        first = 0 if since is None else bisect_left(self._update_times, since)
        if forward:
            places = range(first if start is None else max(start + 1, first), len(self._updates))
        else:
            places = range((len(self._updates) if start is None else start) - 1, first - 1, -1)
        for place in places:
            number = self._updates[place]
            if self._last_update[number] == place and self._texts[number] is not None:
                yield place

    def place_of_update(self, number: int) -> int:
        """Where the contact stands in the order of updates."""
        return self._last_update[number]

    def _mark_properties(self, number: int, touched: dict[str, Any]) -> None:
        for name, value in touched.items():
            if value is True or value is False:
                marks = self._bools.get(name)
                if marks is None:
                    marks = self._bools[name] = Marks()
                marks.set(number, TRUE if value else FALSE)
            elif name in self._bools:
                self._bools[name].set(number, 0)
            if value is not None and name not in self.property_types:
                self.property_types[name] = property_type(value) or "text"

    def _mark_tags(self, number: int, old: set[str], new: set[str]) -> None:
        for tag in old - new:
            self._tags[tag].set(number, 0)
        for tag in new - old:
            self._tags.setdefault(tag, Marks()).set(number, TAGGED)
