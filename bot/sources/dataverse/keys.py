"""Customer ids in little space: 16 bytes each, as two Arrow columns of 64 bits, in order.

An id of 32 hexadecimal digits (as Customer Insights makes them) is the bytes that it spells. Any other id is hashed to
16 bytes: ids are opaque text, and a client has no business to rely on their form.
"""

import hashlib
import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """Some customers, in the order given or (for `places`) ascending; `high` and `low` are uint64, without nulls."""

    high: pa.Array
    low: pa.Array

    @classmethod
    def none(cls) -> Self:
        return cls(pa.array([], pa.uint64()), pa.array([], pa.uint64()))

    @classmethod
    def of(cls, ids: Sequence[str], odd: dict[bytes, str] | None = None) -> Self:
        """The keys of these ids; those that had to be hashed are added to `odd`, by key."""
        raw = _spelt(ids)
        if raw is None:
            keys = list(map(_key_of, ids))
            raw = b"".join(keys)
            if odd is not None:
                odd.update((key, id_) for key, id_ in zip(keys, ids, strict=True) if key.hex() != id_)
        halves = array("Q", raw)
        return cls(_column(halves[::2]), _column(halves[1::2]))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        every = list(parts) or [cls.none()]
        return cls(pa.concat_arrays([keys.high for keys in every]), pa.concat_arrays([keys.low for keys in every]))

    def __len__(self) -> int:
        return len(self.high)

    def order(self) -> pa.Array:
        """The places of the keys in ascending order."""
        both = pa.record_batch({"high": self.high, "low": self.low})
        return pc.sort_indices(both, sort_keys=[("high", "ascending"), ("low", "ascending")])

    def take(self, places: pa.Array) -> Self:
        return type(self)(self.high.take(places), self.low.take(places))

    def filter(self, flags: pa.Array) -> Self:
        return type(self)(self.high.filter(flags), self.low.filter(flags))

    def same_after(self, step: int) -> pa.Array:
        """For each key but the last few, whether the one `step` places further is the same."""
        return pc.and_(pc.equal(self.high[:-step], self.high[step:]), pc.equal(self.low[:-step], self.low[step:]))

    def places(self, wanted: Self) -> pa.Array:
        """The place of each wanted key among these, which are ascending and distinct; null where it is not there."""
        if not len(self):
            return pa.nulls(len(wanted), pa.uint64())
        last = pa.scalar(len(self) - 1, pa.uint64())
        place = pc.min_element_wise(pc.search_sorted(self.high, wanted.high), last)
        while True:
            alike = pc.equal(self.high.take(place), wanted.high)
            found = pc.and_(alike, pc.equal(self.low.take(place), wanted.low))
            further = pc.and_(pc.and_not(alike, found), pc.less(place, last))
            if not further.true_count:
                return pc.if_else(found, place, pa.scalar(None, pa.uint64()))
            place = pc.add(place, further.cast(pa.uint64()))  # another key with the same first half

    def raw(self) -> Iterable[bytes]:
        """The 16 bytes of each key."""
        for high, low in zip(self.high, self.low, strict=True):
            yield struct.pack("=QQ", high.as_py(), low.as_py())


def _spelt(ids: Sequence[str]) -> bytes | None:
    """The bytes that the ids spell, one after the other; None unless each is 32 lower-case hexadecimal digits."""
    joined = "".join(ids)
    if not set(map(len, ids)) <= {2 * KEY_BYTES}:
        return None
    try:
        raw = bytes.fromhex(joined)
    except ValueError:
        return None
    return raw if raw.hex() == joined else None  # upper-case digits would be another id


def _key_of(id_: str) -> bytes:
    raw = _spelt([id_])
    return hashlib.blake2b(id_.encode(), digest_size=KEY_BYTES).digest() if raw is None else raw


def _column(halves: "array[int]") -> pa.Array:
    return pa.Array.from_buffers(pa.uint64(), len(halves), [None, pa.py_buffer(halves)])
