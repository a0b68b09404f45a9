"""The tables source over the layout of Customer Insights' data-out exports.

Reference: customer-insights.md §14 (newest time folder, `model.json` for columns, partitions, segment output tables).
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.duck import literal
from bot.sources.base import SegmentFailed, SegmentMissing, SourceError, SourceUnreadable
from bot.sources.tables import TablesSource
from bot.sources.tables.data_out import AnyFolder, newest_complete
from bot.sources.tables.files import FileFault
from bot.sources.tables.model_json import Entity

STORE = "https://account.blob.core.windows.net/crm/CustomerInsights_7f3a/Nightly%20export"
FIRST, SECOND, THIRD = "2026/11/03/0600", "2026/11/04/0600", "2026/11/04/1800"
COLUMNS = ("CustomerId", "Email", "PostalCode")
ADA, BOB, CEM = ("a1", "ada@example.com", "01067"), ("b2", "bob@example.com", ""), ("c3", "cem@example.com", "H2G 1A7")


class Export:
    """A data-out export's folder, built table by table; `finish` writes its `model.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path / "Nightly export"
        self.path.mkdir()
        self.entities: dict[str, dict[str, Any]] = {}

    def table(
        self,
        name: str,
        *partitions: Iterable[Sequence[str]],
        time: str = SECOND,
        columns: Sequence[str] = COLUMNS,
        style: dict[str, Any] | None = None,
        listed: bool = True,
        ending: str = "csv",
    ) -> "Export":
        """Write an export of a table, a file for each partition; and list it, in place of older ones."""
        files = [f"{name}_{number}.{ending}" for number in range(len(partitions))]
        for file, rows in zip(files, partitions, strict=True):
            self.write(f"{name}/{time}/{file}", "".join(",".join(f'"{v}"' for v in row) + "\r\n" for row in rows))
        if listed:
            self.list_(name, [f"{time}/{file}" for file in files], columns, style)
        return self

    def list_(
        self, name: str, files: Sequence[str], columns: Sequence[str] = COLUMNS, style: dict[str, Any] | None = None
    ) -> "Export":
        """Put a table into `model.json`, whatever there is on disk."""
        self.entities[name] = {
            "$type": "LocalEntity",
            "name": name,
            "attributes": [{"name": column, "dataType": "string"} for column in columns],
            "partitions": [
                {"name": file, "location": f"{STORE}/{name}/{file}", "fileFormatSettings": style} for file in files
            ],
        }
        return self

    def write(self, name: str, content: str | bytes) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def finish(self, *, encoding: str = "utf-8") -> TablesSource:
        model = {"name": "export", "version": "1.0", "entities": list(self.entities.values())}
        self.write("model.json", json.dumps(model).encode(encoding))
        return TablesSource(self.path)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export(tmp_path)


async def read(source: TablesSource, *segments: str, fields: Sequence[str] = ("Email",)) -> tuple[list[Any], list[str]]:
    """The rows in the order of their ids, and the reading's notes."""
    async with source.profiles(segments, fields) as stream:
        rows = [tuple(row.values()) async for batch in stream for row in batch.to_pylist()]
    return sorted(rows), [*stream.summary.notes]


async def failure_of(work: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await work
    return caught.value


# --- what comes out


async def test_members_come_from_the_segments_tables_and_profiles_from_the_customer_table(export: Export) -> None:
    export.table("Customer", [ADA, BOB], [CEM])
    export.table("VIP", [ADA], [BOB]).table("客戶細分", [CEM, ADA])
    source = export.finish()
    await source.check()
    assert source.label == "Nightly export"
    assert [(segment.name, segment.members) for segment in await source.segments()] == [("VIP", 2), ("客戶細分", 2)]
    assert [(field.name, field.type) for field in await source.fields()] == [("Email", "text"), ("PostalCode", "text")]
    assert await read(source, "VIP", "客戶細分", fields=["PostalCode", "Email"]) == (
        [
            ("a1", "01067", "ada@example.com", [0, 1]),
            ("b2", None, "bob@example.com", [0]),
            ("c3", "H2G 1A7", "cem@example.com", [1]),
        ],
        [],
    )
    assert await source.count("客戶細分") == 2
    assert (await source.sample(["PostalCode"]))["PostalCode"] in ("01067", "H2G 1A7")


async def test_a_segments_table_has_columns_of_its_own_and_may_name_people_without_profile(export: Export) -> None:
    export.table("Customer", [ADA])
    export.table("VIP", [("9", "gone"), ("7", "a1")], columns=("Score", "CustomerId"))
    async with export.finish().profiles(["VIP"], ["Email"]) as stream:
        rows = [row["CustomerId"] async for batch in stream for row in batch.to_pylist()]
    assert rows == ["a1"]
    assert (stream.summary.members, stream.summary.without_profile) == ({"VIP": 2}, 1)


async def test_tables_without_a_customer_id_are_no_segments(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA])
    export.table("Products", [("p1", "Shoe")], columns=("ProductId", "Name"))
    assert [segment.name for segment in await export.finish().segments()] == ["VIP"]


async def test_segments_in_sql_may_be_added_beside_the_tables(export: Export) -> None:
    export.table("Customer", [ADA, BOB]).table("VIP", [ADA])
    export.write("segments/with code.sql", "SELECT CustomerId FROM profiles WHERE PostalCode <> ''")
    source = export.finish()
    assert [segment.name for segment in await source.segments()] == ["VIP", "with code"]
    assert await source.count("with code") == 1


async def test_one_name_for_a_table_and_a_file_is_refused(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA])
    export.write("segments/VIP.sql", "SELECT CustomerId FROM profiles")
    assert (await failure_of(export.finish().check())).code == "segment-ambiguous"


async def test_a_large_segment_is_listed_without_counting_it(export: Export) -> None:
    people = [(f"{n:032x}", "someone@example.com", "01067") for n in range(20_000)]
    source = export.table("Customer", [ADA]).table("VIP", people).finish()
    assert [segment.members for segment in await source.segments()] == [None]
    assert await source.count("VIP") == 20_000


async def test_a_name_that_was_probably_meant_is_offered(export: Export) -> None:
    source = export.table("Customer", [ADA]).table("HighValue", [ADA]).finish()
    error = await failure_of(source.count("highvalue"))
    assert isinstance(error, SegmentMissing)
    assert "Did you mean *HighValue*?" in str(error)


# --- the table of profiles


@pytest.mark.parametrize("name", ["Customer", "customer"])
async def test_the_table_of_profiles_is_found_by_its_name_whatever_stands_first(export: Export, name: str) -> None:
    source = export.table("Aaa", [BOB]).table(name, [ADA, BOB]).table("VIP", [ADA]).finish()
    assert [segment.name for segment in await source.segments()] == ["Aaa", "VIP"]
    assert (await read(source, "VIP"))[0] == [("a1", "ada@example.com", [0])]


async def test_a_single_table_with_customer_ids_holds_the_profiles_under_any_name(export: Export) -> None:
    export.table("Profiles", [ADA]).table("Products", [("p1",)], columns=("ProductId",))
    export.write("segments/all.sql", "SELECT CustomerId FROM profiles")
    assert await export.finish().count("all") == 1


async def test_if_any_table_could_hold_the_profiles_none_is_guessed(export: Export) -> None:
    error = await failure_of(export.table("People", [ADA]).table("VIP", [ADA]).finish().check())
    assert "no table named Customer, and any of People, VIP may be the profiles" in str(error)


async def test_another_name_for_the_table_of_profiles_may_be_given(export: Export) -> None:
    export.table("People", [ADA]).table("VIP", [ADA]).finish()
    folder = AnyFolder(export.path, profiles="People")
    assert list(folder.segments()) == ["VIP"]
    assert folder.profiles().name == f"People/{SECOND}"


# --- CSV as it may be written


@pytest.mark.parametrize("style", [None, {}, {"$type": "CsvFormatSettings", "columnHeaders": False}])
async def test_csv_has_no_header_unless_model_json_says_so(export: Export, style: Any) -> None:
    export.table("Customer", [ADA, BOB], style=style).table("VIP", [ADA, BOB], style=style)
    assert len((await read(export.finish(), "VIP"))[0]) == 2


@pytest.mark.parametrize("style", [None, {"columnHeaders": True}])
async def test_a_header_is_no_profile_whether_model_json_speaks_of_it_or_not(export: Export, style: Any) -> None:
    export.table("Customer", [COLUMNS, ADA], [COLUMNS, BOB], [], style=style)
    export.table("VIP", [COLUMNS, ADA, BOB], style=style)
    rows, _ = await read(export.finish(), "VIP")
    assert [row[0] for row in rows] == ["a1", "b2"]


@pytest.mark.parametrize(
    ("partitions", "style"), [(([ADA], [BOB]), {"columnHeaders": True}), (([COLUMNS, ADA], [BOB]), None)]
)
async def test_no_row_is_ever_lost_because_it_stands_where_a_header_was_expected(
    export: Export, partitions: Any, style: Any
) -> None:
    export.table("Customer", *partitions, style=style).table("VIP", [ADA])
    error = await failure_of(export.finish().check())
    assert "does not begin with a header" in str(error)
    assert "example.com" not in str(error)


async def test_another_delimiter_and_values_with_line_breaks_are_read(export: Export) -> None:
    export.table("VIP", [ADA, CEM])
    export.list_("Customer", [f"{SECOND}/Customer_0.csv"], style={"delimiter": ";"})
    export.write(f"Customer/{SECOND}/Customer_0.csv", 'a1;"Ada, ""the\nfirst""";x\nc3;Cem;y\n')
    assert (await read(export.finish(), "VIP"))[0] == [("a1", 'Ada, "the\nfirst"', [0]), ("c3", "Cem", [0])]


async def test_a_byte_order_mark_belongs_to_no_value(export: Export) -> None:
    export.table("Customer", [ADA], [BOB]).table("VIP", [ADA, BOB])
    for number in (0, 1):
        file = export.path / f"Customer/{SECOND}/Customer_{number}.csv"
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    source = export.finish(encoding="utf-8-sig")
    assert [row[0] for row in (await read(source, "VIP"))[0]] == ["a1", "b2"]


async def test_a_segment_without_members_is_a_table_without_rows(export: Export) -> None:
    source = export.table("Customer", [ADA]).table("Nobody", []).finish()
    assert [(segment.name, segment.members) for segment in await source.segments()] == [("Nobody", 0)]
    assert (await read(source, "Nobody"))[0] == []


async def test_partitions_may_be_parquet_and_keep_their_types(export: Export) -> None:
    columns = ("CustomerId", "Points")
    export.list_("Customer", [f"{SECOND}/Customer_{n}.parquet" for n in (0, 1)], columns)
    export.list_("VIP", [f"{SECOND}/VIP_0.parquet"], columns)
    for file, select in {
        f"Customer/{SECOND}/Customer_0.parquet": "SELECT 'a1' AS CustomerId, 7 AS Points",
        f"Customer/{SECOND}/Customer_1.parquet": "SELECT 8 AS Points, 'b2' AS CustomerId",
        f"VIP/{SECOND}/VIP_0.parquet": "SELECT 'b2' AS CustomerId, 0 AS Points",
    }.items():
        export.write(file, b"")
        duckdb.connect().execute(f"COPY ({select}) TO {literal(str(export.path / file))} (FORMAT parquet)")
    source = export.finish()
    assert [(field.name, field.type) for field in await source.fields()] == [("Points", "number")]
    assert (await read(source, "VIP", fields=["Points"]))[0] == [("b2", 8, [0])]


# --- which export is read


async def test_the_newest_export_is_read_as_a_whole_and_older_ones_are_not(export: Export) -> None:
    export.table("Customer", [ADA, BOB], [CEM], time=FIRST).table("VIP", [ADA, CEM], time=FIRST)
    export.table("Customer", [ADA], [BOB], time=SECOND).table("VIP", [ADA], [BOB], time=THIRD)
    rows, notes = await read(export.finish(), "VIP")
    assert ([row[0] for row in rows], notes) == (["a1", "b2"], [])


async def test_files_that_model_json_does_not_list_are_left_alone(export: Export) -> None:
    export.table("Customer", [ADA], [BOB]).table("VIP", [ADA, BOB])
    export.list_("Customer", [f"{SECOND}/Customer_0.csv"])
    export.write(f"Customer/{SECOND}/_SUCCESS", "")
    export.write("Customer/2026/11/04/tmp/Customer_0.csv", "x")
    export.write("Customer/notes.txt", "x")
    assert [row[0] for row in (await read(export.finish(), "VIP"))[0]] == ["a1"]


async def test_an_export_that_lacks_a_listed_partition_is_passed_over_with_a_note(export: Export) -> None:
    export.table("Customer", [ADA, BOB], [CEM], time=FIRST).table("Customer", [ADA], [BOB], time=SECOND)
    export.table("VIP", [ADA, CEM])
    (export.path / f"Customer/{SECOND}/Customer_1.csv").unlink()
    assert await read(export.finish(), "VIP") == (
        [("a1", "ada@example.com", [0]), ("c3", "cem@example.com", [0])],
        [
            f"The table Customer was read as exported at {FIRST}: "
            f"the newer export {SECOND} is not complete (Customer_1.csv is missing)."
        ],
    )


async def test_an_export_that_model_json_does_not_list_yet_is_passed_over_with_a_note(export: Export) -> None:
    export.table("Customer", [ADA, BOB, CEM]).table("VIP", [ADA, CEM])
    export.table("Customer", [ADA], time=THIRD, listed=False).table("VIP", [ADA], time=THIRD, listed=False)
    rows, notes = await read(export.finish(), "VIP")
    assert [row[0] for row in rows] == ["a1", "c3"]
    assert [note.partition(":")[0] for note in notes] == [
        f"The table Customer was read as exported at {SECOND}",
        f"The table VIP was read as exported at {SECOND}",
    ]
    assert all(f"{THIRD} is not complete (model.json does not list it yet)" in note for note in notes)


async def test_a_note_speaks_only_of_tables_that_are_read(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA]).table("Lost", [ADA])
    export.table("Lost", [ADA], time=THIRD, listed=False)
    assert (await read(export.finish(), "VIP"))[1] == []


async def test_an_older_export_with_a_gap_or_fewer_partitions_is_passed_over_too(export: Export) -> None:
    export.table("VIP", [ADA, BOB, CEM])
    export.table("Customer", [ADA], [BOB], [CEM], time="2026/11/01/0600")
    export.table("Customer", [ADA], [BOB], [CEM], time="2026/11/02/0600")
    (export.path / "Customer/2026/11/02/0600/Customer_1.csv").rename(
        export.path / "Customer/2026/11/02/0600/Customer_3.csv"
    )
    export.table("Customer", [ADA], time=FIRST)
    export.table("Customer", [ADA], [BOB], time=SECOND)
    (export.path / f"Customer/{SECOND}/Customer_0.csv").unlink()
    rows, (note,) = await read(export.finish(), "VIP")
    assert [row[0] for row in rows] == ["a1", "b2", "c3"]
    assert "read as exported at 2026/11/01/0600" in note
    assert f"{SECOND} is not complete (Customer_0.csv is missing)" in note


async def test_without_any_complete_export_nothing_is_read_and_the_missing_file_is_named(export: Export) -> None:
    export.table("Customer", [ADA], [BOB]).table("VIP", [ADA])
    (export.path / f"Customer/{SECOND}/Customer_1.csv").unlink()
    source = export.finish()
    for work in (source.check(), source.count("VIP"), read(source, "VIP")):
        error = await failure_of(work)
        assert isinstance(error, SourceUnreadable)
        assert f"no complete export of the table Customer (Customer/{SECOND}: Customer_1.csv is missing)" in str(error)


async def test_a_segment_without_a_complete_export_fails_by_its_name(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA]).table("Lost", [BOB])
    (export.path / f"VIP/{SECOND}/VIP_0.csv").unlink()
    source = export.finish()
    await source.check()
    assert [(segment.name, segment.members) for segment in await source.segments()] == [("Lost", 1), ("VIP", None)]
    error = await failure_of(source.count("VIP"))
    assert isinstance(error, SegmentFailed)
    assert error.code == "segment-table-failed"
    assert "*VIP*" in str(error)
    assert "VIP_0.csv is missing" in str(error)


@given(
    exports=st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=4),
    missing=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))),
    last=st.integers(0, 3),
)
def test_an_export_is_read_only_if_none_of_its_files_can_be_missing(
    tmp_path_factory: pytest.TempPathFactory, exports: list[set[int]], missing: set[tuple[int, int]], last: int
) -> None:
    """Exports of one table by time, each with the numbers of its partitions; some are lost. `last`: the listed one."""
    root = tmp_path_factory.mktemp("export")
    last = min(last, len(exports) - 1)
    times = [f"2026/11/0{day}/0600" for day in range(1, len(exports) + 1)]
    there: dict[str, set[int]] = {}
    for day, (time, numbers) in enumerate(zip(times, exports, strict=True)):
        (root / "T" / time).mkdir(parents=True)
        there[time] = {number for number in numbers if (day, number) not in missing}
        for number in there[time]:
            (root / "T" / time / f"T_{number}.csv").touch()
    listed = [{"location": f"{STORE}/T/{times[last]}/T_{number}.csv"} for number in exports[last]]
    entity = Entity.model_validate({"name": "T", "attributes": [{"name": "CustomerId"}], "partitions": listed})
    try:
        taken = newest_complete(root, entity)
    except FileFault:
        assert there[times[last]] != exports[last]
        return
    numbers = {int(name[2:-4]) for name in taken.files}
    assert times.index(taken.time) <= last
    assert numbers == there[taken.time]
    assert len(numbers) >= len(exports[last])
    if there[times[last]] == exports[last]:
        assert taken.time == times[last]
    assert bool(taken.note) is (taken.time != times[-1])


# --- bad input


def bad_model(text: str | bytes) -> Callable[[Export], None]:
    def make(export: Export) -> None:
        export.write("model.json", text)

    return make


def entity(**changes: Any) -> Callable[[Export], None]:
    """A customer table that is in order but for these changes."""

    def make(export: Export) -> None:
        export.table("Customer", [ADA]).entities["Customer"] |= changes
        export.finish()

    return make


def at(location: str) -> Callable[[Export], None]:
    return entity(partitions=[{"location": location}])


def two_of_a_name(export: Export) -> None:
    export.table("Customer", [ADA])
    export.entities["again"] = export.entities["Customer"]
    export.finish()


def both_layouts(export: Export) -> None:
    export.table("Customer", [ADA]).finish()
    export.write("profiles.csv", "CustomerId\n1\n")


def a_link_out(export: Export) -> None:
    export.table("Customer", [ADA]).finish()
    file = export.path / f"Customer/{SECOND}/Customer_0.csv"
    file.rename(export.path.parent / "outside.csv")
    file.symlink_to(export.path.parent / "outside.csv")


def a_model_outside(export: Export) -> None:
    export.table("Customer", [ADA]).finish()
    (export.path / "model.json").rename(export.path.parent / "model.json")
    (export.path / "model.json").symlink_to(export.path.parent / "model.json")


def a_folder_for_a_file(export: Export) -> None:
    export.table("Customer", [ADA]).finish()
    (export.path / f"Customer/{SECOND}/Customer_0.csv").unlink()
    (export.path / f"Customer/{SECOND}/Customer_0.csv").mkdir()


def not_utf8(export: Export) -> None:
    export.table("Customer", [ADA]).finish()
    export.write(f"Customer/{SECOND}/Customer_0.csv", '"a1","Bärbel","x"\n'.encode("utf-16"))


def mixed(export: Export) -> None:
    export.table("Customer", [ADA]).table("Customer", [BOB], ending="parquet")
    export.list_("Customer", [f"{SECOND}/Customer_0.csv", f"{SECOND}/Customer_0.parquet"]).finish()


def no_parquet(export: Export) -> None:
    export.table("Customer", [ADA], ending="parquet").finish()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (bad_model(""), ["model.json is not valid JSON"]),
        (bad_model('{"entities": [{"name": "Custo'), ["model.json is not valid JSON", "being written"]),
        (bad_model(b"\xff\xfe{\x00}\x00"), ["model.json is not UTF-8"]),
        (bad_model("[]"), ["model.json is not a Common Data Model (as a whole:"]),
        (bad_model("{}"), ["model.json is not a Common Data Model (entities: Field required"]),
        (bad_model('{"entities": [{"name": "../x"}]}'), ["(entities.0.name:"]),
        (bad_model('{"entities": [{"name": ".."}]}'), ["(entities.0.name:"]),
        (bad_model('{"entities": []}'), ["no table in model.json has a column named CustomerId"]),
        (two_of_a_name, ["model.json has two tables named Customer"]),
        (entity(attributes=[{"name": "Email"}]), ["no table in model.json has a column named CustomerId"]),
        (entity(attributes=None), ["no table in model.json has a column named CustomerId"]),
        (entity(attributes=[{"name": "CustomerId"}, {"name": "customerid"}]), ["two columns of Customer"]),
        (entity(attributes=[{"name": "CustomerId"}]), [f"Customer/{SECOND}/Customer_0.csv, line 1: 2 columns"]),
        (entity(partitions=None), ["model.json lists no partitions of Customer"]),
        (entity(partitions=[]), ["model.json lists no partitions of Customer"]),
        (at(f"{STORE}/Customer/Customer_0.csv"), ["model.json lists a partition of Customer that is not in"]),
        (at(f"{STORE}/Other/{SECOND}/Customer_0.csv"), ["model.json lists a partition of Customer that is not in"]),
        (at(f"{STORE}/Customer/{SECOND}/.."), ["there is no complete export of the table Customer"]),
        (at(f"{STORE}/Customer/{SECOND}/..%2f..%2fCustomer_0.csv"), ["a partition of Customer that is not in"]),
        (both_layouts, ["there are both model.json and profiles.csv"]),
        (a_link_out, [f"Customer/{SECOND}/Customer_0.csv is a link that leads out"]),
        (a_model_outside, ["model.json is a link that leads out"]),
        (a_folder_for_a_file, [f"Customer/{SECOND}: Customer_0.csv is missing"]),
        (not_utf8, [f"Customer/{SECOND}/Customer_0.csv is not UTF-8"]),
        (mixed, [f"Customer/{SECOND} has neither CSV files only nor Parquet files only"]),
        (no_parquet, [f"Customer/{SECOND}/Customer_0.parquet is damaged"]),
    ],
)
async def test_bad_input_is_found_before_anything_is_sent_and_named_without_its_content(
    export: Export, make: Callable[[Export], None], words: list[str]
) -> None:
    make(export)
    export.write("segments/all.sql", "SELECT CustomerId FROM profiles")
    error = await failure_of(read(TablesSource(export.path), "all", fields=[]))
    assert isinstance(error, SourceUnreadable)
    assert all(word in str(error) for word in words)
    assert "example.com" not in str(error)
    assert str(export.path.parent) not in str(error)


async def test_damage_in_the_midst_of_a_partition_names_file_and_line(export: Export) -> None:
    export.table("Customer", [ADA], [BOB, CEM], [ADA]).table("VIP", [ADA])
    with (export.path / f"Customer/{SECOND}/Customer_1.csv").open("a") as file:
        file.write("dora@example.com\r\n")
    error = await failure_of(read(export.finish(), "VIP"))
    assert isinstance(error, SourceUnreadable)
    assert f"Customer/{SECOND}/Customer_1.csv, line 3: 1 columns" in str(error)
    assert "example.com" not in str(error)


async def test_damage_in_a_segments_table_names_segment_file_and_line(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA])
    with (export.path / f"VIP/{SECOND}/VIP_0.csv").open("a") as file:
        file.write("dora@example.com\r\n")
    error = await failure_of(export.finish().count("VIP"))
    assert error.code == "segment-table-failed"
    assert f"VIP/{SECOND}/VIP_0.csv, line 2: 1 columns" in str(error)
    assert "example.com" not in str(error)


# --- a folder that changes


async def test_whoever_names_the_container_is_told_which_folder_to_name(export: Export) -> None:
    export.table("Customer", [ADA]).table("VIP", [ADA]).finish()
    error = await failure_of(TablesSource(export.path.parent).check())
    assert "the folder Nightly export in it is a data-out export: name that one" in str(error)
    (export.path.parent / "profiles.csv").write_text("CustomerId,Email\na1,ada@example.com\n")
    assert [field.name for field in await TablesSource(export.path.parent).fields()] == ["Email"]


async def test_an_export_that_arrives_after_the_start_is_found(export: Export) -> None:
    source = TablesSource(export.path)
    assert isinstance(await failure_of(source.check()), SourceUnreadable)
    export.table("Customer", [ADA]).table("VIP", [ADA]).finish()
    assert await source.count("VIP") == 1
    export.table("VIP", [ADA, BOB], time=THIRD).finish()
    assert await source.count("VIP") == 2


async def test_a_segment_that_is_no_longer_exported_is_missing(export: Export) -> None:
    source = export.table("Customer", [ADA]).table("VIP", [ADA]).finish()
    del export.entities["VIP"]
    export.finish()
    assert isinstance(await failure_of(source.count("VIP")), SegmentMissing)
