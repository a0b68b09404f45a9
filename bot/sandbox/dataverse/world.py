"""The environment's data as it is now: the made-up population, and what has been changed since.

Only changes are held. Whatever was not changed is computed when it is asked for.
"""

import random
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from bot.sandbox.dataverse.population import (
    BROKEN_IN_1024,
    MASK_BITS,
    PROFILE_COLUMNS,
    SECOND_ROW_EVERY,
    Column,
    Population,
    Share,
    Value,
)

KEY_SPACE = 1 << 48
"""Rows are ordered by the first 48 bits of their primary key."""

BROKEN_TEXTS = (
    '{"Segments":["VIP","Newsl',
    "VIP;Newsletter",
    "",
    None,
    '{"Segments":null}',
    "[]",
    '"\\"VIP',
    "{'Segments': ['VIP']}",
)
"""Texts in `msdynci_segments` that a reader can make nothing of, though some contain a segment's name."""

_SHIFT = 64 - MASK_BITS
CHUNK = 5_000


class AddedRows:
    """Rows of a table that came later: they stand anywhere in its order, so their keys are held."""

    def __init__(self) -> None:
        self._order: list[tuple[int, int]] = []
        self._keys: dict[int, int] = {}

    def add(self, row: int, key: int) -> None:
        insort(self._order, (key, row))
        self._keys[row] = key

    def between(self, after: int, end: int) -> list[int]:
        """The rows with keys greater than `after` and not greater than `end`."""
        start, stop = (bisect_right(self._order, key, key=lambda entry: entry[0]) for key in (after, end))
        return [row for _, row in self._order[start:stop]]

    def keys_instead(self, rows: Sequence[int], keys: list[int]) -> list[int]:
        """`keys`, with the held ones for rows that were added."""
        if not self._keys:
            return keys
        return [self._keys.get(row, key) for row, key in zip(rows, keys, strict=True)]


@dataclass
class Segment:
    """A segment as people see it; its members are those with its bit set."""

    name: str
    friendly_name: str
    active: bool = True
    deleted: bool = False


@dataclass
class World:
    """What the tables show. Customers added later have numbers from `population.customers` on."""

    population: Population
    segments_form: str = "object"
    segments: list[Segment] = field(init=False)
    columns: dict[str, Column] = field(init=False)
    masks: list[int] = field(init=False)
    ci_enabled: bool = True
    moved: dict[int, int] = field(default_factory=dict)
    edited: dict[int, dict[str, Value]] = field(default_factory=dict)
    without_profile: set[int] = field(default_factory=set)
    added: int = 0
    added_profiles: AddedRows = field(default_factory=AddedRows)
    added_memberships: AddedRows = field(default_factory=AddedRows)
    _texts: dict[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.segments = [
            Segment(share.name, share.friendly_name or share.name, share.active) for share in self.population.shares
        ]
        self.columns = dict(PROFILE_COLUMNS)
        self.masks = list(self.population.masks)

    # Segments

    def bit_of(self, name: str) -> int:
        """The bit of the segment of exactly this name. Raises `KeyError` if there is none or it was deleted."""
        for index, segment in enumerate(self.segments):
            if segment.name == name and not segment.deleted:
                return 1 << index
        raise KeyError(name)

    def segment(self, name: str) -> Segment:
        return self.segments[self.bit_of(name).bit_length() - 1]

    def create_segment(self, name: str, part: float) -> None:
        self.population.add_share(self.masks, len(self.segments), Share(name, part))
        self.segments.append(Segment(name, name))

    def rename_segment(self, name: str, new_name: str) -> None:
        self.segment(name).name = new_name
        self._texts.clear()

    def delete_segment(self, name: str) -> None:
        self.empty_segment(name)
        self.segment(name).deleted = True

    def empty_segment(self, name: str) -> None:
        """All members leave; whoever joins later is a member again."""
        bit = self.bit_of(name)
        self.masks = [mask & ~bit for mask in self.masks]
        self.moved = {number: mask & ~bit for number, mask in self.moved.items()}

    # Customers

    def all_customers(self) -> range:
        return range(self.population.customers + self.added)

    def has_profile(self, number: int) -> bool:
        if number in self.without_profile:
            return False
        return number < self.population.profiles or number >= self.population.customers

    def number_of(self, customer_id: str) -> int | None:
        number = self.population.number_of(customer_id)
        return number if number in self.all_customers() else None

    def add_customer(self) -> int:
        """Somebody new, with a profile and in no segment yet, at a random place of both tables."""
        number = self.population.customers + self.added
        self.added += 1
        places = random.Random(f"{self.population.seed}/{number}")  # noqa: S311
        self.added_profiles.add(number, places.randrange(KEY_SPACE))
        self.added_memberships.add(
            number - self.population.customers + self.population.membership_rows, places.randrange(KEY_SPACE)
        )
        self.moved[number] = 0
        return number

    def edit(self, number: int, values: dict[str, Value]) -> None:
        self.edited.setdefault(number, {}).update(values)

    # Memberships

    def all_masks(self, numbers: Sequence[int], hashes: Sequence[int]) -> list[int]:
        """The segments that each customer is in."""
        masks = self.masks
        found = [masks[bits >> _SHIFT] for bits in hashes]
        if self.moved:
            moved = self.moved
            found = [moved.get(number, mask) for number, mask in zip(numbers, found, strict=True)]
        return found

    def set_member(self, number: int, bit: int, member: bool) -> None:
        mask = self.all_masks([number], self.population.hashes([number]))[0]
        self.moved[number] = mask | bit if member else mask & ~bit

    def known_masks(self, numbers: Sequence[int], hashes: Sequence[int]) -> list[int]:
        """The segments that each customer can be known to be in, leaving out rows whose text is broken."""
        return [
            mask if not self.is_broken(number, bits) else second_row(mask) if self.has_second_row(number) else 0
            for number, bits, mask in zip(numbers, hashes, self.all_masks(numbers, hashes), strict=True)
        ]

    def is_broken(self, number: int, bits: int) -> bool:
        """Whether the customer's first membership row has a text that nothing can be made of."""
        return bits >> 20 & 1023 < BROKEN_IN_1024 and number < self.population.customers

    def has_second_row(self, number: int) -> bool:
        return number % SECOND_ROW_EVERY == SECOND_ROW_EVERY - 1 and number < self.population.customers

    def members(self, bit: int, member: bool = True) -> Iterator[list[int]]:
        """Chunks of the customers known to be in the segment (or known not to be), by number."""
        everybody = self.all_customers()
        for start in range(0, len(everybody), CHUNK):
            numbers = everybody[start : start + CHUNK]
            masks = self.known_masks(numbers, self.population.hashes(numbers))
            yield [number for number, mask in zip(numbers, masks, strict=True) if bool(mask & bit) == member]

    def count_members(self) -> dict[str, int]:
        """How many members each segment has: every membership is looked at."""
        counts = dict.fromkeys(range(len(self.segments)), 0)
        everybody = self.all_customers()
        for start in range(0, len(everybody), CHUNK):
            numbers = everybody[start : start + CHUNK]
            tally: dict[int, int] = {}
            for mask in self.known_masks(numbers, self.population.hashes(numbers)):
                tally[mask] = tally.get(mask, 0) + 1
            for mask, times in tally.items():
                for index in counts:
                    counts[index] += times * (mask >> index & 1)
        return {s.name: counts[i] for i, s in enumerate(self.segments) if not s.deleted}

    def membership_text(self, mask: int, bits: int) -> str:
        """What stands in `msdynci_segments` for these segments."""
        form = _FORMS.index(self.segments_form) if self.segments_form != "mixed" else bits % 5
        text = self._texts.get((mask, form))
        if text is None:
            names = [segment.name for index, segment in enumerate(self.segments) if mask >> index & 1]
            text = self._texts[mask, form] = _segments_json(names, form)
        return text

    # Profiles

    def profile_values(self, name: str, numbers: Sequence[int], hashes: Sequence[int]) -> list[Value]:
        """One of the columns that unification made, for these customers."""
        values = self.columns[name].derive(numbers, hashes)
        if self.edited:
            edited = self.edited
            for place, number in enumerate(numbers):
                if number in edited and name in edited[number]:
                    values[place] = edited[number][name]
        return values

    def profiles_of(self, numbers: Sequence[int]) -> Iterable[tuple[str, dict[str, Value] | None]]:
        """Each customer's id and profile with all columns, or None for a customer without one."""
        hashes = self.population.hashes(numbers)
        columns = [self.profile_values(name, numbers, hashes) for name in self.columns]
        rows = zip(*columns, strict=True) if columns else iter([()] * len(numbers))
        for number, customer_id, row in zip(numbers, self.population.customer_ids(hashes), rows, strict=True):
            profile = dict(zip(self.columns, row, strict=True)) if self.has_profile(number) else None
            yield customer_id, profile


def first_row(mask: int) -> int:
    """The part of the segments that stands in the first of two rows; the lowest one stands in both."""
    return mask & _FIRST_ROW_SEGMENTS | mask & -mask


def second_row(mask: int) -> int:
    return mask & ~_FIRST_ROW_SEGMENTS | mask & -mask


_FIRST_ROW_SEGMENTS = 0x55555555_55555555
_FORMS = ("object", "array", "string", "extra", "spaced")


def _segments_json(names: list[str], form: int) -> str:
    match _FORMS[form]:
        case "array":
            return orjson.dumps(names).decode()
        case "string":
            return orjson.dumps(orjson.dumps({"Segments": names}).decode()).decode()
        case "extra":
            return orjson.dumps({"Version": 2, "Segments": names, "Source": {"Kind": "batch"}}).decode()
        case "spaced":
            return orjson.dumps({"Segments": names}, option=orjson.OPT_INDENT_2).decode()
        case _:
            return orjson.dumps({"Segments": names}).decode()
