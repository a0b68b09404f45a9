"""Want of memory and of disk while profiles are compared become errors that say what to change.

Holds the staging worker against toolbox.md (DuckDB's memory limit, spilling and the texts of its errors), with a real
DuckDB that really runs out.
"""

import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from bot import duck
from bot.duck import DuckDBConnection
from bot.pipeline.errors import MemoryShort, SpillFull
from bot.pipeline.reconcile import StagingBroken, Worker, room_explained
from bot.settings import Settings

SORTED = "SELECT md5(i::VARCHAR) || repeat('x', 100) AS value, i FROM range(1_500_000) AS t(i) ORDER BY value"


def fill(connection: DuckDBConnection) -> None:
    connection.execute(f"CREATE TABLE sorted AS {SORTED}")


def stream(connection: DuckDBConnection) -> Iterator[pa.RecordBatch]:
    yield from connection.sql(SORTED).to_arrow_reader(5_000)


@asynccontextmanager
async def worker(folder: Path, spill: Path | None) -> AsyncIterator[Worker[DuckDBConnection]]:
    settings = Settings(data_dir=folder, memory_mb=64)
    connection = duck.connect(memory_mb=settings.memory_mb, spill=spill)
    if spill is not None:
        connection.execute("SET max_temp_directory_size = '4MB'")
    made = Worker(connection, DuckDBConnection.close, DuckDBConnection.interrupt, lambda: room_explained(settings))
    try:
        yield made
    finally:
        await made.close()


async def compute(made: Worker[DuckDBConnection]) -> None:
    await made.do(fill)


async def hand_out(made: Worker[DuckDBConnection]) -> None:
    async for _ in made.stream(stream):
        pass


@pytest.mark.parametrize("work", [compute, hand_out])
async def test_without_room_in_memory_or_on_disk_the_error_names_the_setting_to_raise(
    tmp_path: Path, work: Callable[[Worker[DuckDBConnection]], Awaitable[None]]
) -> None:
    with pytest.raises(MemoryShort) as raised:
        async with worker(tmp_path, spill=None) as made:
            await work(made)
    assert "more than the 64 MB of memory" in str(raised.value)
    assert "Raise FERRY_MEMORY_MB" in str(raised.value)


@pytest.mark.parametrize("work", [compute, hand_out])
async def test_a_full_spill_folder_is_told_with_where_to_free_space(
    tmp_path: Path, work: Callable[[Worker[DuckDBConnection]], Awaitable[None]]
) -> None:
    (tmp_path / "spill").mkdir()
    with pytest.raises(SpillFull) as raised:
        async with worker(tmp_path, spill=tmp_path / "spill") as made:
            await work(made)
    assert f"Free some space in {tmp_path}" in str(raised.value)
    assert "FERRY_MEMORY_MB" in str(raised.value)


def test_of_other_errors_only_the_kind_is_told_since_their_texts_may_quote_profiles(tmp_path: Path) -> None:
    connection = duck.connect(memory_mb=64, spill=None)
    with pytest.raises(StagingBroken) as raised, room_explained(Settings(data_dir=tmp_path)):
        connection.execute("SELECT CAST($value AS INTEGER)", {"value": "Jane"})
    told = "".join(traceback.format_exception(raised.value))
    assert "ConversionException" in told
    assert "Jane" not in told.replace('{"value": "Jane"}', "")
