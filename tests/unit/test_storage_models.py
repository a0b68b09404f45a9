"""Rules of the schema (reference: toolbox.md §5, and the design: data belongs to a workspace)."""

import sqlite3
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from storage.database import Database

WITHOUT_TEAM = {
    "installation": "one row for all workspaces",
    "ledger": "a million rows reach their workspace through the book",
    "lease": "a brand's rate limit is shared by all workspaces that send to it",
}


def test_every_table_names_its_workspace_but_for_those_with_a_reason() -> None:
    without = {name for name, table in SQLModel.metadata.tables.items() if "team_id" not in table.columns}
    assert without == set(WITHOUT_TEAM)


async def test_the_migrations_make_the_indexes_of_the_models_with_their_conditions(tmp_path: Path) -> None:
    """Alembic does not compare the conditions of partial indexes, and two rules stand on them."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'migrated.db'}")
    await database.open()
    await database.close()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'models.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()
    assert indexes(tmp_path / "migrated.db") == indexes(tmp_path / "models.db")


def indexes(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    finally:
        connection.close()
    assert found
    return {sql for (sql,) in found}
