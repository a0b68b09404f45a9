"""What can go wrong with files and with segments, in words that hold nothing of the profiles and no path.

DuckDB's messages quote the data they stumble over: a whole line of a CSV file, the value that a cast refused, whatever
SQL hands to `error()`. These texts end up in chat messages and logs, so none of that is passed on.
"""

import re
from collections.abc import Mapping

from bot.sources.base import SegmentFailed, SourceError
from bot.sources.tables.files import Table
from storage.errors import mark

LONGEST_DETAIL = 240  # characters


class SegmentAmbiguous(SourceError):
    code = "segment-ambiguous"
    what = mark("Two files make the segment *{segment}*: {first} and {second}.")
    remedy = mark("Keep one of them in the source's folder segments, or rename one.")


class SegmentListFailed(SegmentFailed):
    code = "segment-list-failed"
    what = mark("The list of the segment *{segment}* can't be read: {detail}.")
    remedy = mark("Mend the file: a column named CustomerId with one id a row (CSV: UTF-8, with this name as header).")


class SegmentTableFailed(SegmentFailed):
    code = "segment-table-failed"
    what = mark("The table of the segment *{segment}* can't be read: {detail}.")
    remedy = mark("Run the export of Customer Insights that writes this folder again, then run this one.")


def in_table(message: str, table: Table) -> str | None:
    """What DuckDB's message says is wrong with the table's files; None if it is about something else."""
    csv = re.search(r"CSV Error on Line: (\d+)", message)
    if csv is None and not any(sign in message for sign in _SIGNS):
        return None
    file = next((shown for shown, path in table.files.items() if str(path) in message), None)
    name = file or (table.name if len(table.files) == 1 else f"one of {table.name}")
    if csv is not None:
        return f"{name}, line {int(csv[1]):,}: {_csv_fault(message)}"
    return f"{name} {next(fault for sign, fault in _SIGNS.items() if sign in message)}"


def _csv_fault(message: str) -> str:
    width = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if width:
        return f"{width[2]} columns where the header has {width[1]}"
    if "not utf-8 encoded" in message:
        return "it is not UTF-8 text; save the file as UTF-8"
    if "unterminated quote" in message:
        return "a quote is not closed"
    if "Maximum line size" in message:
        return "it is too long"
    return "it is not valid CSV"


_DAMAGED = "is damaged or is not a Parquet file"
_SIGNS: Mapping[str, str] = {
    "CSV Parser state machine": "is not valid CSV (lines that end in different ways, or a stray quote)",
    "too small to be a Parquet file": _DAMAGED,
    "No magic bytes found": _DAMAGED,
    "TProtocolException": _DAMAGED,
    "Failed to read file": _DAMAGED,
    "decompression failure": _DAMAGED,
    "Failed to read Parquet": _DAMAGED,
    "No files found that match": "is not there any more",
    "Cannot open file": "can't be opened",
    "Could not read": "can't be read to its end; perhaps it is damaged",
}


def in_sql(kind: str, message: str, memory_mb: int) -> str:
    """What DuckDB says is wrong with a segment's SQL. `kind` is the name of its exception's class."""
    if kind in _OF_PLAN:
        return _first_sentence(message)
    wording = _WORDINGS.get(kind)
    return wording.format(memory_mb=memory_mb) if wording else f"DuckDB can't run it ({kind[:40]})"


def _first_sentence(message: str) -> str:
    words = message.split("\n\n")[0].split("\nLINE ")[0].partition("Error: ")[2] or message
    shown = _PATH.sub("…", " ".join(words.split())).rstrip(".!? ")
    return shown if len(shown) <= LONGEST_DETAIL else shown[: LONGEST_DETAIL - 1] + "…"


# Raised while DuckDB knows the SQL and the columns and has read no row: its own words are good, and safe to show.
# ("Refused" is the child program's.)
_OF_PLAN = frozenset({"Refused", "ParserException", "BinderException", "CatalogException", "NotImplementedException"})
_PATH = re.compile(r"(?:[A-Za-z]+:/|~)?/[\w.~][^\s\"',;)]*|[A-Za-z]:\\[^\s\"',;)]+")
_ABROAD = "it reaches for something other than profiles (a file, the network, an extension)"
_TOO_LARGE = "it needs more than {memory_mb} MB of memory"
_WORDINGS: Mapping[str, str] = {
    "PermissionException": _ABROAD,
    "IOException": _ABROAD,
    "ConversionException": "a value does not fit the type that it is cast to; TRY_CAST gives NULL instead",
    "InvalidInputException": "a function was given a value that it does not take",
    "OutOfRangeException": "a number is out of range",
    "OutOfMemoryException": _TOO_LARGE,
    "MemoryError": _TOO_LARGE,
}
