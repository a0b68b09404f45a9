"""Pages of rows: from the bytes of an answer to Arrow, without an object for each value.

Arrow reads JSON twice as fast as Python objects can be made of it, and lets the event loop go on meanwhile. It takes
only what fits the columns' types. A page where something does not fit is read the slow way, value by value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from bot.sources.dataverse.columns import INSTANT, Column, Row, coerced

NEXT_LINK = "@odata.nextLink"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of an answer, with the columns asked for, and the link of the next page as it came.

    `lost`: by column, flags of the rows whose value did not fit the column's type and became null.
    """

    rows: pa.RecordBatch
    next: str | None
    lost: Mapping[str, pa.Array] = field(default_factory=dict)


def read_page(body: bytes, columns: Sequence[Column]) -> Page | None:
    """The page that an answer holds; None if the answer is not whole, or not of the promised form.

    It blocks for some milliseconds: call it in a thread.
    """
    try:
        return _at_once(body, columns)
    except (pa.ArrowException, UnicodeError):
        return _value_by_value(body, columns)


def read_object(body: bytes) -> Row | None:
    """The JSON object that an answer is; None if it is not whole, or something else."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        data = _without_half_characters(body)
    return data if isinstance(data, dict) else None


def _at_once(body: bytes, columns: Sequence[Column]) -> Page:
    """Raises one of Arrow's errors if anything is not as expected."""
    if body[:1] != b"{":
        raise pa.ArrowInvalid("not an object")  # Arrow 26 crashes on a text that is `null` and nothing else
    rows = pa.struct([(column.name, _in_json(column)) for column in columns])
    answer = arrow_json.read_json(
        pa.BufferReader(body),
        read_options=arrow_json.ReadOptions(block_size=len(body) + 1, use_threads=False),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=pa.schema([("value", pa.list_(rows)), (NEXT_LINK, pa.string())]),
            unexpected_field_behavior="ignore",
            newlines_in_values=True,
        ),
    )
    if answer.num_rows != 1 or answer.column("value").null_count:
        raise pa.ArrowInvalid("not a page")
    found = answer.column("value").chunk(0).flatten()
    found.validate(full=True)  # that it is UTF-8 is not looked at otherwise
    if found.null_count:
        raise pa.ArrowInvalid("a row that is none")
    arrays = [_typed(array, column) for array, column in zip(found.flatten(), columns, strict=True)]
    return Page(_batch(arrays, columns), answer.column(NEXT_LINK)[0].as_py())


def _in_json(column: Column) -> pa.DataType:
    return pa.string() if column.kind.arrow == INSTANT else column.kind.arrow


def _typed(array: pa.Array, column: Column) -> pa.Array:
    if column.kind.arrow != INSTANT:
        return array
    return pc.cast(pc.utf8_rtrim(array, characters="Z"), INSTANT)


def _value_by_value(body: bytes, columns: Sequence[Column]) -> Page | None:
    data = read_object(body)
    rows = data.get("value") if data else None
    if data is None or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    arrays, lost = [], {}
    for column in columns:
        values = [row.get(column.name) for row in rows]
        fitting = [None if value is None else coerced(value, column.kind) for value in values]
        flags = [value is not None and fit is None for value, fit in zip(values, fitting, strict=True)]
        if any(flags):
            lost[column.name] = pa.array(flags)
        arrays.append(pa.array(fitting, column.kind.arrow))
    following = data.get(NEXT_LINK)
    return Page(_batch(arrays, columns), following if following is None else str(following), lost)


def _batch(arrays: Sequence[pa.Array], columns: Sequence[Column]) -> pa.RecordBatch:
    return pa.record_batch(list(arrays), schema=pa.schema([(column.name, column.kind.arrow) for column in columns]))


def _without_half_characters(body: bytes) -> Any:
    """JSON that is whole but holds what UTF-8 can't (half of a surrogate pair in somebody's name), without that."""
    try:
        data = json.loads(body)
        return orjson.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except ValueError:
        return None
