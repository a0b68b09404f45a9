"""The table of segment memberships: one row a customer, for some a second one from another provider."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from math import gcd
from typing import Self

from bot.sandbox.dataverse.population import BROKEN_IN_1024, SECOND_ROW_EVERY, Column, Value
from bot.sandbox.dataverse.profiles import profile_keys
from bot.sandbox.dataverse.tables import SYSTEM_COLUMNS, Batch, Table, first_after, guid, merged, system_column
from bot.sandbox.dataverse.world import BROKEN_TEXTS, KEY_SPACE, World, first_row, second_row

PROVIDERS = ("CustomerInsights", "CustomerInsightsJourneys")


class MembershipBatch(Batch):
    """Rows of the memberships.

    The order of the table has nothing to do with that of the profiles: row `i` stands at place `a·i + b` modulo the
    number of rows. Places up to the last customer are first rows, by customer; those after them are second rows.
    Rows added later have the places after all these.
    """

    _worked_out = ("_places", "_customers", "_hashes", "_parts", "keys")

    def __init__(self, table: "Memberships", rows: Sequence[int]) -> None:
        super().__init__(rows)
        self._table = table
        self._world = table.world

    @cached_property
    def _places(self) -> list[int]:
        return self._table.places(self.rows)

    @cached_property
    def _customers(self) -> list[int]:
        return self._table.customers_at(self._places)

    @cached_property
    def _hashes(self) -> list[int]:
        return self._world.population.hashes(self._customers)

    @cached_property
    def keys(self) -> list[int]:
        return self._table.keys_of(self.rows, self._hashes)

    @cached_property
    def _parts(self) -> list[int]:
        """The segments that stand in each row; -1 for a text that says nothing, 0 for a row that does not exist."""
        population = self._world.population
        parts = self._world.all_masks(self._customers, self._hashes)
        for index, (place, bits) in enumerate(zip(self._places, self._hashes, strict=True)):
            if place < population.customers:
                if bits >> 20 & 1023 < BROKEN_IN_1024:
                    parts[index] = -1
                elif place % SECOND_ROW_EVERY == SECOND_ROW_EVERY - 1:
                    parts[index] = first_row(parts[index])
            elif place < population.membership_rows:
                parts[index] = second_row(parts[index])
        return parts

    def existing(self) -> Self:
        """These rows without those that would stand for no segment at all."""
        return self.keep(self._parts)

    def of(self, rows: Sequence[int]) -> Self:
        return type(self)(self._table, rows)

    def column(self, name: str) -> list[Value]:
        world = self._world
        match name:
            case "msdynci_segmentmembershipid":
                return list(map(guid, self.keys, self._hashes))
            case "msdynci_customerid":
                return [*world.population.customer_ids(self._hashes)]
            case "msdynci_segments":
                text = world.membership_text
                return [
                    BROKEN_TEXTS[bits % len(BROKEN_TEXTS)] if part < 0 else text(part, bits)
                    for part, bits in zip(self._parts, self._hashes, strict=True)
                ]
            case "msdynci_segmentprovider":
                first_rows, rows = world.population.customers, world.population.membership_rows
                return [PROVIDERS[first_rows <= place < rows] for place in self._places]
            case "msdynci_segmentmembershiptype":
                return ["Customer"] * len(self.rows)
            case "msdynci_identifier":
                ids = world.population.customer_ids(self._hashes)
                providers = self.column("msdynci_segmentprovider")
                return [f"{cid}|{by}|Customer|{cid}" for cid, by in zip(ids, providers, strict=True)]
            case "_msdynci_lookupfield_customer_value":
                keys = map(guid, profile_keys(world, self._customers, self._hashes), self._hashes)
                return [key if world.has_profile(n) else None for key, n in zip(keys, self._customers, strict=True)]
            case "msdynci_lookupfield_customerpid":
                return [None] * len(self.rows)
        return system_column(name, self, self._hashes)


class Memberships(Table[MembershipBatch]):
    """`msdynci_segmentmemberships`: one row per customer and provider, with the names of the customer's segments."""

    logical_name = "msdynci_segmentmembership"
    schema_name = "msdynci_SegmentMembership"
    set_name = "msdynci_segmentmemberships"
    primary_key = "msdynci_segmentmembershipid"
    primary_name = "msdynci_identifier"
    columns = {  # noqa: RUF012 (read only)
        "msdynci_segmentmembershipid": Column("Uniqueidentifier", "SegmentMembership"),
        "msdynci_identifier": Column("String", "Identifier"),
        "msdynci_customerid": Column("String", "CustomerId"),
        "msdynci_segmentprovider": Column("String", "SegmentProvider"),
        "msdynci_segmentmembershiptype": Column("String", "SegmentMembershipType"),
        "msdynci_segments": Column("Memo", "Segments"),
        "_msdynci_lookupfield_customer_value": Column("Lookup", "LookupField_Customer"),
        "msdynci_lookupfield_customerpid": Column("String", None),
        **SYSTEM_COLUMNS,
    }

    def __init__(self, world: World) -> None:
        self.world = world
        self._customers = world.population.customers
        self._size = world.population.membership_rows
        self._stride = KEY_SPACE // self._size
        self._step = self._size * 5 // 8 | 1
        while gcd(self._step, self._size) != 1:
            self._step += 2
        self._unstep = pow(self._step, -1, self._size)
        self._shift = world.population.seed * 7_919 % self._size

    def estimate(self) -> int:
        return self._size + self.world.added

    def scan(self, after: int, limit: int) -> tuple[MembershipBatch, int | None]:
        start = first_after(after, self._size, self._key)
        stop = min(start + limit, self._size)
        end = KEY_SPACE if stop == self._size else self._key(stop - 1)
        rows = merged(range(start, stop), self.world.added_memberships, (after, end), self._key)
        return MembershipBatch(self, rows).existing(), None if end == KEY_SPACE else end

    def find(self, customer_ids: Iterable[str]) -> MembershipBatch:
        numbers = {number for number in map(self.world.number_of, customer_ids) if number is not None}
        rows = [row for number in numbers for row in self._rows_of(number)]
        return MembershipBatch(self, sorted(rows, key=self._key)).existing()

    def places(self, rows: Sequence[int]) -> list[int]:
        step, shift, size = self._step, self._shift, self._size
        places = [(row * step + shift) % size for row in rows]
        if self.world.added:
            places = [place if row < size else row for row, place in zip(rows, places, strict=True)]
        return places

    def customers_at(self, places: Sequence[int]) -> list[int]:
        size, customers = self._size, self._customers
        numbers = [p if p < customers else (p - customers + 1) * SECOND_ROW_EVERY - 1 for p in places]
        if self.world.added:
            numbers = [
                n if place < size else place - size + customers for place, n in zip(places, numbers, strict=True)
            ]
        return numbers

    def keys_of(self, rows: Sequence[int], hashes: Sequence[int]) -> list[int]:
        stride = self._stride
        keys = [row * stride + bits % stride for row, bits in zip(rows, hashes, strict=True)]
        return self.world.added_memberships.keys_instead(rows, keys)

    def _rows_of(self, number: int) -> Iterable[int]:
        if number >= self._customers:
            return [number - self._customers + self._size]
        places = [number]
        if self.world.has_second_row(number):
            places.append(self._customers + number // SECOND_ROW_EVERY)
        return [(place - self._shift) * self._unstep % self._size for place in places]

    def _key(self, row: int) -> int:
        return MembershipBatch(self, [row]).keys[0]
