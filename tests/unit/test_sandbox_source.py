"""The sandbox's source: a copy of tables in any layout, in which people join, leave and change."""

import csv
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bot.duck import literal
from bot.sandbox.room.source import ChangeFailed, NoSuchChange
from bot.sandbox.room.source_data import OFFERS, SourceData
from bot.sources.base import SourceError
from bot.sources.tables import TablesSource
from tests.unit.test_tables_data_out import Export

PEOPLE = 1_000


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A folder of tables as a spreadsheet writes it: semicolons, and a list beside a segment in SQL."""
    folder = tmp_path / "original"
    (folder / "segments").mkdir(parents=True)
    with (folder / "profiles.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["CustomerId", "FirstName", "EMail", "PostalCode"])
        writer.writerows([f"c{n}", f"Ann{n}", f"ann{n}@example.com", f"0{n:04}"] for n in range(PEOPLE))
    (folder / "segments" / "All.sql").write_text("SELECT CustomerId FROM profiles")
    (folder / "segments" / "Few.csv").write_text("CustomerId\nc1\nc2\nc3\n")
    return folder


@pytest.fixture
async def data(original: Path, tmp_path: Path) -> SourceData:
    made = SourceData(original, tmp_path / "copy")
    await made.open()
    return made


def _rows(data: SourceData) -> dict[str, dict[str, Any]]:
    """The copy's profiles by their ids."""
    with duckdb.connect(":memory:") as con:
        found = con.sql(f"FROM read_parquet({literal(str(data.folder / 'profiles.parquet'))})")
        return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.fetchall()}


def _bytes_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def _members(data: SourceData) -> dict[str, int | None]:
    return {one["name"]: one["members"] for one in (await data.describe())["segments"]}


async def test_the_copy_is_a_source_that_the_bot_can_read(data: SourceData) -> None:
    await TablesSource(data.folder).check()
    assert len(_rows(data)) == (await data.describe())["profiles"] == (await _members(data))["All"]
    assert (await _members(data)).keys() == {"All", "Few"}
    assert _rows(data)["c1"]["PostalCode"] == "00001", "nothing is guessed of a text's type"


async def test_a_few_are_not_there_at_first_and_join_later(data: SourceData) -> None:
    there = len(_rows(data))
    assert 0.9 * PEOPLE < there < PEOPLE
    for _ in range(5):
        await data.change("join")
    assert len(_rows(data)) == PEOPLE
    assert await data.change("join") == "Nobody is left to join."


async def test_those_who_leave_are_gone_from_every_segment(data: SourceData) -> None:
    before = len(_rows(data))
    assert await data.change("leave") == f"{round(before * 0.02)} profiles left."
    assert await _members(data) | {"Few": 0} == {"All": before - round(before * 0.02), "Few": 0}


async def test_an_edit_gives_some_another_first_name_and_leaves_the_rest(data: SourceData) -> None:
    before = _rows(data)
    await data.change("edit")
    after = _rows(data)
    changed = {key for key in before if before[key] != after[key]}
    assert len(changed) == round(len(before) * 0.05)
    assert all(after[key] == before[key] | {"FirstName": f"New {before[key]['FirstName']}"} for key in changed)


async def test_broken_addresses_are_none(data: SourceData) -> None:
    await data.change("break")
    broken = [row["EMail"] for row in _rows(data).values() if "@" not in row["EMail"]]
    assert len(broken) == round(len(_rows(data)) * 0.01)


async def test_an_exodus_is_more_than_the_guard_lets_pass(data: SourceData) -> None:
    before = len(_rows(data))
    await data.change("exodus")
    assert len(_rows(data)) < before / 2


async def test_starting_over_gives_the_data_of_the_beginning(data: SourceData) -> None:
    before = _rows(data)
    for name in OFFERS:
        await data.change(name)
    assert _rows(data) == before
    assert (await data.describe())["changes"][-1] == "The data is as it was at the beginning."


async def test_the_original_is_only_read(data: SourceData, original: Path) -> None:
    before = _bytes_in(original)
    for name in OFFERS:
        await data.change(name)
    assert _bytes_in(original) == before


async def test_a_copy_outlives_the_sandbox(data: SourceData, original: Path, tmp_path: Path) -> None:
    await data.change("leave")
    left = _rows(data)
    again = SourceData(original, tmp_path / "copy")
    await again.open()
    assert _rows(again) == left


async def test_an_export_of_customer_insights_becomes_a_plain_copy(tmp_path: Path) -> None:
    export = Export(tmp_path)
    people = [(f"c{n}", f"ann{n}@example.com", "01067") for n in range(200)]
    export.table("Customer", people[:100], people[100:]).table("VIP", people[:50])
    export.finish()
    data = SourceData(export.path, tmp_path / "copy")
    await data.open()
    assert len(_rows(data)) > 180
    assert (await _members(data))["VIP"] in range(40, 51)


async def test_a_segment_that_leads_out_of_the_folder_is_not_copied(original: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.sql"
    secret.write_text("SELECT 1")
    (original / "segments" / "Link.sql").symlink_to(secret)
    with pytest.raises(SourceError, match="leads out of the folder"):
        await SourceData(original, tmp_path / "copy").open()


async def test_a_change_that_is_not_offered_or_fails_is_refused_with_words(data: SourceData, original: Path) -> None:
    with pytest.raises(NoSuchChange):
        await data.change("gremlins")
    before = _rows(data)
    (original / "profiles.csv").unlink()
    for change in ("join", "reset"):
        with pytest.raises(ChangeFailed, match=r"there is no profiles\.parquet"):
            await data.change(change)
    assert _rows(data) == before


async def test_a_copy_that_is_damaged_is_named_and_made_anew_by_starting_over(data: SourceData) -> None:
    (data.folder / "profiles.parquet").write_bytes(b"no table")
    told = await data.describe()
    assert told["profiles"] is None
    assert "can't be read" in told["problem"]
    assert "Start over makes it anew." in told["problem"]
    await data.change("reset")
    assert (await data.describe())["problem"] == ""
    assert (await _members(data))["All"] == len(_rows(data))
