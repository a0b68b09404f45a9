"""Who is a member of what, gathered from the memberships' pages.

A million members take some 24 bytes each: a key, and a bit for each segment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from bot.sources.dataverse.faults import TooManyMembers
from bot.sources.dataverse.keys import Keys
from bot.sources.dataverse.names import read_names
from bot.sources.nearest import folded

WORD_BITS = 64
WORD = (1 << WORD_BITS) - 1
COUNTED_NAMES = 256  # when all segments are counted: members of further ones are not
KNOWN_TEXTS = 50_000  # texts whose meaning is kept at hand …
KNOWN_CHARACTERS = 8_000_000  # … as long as they are no longer than this together: one alone may have a million
NAME_CHARACTERS = 500_000  # of names that turned up, remembered together; Customer Insights allows 1,000 segments

SEGMENT_LIST = pa.list_(pa.int32())


@dataclass(frozen=True, slots=True)
class Members:
    """Everybody who is in one of `names`: `keys` (ascending, distinct) and bits by segment, in 64-bit words.

    `odd` holds the ids that are not spelt by their keys.
    """

    names: tuple[str, ...]
    keys: Keys
    words: tuple[pa.Array, ...]
    odd: dict[bytes, str]

    def __len__(self) -> int:
        return len(self.keys)

    def places(self, ids: Sequence[str]) -> pa.Array:
        """Where these customers stand among the members (uint64); null for who is none."""
        return self.keys.places(Keys.of(ids))

    def ids(self) -> Iterable[str]:
        return (self.odd.get(key) or key.hex() for key in self.keys.raw())

    def segments_at(self, places: Sequence[int]) -> pa.Array:
        """The segments (list<int32>: indexes of names, ascending) of the members at these places."""
        where = pa.array(places, pa.uint32())
        rows = zip(*(word.take(where).to_pylist() for word in self.words), strict=True)
        kinds: dict[tuple[int, ...], int] = {}
        kind = [kinds.setdefault(row, len(kinds)) for row in rows]
        return pa.array(map(_positions, kinds), SEGMENT_LIST).take(pa.array(kind, pa.int32()))

    def counts(self) -> dict[str, int]:
        """Members of each segment."""
        return {name: _count(self.words[i // WORD_BITS], i % WORD_BITS) for i, name in enumerate(self.names)}


class Roll:
    """The members of segments, page by page. Several rows of one customer are united.

    `names`: the segments that matter, or None to take in every segment that turns up. `most`: how many members there
    may be before `TooManyMembers` is raised.
    """

    def __init__(self, names: Sequence[str] | None = None, most: int | None = None) -> None:
        self.names = names
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Forget every row: the scan begins again."""
        self.rows = 0
        self.unreadable = 0  # rows of whose text nothing could be made
        self.nameless = 0  # rows without a customer's id
        self.again = 0  # further rows of a customer, found out by `members`
        self._by_fold: dict[str, list[str]] = {}  # these names by what is alike in them
        self._name_characters = 0
        self.seen: set[str] = set()  # every name that turned up, or very many of them
        self._bits = {name: bit for bit, name in enumerate(self.names or ())}
        self._texts: dict[str | None, int | None] = {}
        self._characters = 0  # of all these texts
        self._odd: dict[bytes, str] = {}
        self._keys: list[Keys] = []
        self._masks: list[list[pa.Array]] = []  # for each of `_keys` its words
        self._loose = 0  # keys that were added since the last time they were sorted out

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a page (`columns.MEMBERSHIP`). It blocks for a few milliseconds: call it in a thread."""
        ids, texts = rows.columns
        meanings = self._meanings(texts)
        readable = meanings.readable.take(meanings.of_row)
        named = pc.greater(pc.fill_null(pc.binary_length(ids), 0), 0)
        self.rows += len(rows)
        self.unreadable += readable.false_count
        self.nameless += pc.and_not(readable, named).true_count

        matters = pc.and_(named, meanings.matter.take(meanings.of_row))
        if not matters.true_count:
            return
        kept = meanings.of_row.filter(matters)
        self._keys.append(Keys.of(ids.filter(matters).to_pylist(), self._odd))
        self._masks.append([word.take(kept) for word in meanings.words])
        self._loose += len(kept)
        if self.most is not None and self._loose > self.most and self._total > 2 * self.most:
            self.members()

    def members(self) -> Members:
        """Everybody who turned up so far, once each. Raises `TooManyMembers`."""
        total = self._total
        keys, words = self._sorted_out()
        self.again += total - len(keys)
        self._keys, self._masks, self._loose = [keys], [words], 0
        if self.most is not None and len(keys) > self.most:
            raise TooManyMembers(most=f"{self.most:,}")
        return Members(tuple(self._bits), keys, tuple(words), self._odd)

    def near(self, name: str) -> list[str]:
        """Names that turned up and differ from this one only in case, width of letters or blanks around them."""
        return sorted(other for other in self._by_fold.get(folded(name), ()) if other != name)

    @property
    def _width(self) -> int:
        """How many words the bits of all segments take."""
        return max(1, -(-len(self._bits) // WORD_BITS))

    @property
    def _total(self) -> int:
        return sum(map(len, self._keys))

    def _meanings(self, texts: pa.Array) -> "_Meanings":
        """What a page's texts say. The same few texts come again and again: each is read once."""
        encoded = texts.dictionary_encode(null_encoding="encode")
        masks = [self._mask_of(text) for text in encoded.dictionary.to_pylist()]
        return _Meanings(
            of_row=encoded.indices,
            readable=pa.array([mask is not None for mask in masks], pa.bool_()),
            matter=pa.array([bool(mask) for mask in masks], pa.bool_()),
            words=_words([mask or 0 for mask in masks], self._width),
        )

    def _mask_of(self, text: str | None) -> int | None:
        """The segments that a membership names, as bits; None if it can't be read."""
        if text not in self._texts:
            self._characters += len(text or "")
            if len(self._texts) >= KNOWN_TEXTS or self._characters > KNOWN_CHARACTERS:
                self._texts.clear()
                self._characters = len(text or "")
            self._texts[text] = self._learn(text)
        return self._texts[text]

    def _learn(self, text: str | None) -> int | None:
        names = read_names(text)
        if names is None:
            return None
        for name in names:
            if name not in self.seen and self._name_characters + len(name) <= NAME_CHARACTERS:
                self._name_characters += len(name)
                self.seen.add(name)
                self._by_fold.setdefault(folded(name), []).append(name)
        if self.names is None:
            for name in names:
                if name not in self._bits and len(self._bits) < COUNTED_NAMES:
                    self._bits[name] = len(self._bits)
        mask = 0
        for name in names:
            if (bit := self._bits.get(name)) is not None:
                mask |= 1 << bit
        return mask

    def _sorted_out(self) -> tuple[Keys, list[pa.Array]]:
        """Keys in order, without doubles; the bits of several rows of one customer are put together."""
        keys = Keys.joined(self._keys)
        order = keys.order()
        keys = keys.take(order)
        words = []
        for index in range(self._width):
            parts = [masks[index] if index < len(masks) else _zeros(len(masks[0])) for masks in self._masks]
            words.append(pa.concat_arrays(parts or [_zeros(0)]).take(order))
        if len(keys) > 1 and (again := keys.same_after(1)).true_count:
            words = _united(keys, words)
            first = pa.concat_arrays([pa.array([True]), pc.invert(again)])
            keys, words = keys.filter(first), [word.filter(first) for word in words]
        return keys, words


@dataclass(frozen=True, slots=True)
class _Meanings:
    """The distinct texts of a page: which one each row has, and of each text whether it could be read, names a segment
    that matters, and which ones (as words of bits).
    """

    of_row: pa.Array
    readable: pa.Array
    matter: pa.Array
    words: list[pa.Array]


def _united(keys: Keys, words: list[pa.Array]) -> list[pa.Array]:
    """Give the first row of each run of equal keys the bits of all its rows.

    Each step reaches twice as far as the one before; a run longer than a step has equal keys at that distance.
    """
    step = 1
    while step < len(keys) and (same := keys.same_after(step)).true_count:
        zeros = _zeros(len(same))
        words = [
            pa.concat_arrays([pc.bit_wise_or(word[:-step], pc.if_else(same, word[step:], zeros)), word[-step:]])
            for word in words
        ]
        step *= 2
    return words


def _words(masks: Sequence[int], width: int) -> list[pa.Array]:
    return [pa.array([mask >> (index * WORD_BITS) & WORD for mask in masks], pa.uint64()) for index in range(width)]


def _zeros(length: int) -> pa.Array:
    return pa.repeat(pa.scalar(0, pa.uint64()), length)


def _positions(words: tuple[int, ...]) -> list[int]:
    mask = sum(word << (index * WORD_BITS) for index, word in enumerate(words))
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def _count(word: pa.Array, bit: int) -> int:
    masked = pc.bit_wise_and(word, pa.scalar(1 << bit, pa.uint64()))
    return len(word) - int(pc.equal(masked, pa.scalar(0, pa.uint64())).true_count)
