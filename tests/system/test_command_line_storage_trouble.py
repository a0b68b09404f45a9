"""What a person at the command line learns when what is stored can't be used.

Holds the program against the issue's list "Bad input, each with a clear answer and nothing lost": a full disk, a
database of a newer version, a missing digest key; and a missing secret key, without which nothing can be opened.
"""

import asyncio
import contextlib
import shutil
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.ferry import Ended, Ferry
from tests.system.command_line_world import Shop, answer_of, in_this_process

MANY = 3_000  # contacts: more than fits into a ledger of LIMIT bytes
LIMIT = 400_000  # bytes of the largest file, a little more than the prepared database has


def change(shop: Shop, sql: str) -> None:
    with contextlib.closing(sqlite3.connect(shop.ferry.data / "ferry.sqlite3")) as database, database:
        assert database.execute(sql).rowcount > 0


def _newer(shop: Shop) -> None:
    change(shop, "UPDATE alembic_version SET version_num = '9999'")


def _without_digest_key(shop: Shop) -> None:
    change(shop, "DELETE FROM installation")


def _without_secret_key(shop: Shop) -> None:
    (shop.ferry.data / "secret.key").unlink()


def _another_secret_key(shop: Shop) -> None:
    (shop.ferry.data / "secret.key").write_bytes(Fernet.generate_key())


def _damaged(shop: Shop) -> None:
    (shop.ferry.data / "ferry.sqlite3").write_bytes(b"this was a database once " * 400)


def _a_file_for_a_folder(shop: Shop) -> None:
    shutil.rmtree(shop.ferry.data)
    shop.ferry.data.write_text("not a folder")


UNUSABLE: dict[str, tuple[Callable[[Shop], None], tuple[str, ...]]] = {
    "a newer database": (
        _newer,
        (
            "The database was written by a newer version of Segment Ferry (revision 9999).",
            "Nothing was read or changed.",
            "Install that version or a later one, or point FERRY_DATA_DIR at another folder.",
        ),
    ),
    "no digest key": (
        _without_digest_key,
        (
            "The digest key of this installation is missing from the database, though ledgers exist. Nothing was sent: "
            "without it everyone would look joined and everyone left.",
            "Restore the database from a backup that holds it.",
        ),
    ),
    "no secret key": (
        _without_secret_key,
        (
            "The secret key that protects this installation's data is missing or is not the right one. Nothing was "
            "read or sent: without it every contact would look like a new one.",
            "Put back the key file (",
            "secret.key) or set FERRY_SECRET_KEYS to the keys used before.",
        ),
    ),
    "another secret key": (
        _another_secret_key,
        ("The secret key that protects this installation's data is missing or is not the right one.",),
    ),
    "a damaged database": (
        _damaged,
        ("The database in ", " is damaged, or is no database (", "Nothing was sent. Restore it from a backup."),
    ),
    "a data folder that is a file": (
        _a_file_for_a_folder,
        (" can't be used (File exists). Nothing was read or sent.", "point FERRY_DATA_DIR at another one."),
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_storage_that_cannot_be_used_is_told_with_what_to_do_and_nothing_is_sent(shop: Shop, case: str) -> None:
    spoil, words = UNUSABLE[case]
    await in_this_process(shop.ferry, "export", "preview", "Spring")  # opens the export's ledger
    spoil(shop)
    told = answer_of(await in_this_process(shop.ferry, "export", "run", "Spring", "--json"), 1)
    assert [text for text in words if text not in told] == [], told
    assert await shop.batches_posted() == 0


async def test_the_program_itself_ends_with_those_words_and_status_1(shop: Shop) -> None:
    _newer(shop)
    ended = await shop.ferry("export", "run", "Spring", "--json")
    assert "The database was written by a newer version of Segment Ferry" in answer_of(ended, 1)
    assert ended.stdout == ""


async def test_secret_keys_that_were_rotated_away_can_be_given_again(shop: Shop) -> None:
    key = (shop.ferry.data / "secret.key").read_text().strip()
    _without_secret_key(shop)
    newer = Fernet.generate_key().decode()
    rotated = shop.with_settings(FERRY_SECRET_KEYS=f"{newer}, {key}")
    answer_of(await in_this_process(rotated, "export", "preview", "Spring"), 0)


async def test_a_disk_that_fills_up_in_mid_run_stops_it_and_the_next_run_ends_it(shop: Shop) -> None:
    shop.tables.profiles(shop.tables.people(MANY))
    shop.tables.members("VIP", [f"p{n}" for n in range(1, MANY + 1)])
    told = answer_of(await with_small_files(shop.ferry, "export", "run", "Spring", "--json"), 1)
    assert "The disk that holds the data folder is full or can't be written to (" in told
    assert "What was recorded before is safe; nothing more is sent until there is room. Free some space in " in told
    assert 0 < len(await shop.emails()) < MANY

    again = await shop.ferry("export", "run", "Spring", "--json")
    assert (again.status, again.json["status"], again.json["in_doubt"]) == (0, "done", 0), again.stderr
    assert len(await shop.emails()) == MANY


async def with_small_files(ferry: Ferry, *arguments: str) -> Ended:
    """Run the command where no file may grow beyond `LIMIT` bytes: SQLite sees writes that fail."""
    program = (
        f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT}, {LIMIT})); "
        "runpy.run_module('bot.cli', run_name='__main__', alter_sys=True)"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=ferry.environment
    )
    stdout, stderr = await process.communicate(b"")
    return Ended(process.returncode or 0, stdout.decode(), stderr.decode())


async def test_a_full_disk_at_the_start_is_told_and_nothing_is_lost(shop: Shop, tmp_path: Path) -> None:
    told, kept = await on_a_full_disk(shop, tmp_path, "export", "run", "Spring")
    assert "The disk that holds the data folder is full or can't be written to (" in answer_of(told, 1)
    assert "Free some space in " in told.stderr
    assert kept == (shop.ferry.data / "ferry.sqlite3").read_bytes()
    assert await shop.batches_posted() == 0


async def on_a_full_disk(shop: Shop, folder: Path, *arguments: str) -> tuple[Ended, bytes]:
    """Run the command on a copy of the data folder that lies on a file system without a free byte; the copy after it.

    The file system is a small one in memory that only this process tree sees, where the system lets us mount one.
    """
    disk, kept = folder / "disk", folder / "kept"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=2m none "$1" || exit 77; cp -a "$2"/. "$1" || exit 77; shift 2; '
        'cat /dev/zero > "$FERRY_DATA_DIR/filler" 2>/dev/null; "$@"; status=$?; '
        'cp "$FERRY_DATA_DIR/ferry.sqlite3" "$KEPT"; exit $status'
    )
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here to make a small disk with")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(disk), str(shop.ferry.data)),
        *(sys.executable, "-m", "bot.cli", *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=shop.ferry.environment | {"FERRY_DATA_DIR": str(disk), "KEPT": str(kept)},
    )
    stdout, stderr = await process.communicate(b"")
    if process.returncode == 77 or b"unshare" in stderr:
        pytest.skip("the system does not let us mount a small disk")
    return Ended(process.returncode or 0, stdout.decode(), stderr.decode()), kept.read_bytes()
