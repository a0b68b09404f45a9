"""The source *tables*: its layout, what it yields, and what it says about bad input.

Reference: the issue's paragraphs on the tables source and on bad input; toolbox.md §1 (streaming).
"""

import asyncio
import threading
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.duck import identifier, literal
from bot.sources.base import FieldMissing, SegmentFailed, SegmentMissing, Source, SourceError, SourceUnreadable
from bot.sources.tables import TablesSource
from bot.sources.tables import segments as segments_module
from bot.sources.tables.child import Job, Limits, compute
from bot.sources.tables.desk import Desk
from bot.sources.tables.membership import fold, locate

CHINOOK = Path(__file__).parents[3] / "shared" / "data" / "chinook"
EVERYBODY = "SELECT CustomerId FROM profiles"
PEOPLE = "CustomerId,Email,PostalCode\n001,ada@example.com,01067\n002,bob@example.com,\n003,Cé@example.com,H2G 1A7\n"


def folder(path: Path, profiles: str | bytes | None = PEOPLE, **segments: str) -> Path:
    """A source's folder with a `profiles.csv` and the SQL of some segments."""
    (path / "segments").mkdir(parents=True, exist_ok=True)
    if profiles is not None:
        (path / "profiles.csv").write_bytes(profiles.encode() if isinstance(profiles, str) else profiles)
    for name, sql in segments.items():
        (path / "segments" / f"{name}.sql").write_text(sql)
    return path


def write_parquet(path: Path, select: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect().execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet)")


async def rows_of(source: TablesSource, segments: Sequence[str], fields: Sequence[str]) -> list[dict[str, Any]]:
    async with source.profiles(segments, fields) as stream:
        rows = [row async for batch in stream for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: str(row["CustomerId"]))


async def failure_of(work: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await work
    return caught.value


def children_of_segments() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any("program.py" in word for word in child.cmdline())]


def threads_of_desks() -> list[threading.Thread]:
    """Desks' threads that still live after they had the time to end."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("tables")]
    for thread in threads:
        thread.join(10)
    return [thread for thread in threads if thread.is_alive()]


# What comes out


async def test_the_tables_source_keeps_the_protocol(tmp_path: Path) -> None:
    source: Source = TablesSource(folder(tmp_path / "people", vip=EVERYBODY))
    assert (source.kind, source.label) == ("tables", "people")
    await source.check()
    await source.close()


async def test_members_come_with_the_asked_for_fields_and_the_indexes_of_their_segments(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        all=EVERYBODY,
        posted="SELECT CustomerId FROM profiles WHERE PostalCode IS NOT NULL",
        nobody="SELECT CustomerId FROM profiles WHERE false",
        ada="SELECT '001' AS CustomerId",
    )
    rows = await rows_of(TablesSource(path), ["ada", "nobody", "posted"], ["PostalCode", "Email"])
    assert rows == [
        {"CustomerId": "001", "PostalCode": "01067", "Email": "ada@example.com", "segments": [0, 2]},
        {"CustomerId": "003", "PostalCode": "H2G 1A7", "Email": "Cé@example.com", "segments": [2]},
    ]


async def test_columns_stand_in_the_order_asked_for_with_the_types_of_the_protocol(tmp_path: Path) -> None:
    path = folder(tmp_path, all=EVERYBODY)
    async with TablesSource(path).profiles(["all"], ["PostalCode", "Email", "CustomerId"]) as stream:
        batches = [batch async for batch in stream]
    assert batches[0].schema.names == ["CustomerId", "PostalCode", "Email", "segments"]
    assert batches[0].schema.types == [pa.string(), pa.string(), pa.string(), pa.list_(pa.int32())]


async def test_numbers_booleans_and_dates_of_parquet_keep_their_type_and_the_rest_is_text(tmp_path: Path) -> None:
    path = folder(tmp_path, None, all=EVERYBODY)
    values = {
        "text": "'x'",
        "whole": "7::INTEGER",
        "real": "1.5::DOUBLE",
        "exact": "12.30::DECIMAL(18, 2)",
        "yes": "true",
        "day": "DATE '2024-02-29'",
        "moment": "TIMESTAMP '2024-02-29 12:00:00'",
        "zoned": "TIMESTAMPTZ '2024-02-29 12:00:00+02'",
        "clock": "TIME '12:30:00'",
        "tags": "['a', 'b']",
    }
    columns = ", ".join(f"{value} AS {identifier(name)}" for name, value in values.items())
    write_parquet(path / "profiles.parquet", f"SELECT 17::BIGINT AS CustomerId, {columns}")
    source = TablesSource(path)
    assert {field.name: field.type for field in await source.fields()} == {
        "text": "text",
        "whole": "number",
        "real": "number",
        "exact": "number",
        "yes": "boolean",
        "day": "date",
        "moment": "date",
        "zoned": "date",
        "clock": "text",
        "tags": "text",
    }
    (row,) = await rows_of(source, ["all"], list(values))
    assert row == {
        "CustomerId": "17",
        "text": "x",
        "whole": 7,
        "real": 1.5,
        "exact": Decimal("12.30"),
        "yes": True,
        "day": date(2024, 2, 29),
        "moment": datetime(2024, 2, 29, 12),  # noqa: DTZ001
        "zoned": datetime(2024, 2, 29, 10),  # noqa: DTZ001
        "clock": "12:30:00",
        "tags": "[a, b]",
        "segments": [0],
    }


async def test_the_summary_counts_members_those_without_profile_and_profiles_without_id(tmp_path: Path) -> None:
    people = (
        'CustomerId,Email\n001,a@example.com\n,b@example.com\n"",c@example.com\n002,d@example.com\n002,e@example.com\n'
    )
    path = folder(tmp_path, people, all=EVERYBODY)
    (path / "segments" / "list.csv").write_text("CustomerId\n001\n001\n\n404\n405\n")
    (path / "segments" / "more.csv").write_text("CustomerId\n404\n")
    async with TablesSource(path).profiles(["all", "list", "more"], ["Email"]) as stream:
        rows = sum([len(batch) async for batch in stream])
    assert rows == 3
    assert stream.summary.members == {"all": 2, "list": 3, "more": 1}
    assert stream.summary.without_profile == 2
    assert stream.summary.notes == ["2 rows of profiles have no CustomerId and were left out."]


async def test_several_rows_with_one_id_are_each_a_row_of_the_stream(tmp_path: Path) -> None:
    path = folder(tmp_path, "CustomerId,Email\n1,a@example.com\n1,b@example.com\n", all=EVERYBODY)
    assert [row["Email"] for row in await rows_of(TablesSource(path), ["all"], ["Email"])] == [
        "a@example.com",
        "b@example.com",
    ]


async def test_a_segment_without_members_yields_nothing_and_still_counts(tmp_path: Path) -> None:
    path = folder(tmp_path, "CustomerId,Email\n,a@example.com\n", all=EVERYBODY)
    async with TablesSource(path).profiles(["all"], ["Email"]) as stream:
        assert [batch async for batch in stream] == []
    assert (stream.summary.members, stream.summary.without_profile) == ({"all": 0}, 0)
    assert len(stream.summary.notes) == 1


async def test_many_members_come_in_batches_of_moderate_size_each_once_with_the_right_segments(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        None,
        even="SELECT CustomerId FROM profiles WHERE number % 2 = 0",
        third="SELECT CustomerId FROM profiles WHERE number % 3 = 0 ORDER BY random()",
        rare="SELECT CustomerId FROM profiles WHERE number % 40000 = 0 UNION ALL SELECT 'gone'",
    )
    write_parquet(
        path / "profiles.parquet", "SELECT md5(i::VARCHAR) AS CustomerId, i AS number FROM range(150000) t(i)"
    )
    names = ["third", "even", "rare"]
    async with TablesSource(path).profiles(names, ["number"]) as stream:
        batches = [batch async for batch in stream]
    assert all(10_000 <= len(batch) <= 50_000 for batch in batches[:-1])
    found = {row["number"]: row["segments"] for batch in batches for row in batch.to_pylist()}
    assert sum(map(len, batches)) == len(found)
    tests: list[Callable[[int], bool]] = [lambda i: i % 3 == 0, lambda i: i % 2 == 0, lambda i: i % 40_000 == 0]
    wanted = {i: [index for index, is_in in enumerate(tests) if is_in(i)] for i in range(150_000)}
    assert found == {number: indexes for number, indexes in wanted.items() if indexes}
    assert stream.summary.members == {"third": 50_000, "even": 75_000, "rare": 5}
    assert stream.summary.without_profile == 1


async def test_a_stream_that_has_ended_stays_ended(tmp_path: Path) -> None:
    async with TablesSource(folder(tmp_path, all=EVERYBODY)).profiles(["all"], []) as stream:
        assert sum([len(batch) async for batch in stream]) == 3
        assert [batch async for batch in stream] == []
    assert stream.summary.members == {"all": 3}


async def test_files_of_different_schema_are_united_by_column_name(tmp_path: Path) -> None:
    path = folder(tmp_path, None, all=EVERYBODY)
    write_parquet(path / "profiles" / "1.parquet", "SELECT '1' AS CustomerId, 'a@example.com' AS Email, 5 AS Points")
    write_parquet(path / "profiles" / "2.parquet", "SELECT 'Bonn' AS City, '2' AS CustomerId")
    write_parquet(path / "profiles" / ".hidden.parquet", "SELECT '3' AS CustomerId")
    (path / "profiles" / "_SUCCESS").touch()
    assert await rows_of(TablesSource(path), ["all"], ["Email", "Points", "City"]) == [
        {"CustomerId": "1", "Email": "a@example.com", "Points": 5, "City": None, "segments": [0]},
        {"CustomerId": "2", "Email": None, "Points": None, "City": "Bonn", "segments": [0]},
    ]


@pytest.mark.parametrize("name", ["year=2024", "we[ir]d *?", "it's", "資料"])
async def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path / name, None, all=EVERYBODY)
    write_parquet(path / "profiles" / "p [1].parquet", "SELECT '1' AS CustomerId, 'a@example.com' AS Email")
    source = TablesSource(path)
    assert [field.name for field in await source.fields()] == ["Email"]
    assert len(await rows_of(source, ["all"], ["Email"])) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + PEOPLE.encode(),
        PEOPLE.replace("\n", "\r\n").encode(),
        PEOPLE.replace(",", ";").encode(),
        PEOPLE.replace(",", "\t").encode(),
        PEOPLE.rstrip("\n").encode(),
        PEOPLE.replace("Cé@example.com", '"Cé@example.com"').encode(),
        PEOPLE.replace("\n", ",\n").encode(),
    ],
    ids=["byte order mark", "CR LF", "semicolons", "tabs", "no newline at the end", "quotes", "delimiter at line ends"],
)
async def test_csv_files_of_several_habits_are_read_alike_and_every_column_is_text(tmp_path: Path, text: bytes) -> None:
    source = TablesSource(folder(tmp_path, text, all=EVERYBODY))
    assert await rows_of(source, ["all"], ["Email", "PostalCode"]) == [
        {"CustomerId": "001", "Email": "ada@example.com", "PostalCode": "01067", "segments": [0]},
        {"CustomerId": "002", "Email": "bob@example.com", "PostalCode": None, "segments": [0]},
        {"CustomerId": "003", "Email": "Cé@example.com", "PostalCode": "H2G 1A7", "segments": [0]},
    ]
    assert {field.type for field in await source.fields()} == {"text"}


async def test_quoted_csv_values_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = 'CustomerId,"Name, full"\n1,"Ada ""the first""\nof two, really"\n'
    rows = await rows_of(TablesSource(folder(tmp_path, text, all=EVERYBODY)), ["all"], ["Name, full"])
    assert rows[0]["Name, full"] == 'Ada "the first"\nof two, really'


async def test_fields_keep_their_names_and_those_that_every_batch_has_anyway_are_not_offered(tmp_path: Path) -> None:
    header = "customerid,E-Mail,Größe (cm),客戶,it's,key,c0,Segments"
    path = folder(tmp_path, f"{header}\n1,2,3,4,5,6,7,8\n", all=EVERYBODY)
    source = TablesSource(path)
    names = ["E-Mail", "Größe (cm)", "客戶", "it's", "key", "c0"]
    assert [field.name for field in await source.fields()] == names
    (row,) = await rows_of(source, ["all"], names)
    assert list(row.values()) == ["1", "2", "3", "4", "5", "6", "7", [0]]
    assert isinstance(await failure_of(rows_of(source, ["all"], ["Segments"])), FieldMissing)


async def test_a_sample_gives_one_value_of_each_field_and_none_where_there_is_none(tmp_path: Path) -> None:
    path = folder(tmp_path, None)
    write_parquet(
        path / "profiles.parquet",
        "SELECT i::VARCHAR AS CustomerId, 'Ada' AS Name, 7 AS Points, '  ' AS Blank, NULL::VARCHAR AS Nothing, "
        "CASE WHEN i = 29999 THEN DATE '2024-01-31' END AS Rare FROM range(30000) t(i)",
    )
    assert await TablesSource(path).sample(["Name", "Points", "Blank", "Nothing", "Rare"]) == {
        "Name": "Ada",
        "Points": "7",
        "Blank": None,
        "Nothing": None,
        "Rare": "2024-01-31",
    }
    assert await TablesSource(path).sample([]) == {}


# Segments


async def test_segments_are_listed_by_name_and_small_lists_with_their_size(tmp_path: Path) -> None:
    path = folder(tmp_path, vip=EVERYBODY, 重要客戶=EVERYBODY, Alle=EVERYBODY)
    (path / "segments" / "list.csv").write_text("CustomerId\n001\n001\n002\n")
    write_parquet(path / "segments" / "other.PARQUET", "SELECT 1 AS CustomerId")
    (path / "segments" / "broken.csv").write_text("Email\na@example.com\n")
    (path / "segments" / ".hidden.sql").touch()
    (path / "segments" / "vip.sql~").touch()
    (path / "segments" / "README.md").touch()
    (path / "segments" / "archive").mkdir()
    listed = [(segment.name, segment.members) for segment in await TablesSource(path).segments()]
    assert listed == [("Alle", None), ("broken", None), ("list", 2), ("other", 1), ("vip", None), ("重要客戶", None)]


async def test_a_list_may_be_csv_or_parquet_and_its_ids_are_text(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "segments" / "a.csv").write_bytes(b"\xef\xbb\xbfCustomerId\r\n001\r\n002\r\n")
    write_parquet(path / "segments" / "b.parquet", "SELECT 'x' AS Note, '003' AS CustomerId UNION ALL SELECT 'y', NULL")
    source = TablesSource(path)
    rows = await rows_of(source, ["a", "b"], [])
    assert [(row["CustomerId"], row["segments"]) for row in rows] == [("001", [0]), ("002", [0]), ("003", [1])]
    assert (await source.count("a"), await source.count("b")) == (2, 1)


async def test_counting_a_segment_counts_its_distinct_ids(tmp_path: Path) -> None:
    twice = f"{EVERYBODY} UNION ALL {EVERYBODY} UNION ALL SELECT 'gone' UNION ALL SELECT NULL UNION ALL SELECT ''"
    assert await TablesSource(folder(tmp_path, twice=twice)).count("twice") == 4


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
async def test_names_are_compared_normalised(tmp_path: Path, stored: Any, asked: Any) -> None:
    path = folder(tmp_path, **{unicodedata.normalize(stored, "Café ボン"): EVERYBODY})
    source = TablesSource(path)
    assert [segment.name for segment in await source.segments()] == [unicodedata.normalize("NFC", "Café ボン")]
    name = unicodedata.normalize(asked, "Café ボン")
    async with source.profiles([name], []) as stream:
        assert sum([len(batch) async for batch in stream]) == 3
    assert stream.summary.members == {name: 3}


async def test_two_segments_with_chinese_names_stay_apart(tmp_path: Path) -> None:
    path = folder(tmp_path, 客戶細分="SELECT '001' AS CustomerId", 重要客戶="SELECT '002' AS CustomerId")
    rows = await rows_of(TablesSource(path), ["客戶細分", "重要客戶"], [])
    assert [(row["CustomerId"], row["segments"]) for row in rows] == [("001", [0]), ("002", [1])]


@pytest.mark.parametrize(
    ("names", "second"),
    [(["VIP.sql", "VIP.csv"], "VIP.sql"), (["Café.sql", "Cafe\N{COMBINING ACUTE ACCENT}.sql"], "Café.sql")],
)
async def test_two_files_of_one_name_are_refused_by_name(tmp_path: Path, names: list[str], second: str) -> None:
    path = folder(tmp_path, other=EVERYBODY)
    for name in names:
        (path / "segments" / name).write_text(EVERYBODY)
    source = TablesSource(path)
    segment = unicodedata.normalize("NFC", Path(names[0]).stem)
    for work in (source.segments(), source.check(), source.count(segment)):
        error = await failure_of(work)
        assert error.code == "segment-ambiguous"
        assert all(name in str(error) for name in [*names, segment])
    assert await source.count("other") == 3


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("vip", " Did you mean *VIP*?"),
        ("VIPs", " Did you mean *VIP*?"),
        ("ＶＩＰ", " Did you mean *VIP*?"),
        ("重要客户", " Did you mean *重要客戶*?"),
        ("newsletter", ""),
    ],
)
async def test_a_missing_segment_is_named_with_the_one_that_was_probably_meant(
    tmp_path: Path, asked: str, near: str
) -> None:
    source = TablesSource(folder(tmp_path / "crm", VIP=EVERYBODY, 重要客戶=EVERYBODY))
    for work in (source.count(asked), rows_of(source, ["VIP", asked], [])):
        error = await failure_of(work)
        assert isinstance(error, SegmentMissing)
        assert error.facts == {"segment": asked, "source": "crm", "near": near}


# Bad input


async def test_a_missing_field_is_named(tmp_path: Path) -> None:
    source = TablesSource(folder(tmp_path, all=EVERYBODY))
    for work in (rows_of(source, ["all"], ["Email", "Phone"]), source.sample(["Phone"])):
        error = await failure_of(work)
        assert isinstance(error, FieldMissing)
        assert error.facts["field"] == "Phone"


async def test_a_missing_field_is_found_before_any_segment_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(job: Job, limits: Limits) -> bytearray:
        raise AssertionError("a child was started")

    monkeypatch.setattr(segments_module, "compute", never)
    source = TablesSource(folder(tmp_path, all=EVERYBODY))
    assert isinstance(await failure_of(rows_of(source, ["all"], ["Phone"])), FieldMissing)


def nothing(path: Path) -> None:
    path.rmdir()


def only_segments(path: Path) -> None:
    folder(path, None)


def only_profiles(path: Path) -> None:
    (path / "profiles.csv").write_text(PEOPLE)


def both_forms(path: Path) -> None:
    folder(path)
    write_parquet(path / "profiles.parquet", "SELECT 1 AS CustomerId")


def empty_profiles_folder(path: Path) -> None:
    (folder(path, None) / "profiles").mkdir()


def a_csv(content: bytes) -> Callable[[Path], None]:
    return lambda path: void(folder(path, content, all=EVERYBODY))


def a_parquet(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        file = folder(path, None, all=EVERYBODY) / "profiles.parquet"
        write_parquet(file, "SELECT i::VARCHAR AS CustomerId, i || '@example.com' AS Email FROM range(20000) t(i)")
        file.write_bytes(content(file.read_bytes()))

    return make


def a_damaged_one_of_two(path: Path) -> None:
    folder(path, None, all=EVERYBODY)
    write_parquet(path / "profiles" / "1.parquet", "SELECT '1' AS CustomerId")
    (path / "profiles" / "2.parquet").write_bytes(b"no parquet, but ada@example.com")


def a_directory_for_a_file(path: Path) -> None:
    (folder(path, None, all=EVERYBODY) / "profiles.parquet").mkdir()


def a_link_out(path: Path) -> None:
    outside = path.parent / "outside.csv"
    outside.write_text(PEOPLE)
    (folder(path, None, all=EVERYBODY) / "profiles.csv").symlink_to(outside)


def a_link_out_among_several(path: Path) -> None:
    outside = path.parent / "outside.parquet"
    write_parquet(outside, "SELECT '1' AS CustomerId")
    folder(path, None, all=EVERYBODY)
    write_parquet(path / "profiles" / "1.parquet", "SELECT '1' AS CustomerId")
    (path / "profiles" / "2.parquet").symlink_to(outside)


def a_dangling_link(path: Path) -> None:
    (folder(path, None, all=EVERYBODY) / "profiles.csv").symlink_to(path / "gone.csv")


def void(_: object) -> None:
    """Nothing, whatever came before."""


def scrambled(content: bytes) -> bytes:
    """A file whose beginning and end are sound and whose pages are not."""
    half = len(content) // 2
    return content[:100] + bytes(byte ^ 0x55 for byte in content[100:half]) + content[half:]


LATE = b"CustomerId,Email\n" + b"1,ada@example.com\n" * 40_000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, ["the folder crm is not there"]),
        (only_segments, ["no profiles.parquet, profiles.csv or folder profiles"]),
        (only_profiles, ["no folder named segments"]),
        (both_forms, ["both profiles.parquet and profiles.csv"]),
        (empty_profiles_folder, ["folder profiles has no .parquet file"]),
        (a_csv(b""), ["profiles.csv is empty"]),
        (a_csv(b"Id,Email\n1,ada@example.com\n"), ["profiles.csv has no column named CustomerId", "Id"]),
        (a_csv("CustomerId,Größe\n1,ada@example.com\n".encode("latin-1")), ["profiles.csv is not UTF-8"]),
        (a_csv(PEOPLE.encode("utf-16")), ["profiles.csv is not UTF-8"]),
        (a_csv(b"CustomerId,Email,email\n1,ada@example.com,x\n"), ["profiles.csv has two columns named email"]),
        (a_csv(b'CustomerId,"Email\n1,ada@example.com\n'), ["header of profiles.csv"]),
        (a_parquet(lambda _: b""), ["profiles.parquet is damaged"]),
        (a_parquet(lambda _: PEOPLE.encode()), ["profiles.parquet is damaged"]),
        (a_parquet(lambda content: content[:-50]), ["profiles.parquet is damaged"]),
        (a_parquet(lambda content: content[: len(content) // 2]), ["profiles.parquet is damaged"]),
        (a_parquet(lambda content: content[:-200] + b"\x13" * 192 + content[-8:]), ["profiles.parquet", "damaged"]),
        (a_damaged_one_of_two, ["profiles/2.parquet is damaged"]),
        (a_directory_for_a_file, ["profiles.parquet is not a file"]),
        (a_link_out, ["profiles.csv is a link that leads out"]),
        (a_link_out_among_several, ["profiles/2.parquet is a link that leads out"]),
        (a_dangling_link, ["profiles.csv can't be opened"]),
    ],
)
async def test_an_unreadable_source_is_found_by_a_check_that_names_file_and_cause(
    tmp_path: Path, make: Callable[[Path], None], words: list[str]
) -> None:
    path = tmp_path / "crm"
    path.mkdir()
    make(path)
    error = await failure_of(TablesSource(path).check())
    assert isinstance(error, SourceUnreadable)
    assert error.facts["source"] == "crm"
    assert all(word in str(error.facts["detail"]) for word in words)
    assert "example.com" not in str(error)
    assert str(tmp_path) not in str(error)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            a_csv(LATE + b"2,bob@example.com,x\n" + LATE[17:]),
            ["profiles.csv, line 40,002", "3 columns", "header has 2"],
        ),
        (a_csv(LATE + b"bob@example.com\n"), ["profiles.csv, line 40,002", "1 columns"]),
        (a_csv(LATE + b"2,b\xf6b@example.com\n"), ["profiles.csv, line 40,002", "not UTF-8"]),
        (a_csv(LATE + b'2,"bob@example.com\n'), ["profiles.csv, line 40,002", "quote"]),
        (a_csv(b"CustomerId,Email\r\n1,ada@example.com\n2,bob@example.com\r\n"), ["profiles.csv is not valid CSV"]),
        (a_parquet(scrambled), ["profiles.parquet is damaged"]),
    ],
)
@pytest.mark.parametrize("everybody", [EVERYBODY, "SELECT '1' AS CustomerId"])
async def test_damage_in_the_midst_of_a_file_is_reported_without_a_word_of_its_content(
    tmp_path: Path, make: Callable[[Path], None], words: list[str], everybody: str
) -> None:
    path = tmp_path / "crm"
    make(path)
    (path / "segments" / "all.sql").write_text(everybody)
    error = await failure_of(rows_of(TablesSource(path), ["all"], ["Email"]))
    assert isinstance(error, SourceUnreadable)
    assert all(word in str(error.facts["detail"]) for word in words)
    assert "example.com" not in str(error)
    assert str(tmp_path) not in str(error)
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "list.csv",
            b"Id,Email\n1,ada@example.com\n",
            ["segments/list.csv has no column named CustomerId", "(the first is Id)"],
        ),
        ("list.csv", b"ada@example.com\nbob@example.com\n", ["segments/list.csv has no column named CustomerId"]),
        ("list.csv", b"", ["segments/list.csv is empty"]),
        ("list.csv", b"CustomerId\n1\nada@example.com,2\n", ["segments/list.csv, line 3", "2 columns"]),
        ("list.csv", b"CustomerId\nb\xf6b@example.com\n", ["segments/list.csv, line 2", "not UTF-8"]),
        ("list.parquet", b"ada@example.com", ["segments/list.parquet is damaged"]),
    ],
)
async def test_a_bad_list_is_reported_with_its_segment_its_file_and_the_cause(
    tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    path = folder(tmp_path)
    (path / "segments" / name).write_bytes(content)
    source = TablesSource(path)
    await source.check()
    for work in (source.count("list"), rows_of(source, ["list"], [])):
        error = await failure_of(work)
        assert isinstance(error, SegmentFailed)
        assert error.code == "segment-list-failed"
        assert all(word in str(error) for word in ["*list*", *words])
        assert "example.com" not in str(error)


async def test_a_segment_file_that_is_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.sql").write_text("SELECT 'hush' AS CustomerId")
    path = folder(tmp_path / "crm")
    (path / "segments" / "link.sql").symlink_to(tmp_path / "secret.sql")
    error = await failure_of(TablesSource(path).count("link"))
    assert error.facts["detail"].args == ("segments/link.sql is a link that leads out of the folder",)  # type: ignore[attr-defined]


async def test_links_inside_of_the_folder_are_followed(tmp_path: Path) -> None:
    path = folder(tmp_path, None, all=EVERYBODY)
    (path / "versions").mkdir()
    (path / "versions" / "2.csv").write_text(PEOPLE)
    (path / "profiles.csv").symlink_to(path / "versions" / "2.csv")
    assert await TablesSource(path).count("all") == 3


# Leaving early


def many_profiles(path: Path, **segments: str) -> Path:
    folder(path, None, **segments)
    write_parquet(
        path / "profiles.parquet", "SELECT i::VARCHAR AS CustomerId, md5(i::VARCHAR) AS Hash FROM range(200000) t(i)"
    )
    return path


async def test_leaving_after_the_first_batch_frees_everything(tmp_path: Path) -> None:
    async with TablesSource(many_profiles(tmp_path, all=EVERYBODY)).profiles(["all"], ["Hash"]) as stream:
        async for _ in stream:
            break
    assert threads_of_desks() == []
    assert children_of_segments() == []


async def test_an_error_of_the_reader_passes_through_and_frees_everything(tmp_path: Path) -> None:
    source = TablesSource(many_profiles(tmp_path, all=EVERYBODY))

    async def stumble() -> None:
        async with source.profiles(["all"], ["Hash"]) as stream:
            async for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()
    assert threads_of_desks() == []


async def test_cancelling_while_a_segment_is_computed_kills_the_children_and_frees_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def watched(job: Job, limits: Limits) -> bytearray:
        begun.set()
        return await compute(job, limits)

    monkeypatch.setattr(segments_module, "compute", watched)
    forever = "SELECT CustomerId FROM profiles WHERE pg_sleep(3600) IS NOT NULL"
    source = TablesSource(many_profiles(tmp_path, one=forever, two=forever, three=forever), segment_seconds=3600)
    task = asyncio.create_task(rows_of(source, ["one", "two", "three"], []))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children_of_segments() == []
    assert threads_of_desks() == []


async def test_a_segment_that_fails_ends_the_others_at_once(tmp_path: Path) -> None:
    forever = "SELECT CustomerId FROM profiles WHERE pg_sleep(3600) IS NOT NULL"
    source = TablesSource(folder(tmp_path, bad="SELEKT", slow=forever, slower=forever), segment_seconds=3600)
    error = await failure_of(rows_of(source, ["slow", "bad", "slower"], []))
    assert error.facts["segment"] == "bad"
    assert children_of_segments() == []


async def test_no_more_than_two_segments_are_computed_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, pair = 0, 0, asyncio.Barrier(2)

    async def counted(job: Job, limits: Limits) -> bytearray:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await pair.wait()
        running -= 1
        sink = pa.BufferOutputStream()
        pa.ipc.new_stream(sink, pa.schema([("key", pa.binary())])).close()
        return bytearray(sink.getvalue().to_pybytes())

    monkeypatch.setattr(segments_module, "compute", counted)
    names = ["a", "b", "c", "d", "e", "f"]
    source = TablesSource(folder(tmp_path, **dict.fromkeys(names, EVERYBODY)))
    await asyncio.gather(rows_of(source, names[:4], []), rows_of(source, names[4:], []))
    assert (running, most) == (0, 2)


async def test_the_loop_goes_on_while_a_segment_is_computed(tmp_path: Path) -> None:
    forever = "SELECT CustomerId FROM profiles WHERE pg_sleep(3600) IS NOT NULL"
    source = TablesSource(folder(tmp_path, slow=forever, all=EVERYBODY), segment_seconds=3600)
    slow = asyncio.create_task(source.count("slow"))
    assert await source.count("all") == 3
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_leaving_a_desk_interrupts_the_query_that_runs_there() -> None:
    begun = threading.Event()
    seen: list[type[BaseException]] = []

    def read_for_ever(connection: duckdb.DuckDBPyConnection) -> None:
        # A few rows first, so that the query surely runs when it is interrupted.
        query = "SELECT i FROM range(1000000000000) t(i) WHERE i < 4096 OR md5(i::VARCHAR) = ''"
        reader = connection.sql(query).to_arrow_reader(2048)
        reader.read_next_batch()
        begun.set()
        try:
            while True:
                reader.read_next_batch()
        except BaseException as error:
            seen.append(type(error))
            raise

    async with Desk(64) as desk:
        task = asyncio.create_task(desk.do(read_for_ever))
        await asyncio.to_thread(begun.wait)
    with pytest.raises(OSError, match="INTERRUPT"):
        await task
    assert seen == [OSError]
    assert threads_of_desks() == []


# The arithmetic of memberships

KEYS = st.binary(min_size=16, max_size=16)


def as_keys(ids: Iterable[bytes]) -> pa.Array:
    return pa.array(sorted(set(ids)), pa.binary())


@given(st.lists(st.sets(st.integers(0, 40)), min_size=1, max_size=6))
def test_a_folded_membership_says_of_each_member_exactly_its_segments(segments: list[set[int]]) -> None:
    folded = fold([as_keys(number.to_bytes(16, "big") for number in numbers) for numbers in segments])
    everyone = sorted(set().union(*segments))
    assert folded.keys.to_pylist() == [number.to_bytes(16, "big") for number in everyone]
    places = pa.array(range(len(folded)), pa.uint64())
    assert folded.segments_at(places).to_pylist() == [
        [index for index, numbers in enumerate(segments) if number in numbers] for number in everyone
    ]


@given(st.sets(KEYS), st.lists(st.none() | KEYS))
def test_a_key_is_located_where_it_stands_and_nowhere_if_it_is_not_there(
    known: set[bytes], wanted: list[bytes | None]
) -> None:
    keys = as_keys(known)
    wanted += list(known)[:10]
    order: Mapping[bytes | None, int] = {key: place for place, key in enumerate(keys.to_pylist())}
    assert locate(keys, pa.array(wanted, pa.binary())).to_pylist() == [order.get(key) for key in wanted]


@pytest.mark.skipif(not CHINOOK.is_dir(), reason="the example data is not there")
async def test_the_chinook_customers_come_with_accents_and_postal_codes() -> None:
    source = TablesSource(CHINOOK)
    await source.check()
    assert {segment.name for segment in await source.segments()} >= {"brazil", "high_spenders", "rock_fans"}
    rows = await rows_of(source, ["brazil", "rock_fans"], ["FirstName", "City", "PostalCode", "Country"])
    brazilians = [row for row in rows if 0 in row["segments"]]
    assert {row["Country"] for row in brazilians} == {"Brazil"}
    assert len(brazilians) == await source.count("brazil") == 5
    assert ("Luís", "São José dos Campos", "12227-000") in {
        (row["FirstName"], row["City"], row["PostalCode"]) for row in brazilians
    }
