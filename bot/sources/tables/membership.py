"""Who is in which segments, as sorted arrays.

Looking keys up in a sorted array takes 20 bytes a member and no more. DuckDB's hash join takes five times as much, puts
profiles on disk when that does not fit, and runs out of memory when it almost fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

AT_ONCE = 65_536  # keys looked up in one go, so that what it takes meanwhile stays small


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of all segments: `keys` (binary, ascending, distinct) and the `kind` of each.

    Members of the same segments are of one kind: an index into `combinations`, which are lists of segments' indexes.
    """

    keys: pa.Array
    kinds: pa.Array
    combinations: pa.Array

    def __len__(self) -> int:
        return len(self.keys)

    def segments_at(self, places: pa.Array) -> pa.Array:
        """The segments (list<int32>, ascending) of the members at these places."""
        return self.combinations.take(self.kinds.take(places))


def fold(segments: Sequence[pa.Array]) -> Membership:
    """One membership of several segments (at least one), each given as keys in ascending order without doubles."""
    keys = segments[0]
    kinds = pa.repeat(pa.scalar(0, pa.int32()), len(keys))
    combinations: list[tuple[int, ...]] = [(0,)]
    for index, members in enumerate(segments[1:], 1):
        # Who is known already gets their combination with this segment added, who is new gets this segment alone.
        joined = locate(members, keys).is_valid()
        kinds = pc.if_else(joined, pc.add(kinds, pa.scalar(len(combinations), pa.int32())), kinds)
        combinations += [(*combination, index) for combination in combinations]
        if len(fresh := members.filter(locate(keys, members).is_null())):
            keys = pa.concat_arrays([keys, fresh])
            kinds = pa.concat_arrays([kinds, pa.repeat(pa.scalar(len(combinations), pa.int32()), len(fresh))])
            combinations.append((index,))
            order = pc.array_sort_indices(keys)
            keys, kinds = keys.take(order), kinds.take(order)
        kinds, combinations = _only_used(kinds, combinations)
    pa.default_memory_pool().release_unused()  # it keeps several times of what is needed from here on
    return Membership(keys, kinds, pa.array(combinations, pa.list_(pa.int32())))


def locate(keys: pa.Array, wanted: pa.Array) -> pa.Array:
    """The place of each wanted key among the ascending `keys`; null where it is null or not there."""
    if not len(keys) or not len(wanted):
        return pa.nulls(len(wanted), pa.uint64())
    pieces = [wanted.slice(start, AT_ONCE) for start in range(0, len(wanted), AT_ONCE)]
    return pa.concat_arrays([_locate(keys, piece) for piece in pieces])


def _locate(keys: pa.Array, wanted: pa.Array) -> pa.Array:
    place = pc.min_element_wise(pc.search_sorted(keys, wanted), pa.scalar(len(keys) - 1, pa.uint64()))
    return pc.if_else(pc.equal(keys.take(place), wanted), place, pa.scalar(None, pa.uint64()))


def _only_used(kinds: pa.Array, combinations: list[tuple[int, ...]]) -> tuple[pa.Array, list[tuple[int, ...]]]:
    """Without the combinations that nobody has: they would double with each further segment."""
    encoded = kinds.dictionary_encode()
    return encoded.indices, [combinations[kind] for kind in encoded.dictionary.to_pylist()]
