"""Bringing a database's schema up to date."""

import sqlite3
from importlib.resources import files

from sqlalchemy import Connection

from storage.errors import DatabaseTooNew

VERSIONS = "storage.migrations.versions"


def newest_version() -> str:
    """The version of the schema that this program works with: migrations are files, numbered."""
    return max(file.name[:4] for file in files(VERSIONS).iterdir() if file.name[:4].isdigit())


def migrate(connection: Connection) -> None:
    """Upgrade to the newest schema. Raises `DatabaseTooNew` before anything is changed."""
    found = _stored_versions(connection)
    if found != [newest_version()]:
        _upgrade(connection, set(found))


def _stored_versions(connection: Connection) -> list[str]:
    """The version that the database has, in Alembic's own table; empty for a new one."""
    known = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").all()
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() if known else []
    connection.rollback()
    return [str(row[0]) for row in rows]


def _upgrade(connection: Connection, found: set[str]) -> None:
    """With foreign keys off: batch migrations rebuild tables by dropping them."""
    # Only here: importing it takes a tenth of a command's start, and is rarely needed.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    if unknown := found - known:
        raise DatabaseTooNew(revision=", ".join(sorted(unknown)))

    raw: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]
    raw.execute("PRAGMA foreign_keys=OFF").close()
    try:
        with connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration would leave broken references: {broken[:5]}")
    finally:
        raw.execute("PRAGMA foreign_keys=ON").close()
