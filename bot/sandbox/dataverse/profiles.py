"""The table of unified profiles: the number of a row is the customer's."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Self

from bot.sandbox.dataverse.population import Column, Value
from bot.sandbox.dataverse.tables import SYSTEM_COLUMNS, Batch, Table, first_after, guid, merged, system_column
from bot.sandbox.dataverse.world import KEY_SPACE, World

_EDITS = 100_000_000  # added to the version of a row that was changed


class ProfileBatch(Batch):
    """Rows of the profiles: the number of a row is the customer's."""

    _worked_out = ("_hashes", "keys")

    def __init__(self, world: World, rows: Sequence[int]) -> None:
        super().__init__(rows)
        self._world = world

    @cached_property
    def _hashes(self) -> list[int]:
        return self._world.population.hashes(self.rows)

    @cached_property
    def keys(self) -> list[int]:
        return profile_keys(self._world, self.rows, self._hashes)

    def of(self, rows: Sequence[int]) -> Self:
        return type(self)(self._world, rows)

    def versions(self) -> list[int]:
        edited = self._world.edited
        return [version + _EDITS * (row in edited) for row, version in zip(self.rows, super().versions(), strict=True)]

    def column(self, name: str) -> list[Value]:
        match name:
            case "msdynci_customerprofileid":
                return list(map(guid, self.keys, self._hashes))
            case "msdynci_customerid":
                return [*self._world.population.customer_ids(self._hashes)]
            case name if name in self._world.columns:
                return self._world.profile_values(name, self.rows, self._hashes)
        return system_column(name, self, self._hashes)


class Profiles(Table[ProfileBatch]):
    """`msdynci_customerprofiles`: one row per unified profile."""

    logical_name = "msdynci_customerprofile"
    schema_name = "msdynci_CustomerProfile"
    set_name = "msdynci_customerprofiles"
    primary_key = "msdynci_customerprofileid"
    primary_name = "msdynci_customerid"

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def columns(self) -> Mapping[str, Column]:
        return {
            "msdynci_customerprofileid": Column("Uniqueidentifier", "CustomerProfile"),
            "msdynci_customerid": Column("String", "CustomerId"),
            **self._world.columns,
            **SYSTEM_COLUMNS,
        }

    def estimate(self) -> int:
        return self._world.population.profiles + self._world.added - len(self._world.without_profile)

    def scan(self, after: int, limit: int) -> tuple[ProfileBatch, int | None]:
        world = self._world
        size = world.population.profiles
        start = first_after(after, size, self._key)
        stop = min(start + limit, size)
        end = KEY_SPACE if stop == size else self._key(stop - 1)
        rows = merged(range(start, stop), world.added_profiles, (after, end), self._key)
        if world.without_profile:
            rows = [row for row in rows if row not in world.without_profile]
        return ProfileBatch(world, rows), None if end == KEY_SPACE else end

    def find(self, customer_ids: Iterable[str]) -> ProfileBatch:
        world = self._world
        numbers = {number for number in map(world.number_of, customer_ids) if number is not None}
        return ProfileBatch(world, sorted((n for n in numbers if world.has_profile(n)), key=self._key))

    def _key(self, row: int) -> int:
        return ProfileBatch(self._world, [row]).keys[0]


def profile_keys(world: World, rows: Sequence[int], hashes: Sequence[int]) -> list[int]:
    """The first 48 bits of the profiles' primary keys; they rise with the number, except for customers added later."""
    stride = KEY_SPACE // max(1, world.population.profiles)
    keys = [row * stride + bits % stride for row, bits in zip(rows, hashes, strict=True)]
    return world.added_profiles.keys_instead(rows, keys)
