"""What happens to the data between two reads (or in the middle of one): people join and leave, segments are renamed.

A change is a JSON object: `{"op": "leave", "segment": "VIP", "count": 3}`. Operations and their arguments are in
`OPERATIONS`. Whoever is meant is named by `customers` (ids) or by `count`: then the first that fit, by number.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bot.sandbox.dataverse.world import World

Arguments = Mapping[str, Any]
Touched = list[int]
"""The numbers of the customers that a change touched."""


class ChangeRefused(ValueError):
    """A change that can't be made, with the reason."""


@dataclass
class Pending:
    """A change that waits until so many more pages of a table have been served."""

    change: Arguments
    table: str
    pages: int


def apply_change(world: World, change: Arguments) -> list[str]:
    """Make the change and return the ids of the customers it touched. Raises `ChangeRefused`."""
    operation = OPERATIONS.get(str(change.get("op")))
    if operation is None:
        raise ChangeRefused(f"op is one of {', '.join(OPERATIONS)}")
    try:
        touched = operation(world, change)
    except KeyError as missing:
        raise ChangeRefused(f"{change['op']}: there is no {missing}") from None
    return world.population.customer_ids(world.population.hashes(touched))


def _join(world: World, arguments: Arguments) -> Touched:
    """`segment`; `customers` or `count`; `new` (true): people who were not there before, with a clean address."""
    bit = world.bit_of(arguments["segment"])
    if arguments.get("new"):
        numbers = [world.add_customer() for _ in range(int(arguments.get("count", 1)))]
        for number in numbers:
            world.edit(number, {"msdynci_email": f"new.{number}@example.com"})
    else:
        numbers = _chosen(world, arguments, lambda: _not_members(world, bit))
    for number in numbers:
        world.set_member(number, bit, member=True)
    return numbers


def _leave(world: World, arguments: Arguments) -> Touched:
    """`segment`; `customers` or `count`."""
    bit = world.bit_of(arguments["segment"])
    numbers = _members(world, arguments)
    for number in numbers:
        world.set_member(number, bit, member=False)
    return numbers


def _edit(world: World, arguments: Arguments) -> Touched:
    """`segment` with `count`, or `customers`; `set`: values by column, otherwise everybody moves to another city."""
    numbers = _members(world, arguments)
    values = arguments.get("set")
    for number in numbers:
        changed = values or {"msdynci_city": f"New Town {number}"}
        world.edit(number, {name: value for name, value in changed.items() if world.columns[name]})
    return numbers


def _change_emails(world: World, arguments: Arguments) -> Touched:
    """`segment` with `count`, or `customers`: each gets another address, a good one."""
    numbers = _members(world, arguments)
    for number in numbers:
        world.edit(number, {"msdynci_email": f"changed.{number}@example.com"})
    return numbers


def _break_emails(world: World, arguments: Arguments) -> Touched:
    """`segment` with `count`, or `customers`: their addresses become useless."""
    numbers = _members(world, arguments)
    for number in numbers:
        world.edit(number, {"msdynci_email": f"broken.{number}@"})
    return numbers


def _delete_profiles(world: World, arguments: Arguments) -> Touched:
    """`segment` with `count`, or `customers`: the profile goes, the membership stays."""
    numbers = _members(world, arguments)
    world.without_profile.update(numbers)
    return numbers


def _create_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`, `part` of all customers (0.05)."""
    if any(segment.name == arguments["segment"] and not segment.deleted for segment in world.segments):
        raise ChangeRefused(f"there is a segment {arguments['segment']} already")
    world.create_segment(arguments["segment"], float(arguments.get("part", 0.05)))
    return []


def _rename_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`, `to`."""
    world.rename_segment(arguments["segment"], arguments["to"])
    return []


def _delete_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`: it is gone from all memberships; its metadata says so."""
    world.delete_segment(arguments["segment"])
    return []


def _empty_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`: all members leave."""
    world.empty_segment(arguments["segment"])
    return []


def _deactivate_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`: the last members stay, the metadata says inactive."""
    world.segment(arguments["segment"]).active = False
    return []


def _activate_segment(world: World, arguments: Arguments) -> Touched:
    """`segment`."""
    world.segment(arguments["segment"]).active = True
    return []


def _remove_column(world: World, arguments: Arguments) -> Touched:
    """`column` of the profiles: gone after unification ran again."""
    del world.columns[arguments["column"]]
    return []


def _rename_column(world: World, arguments: Arguments) -> Touched:
    """`column`, `to`."""
    world.columns[arguments["to"]] = world.columns.pop(arguments["column"])
    return []


def _share_data(world: World, arguments: Arguments) -> Touched:
    """`on`: whether Customer Insights shares its tables with Dataverse."""
    world.ci_enabled = bool(arguments["on"])
    return []


OPERATIONS: dict[str, Callable[[World, Arguments], Touched]] = {
    "join": _join,
    "leave": _leave,
    "edit": _edit,
    "change-emails": _change_emails,
    "break-emails": _break_emails,
    "delete-profiles": _delete_profiles,
    "create-segment": _create_segment,
    "rename-segment": _rename_segment,
    "delete-segment": _delete_segment,
    "empty-segment": _empty_segment,
    "deactivate-segment": _deactivate_segment,
    "activate-segment": _activate_segment,
    "remove-column": _remove_column,
    "rename-column": _rename_column,
    "share-data": _share_data,
}


def _members(world: World, arguments: Arguments) -> Touched:
    """The named customers, or the first `count` members of `segment` who have a profile."""

    def with_profile() -> Iterator[int]:
        for chunk in world.members(world.bit_of(arguments["segment"])):
            yield from (number for number in chunk if world.has_profile(number))

    return _chosen(world, arguments, with_profile)


def _not_members(world: World, bit: int) -> Iterator[int]:
    """Customers with a profile who are not in the segment, and whose membership can be read if they join."""
    for chunk in world.members(bit, member=False):
        for number, bits in zip(chunk, world.population.hashes(chunk), strict=True):
            if world.has_profile(number) and not world.is_broken(number, bits):
                yield number


def _chosen(world: World, arguments: Arguments, candidates: Callable[[], Iterator[int]]) -> Touched:
    if "customers" not in arguments:
        return list(islice(candidates(), int(arguments.get("count", 1))))
    numbers = []
    for customer_id in arguments["customers"]:
        number = world.number_of(customer_id)
        if number is None:
            raise ChangeRefused(f"there is no customer {customer_id}")
        numbers.append(number)
    return numbers
