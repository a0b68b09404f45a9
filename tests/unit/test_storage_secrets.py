"""Secrets stay shut anywhere but in their own row, keys can be rotated, and a lost key is never replaced in silence."""

import asyncio
import hashlib
import hmac
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import delete

from storage.database import Database
from storage.errors import DigestKeyMissing, SecretKeyMissing, SecretUnreadable
from storage.ledger import open_book, rejected_email, seal_rejected
from storage.models import Export, Installation, Rejection, id_of
from storage.secrets import KEY_FILE, DigestKey, EmailSeal, Vault, open_keys

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SEAL = EmailSeal(bytes(range(32)))
DIGEST = bytes(16)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await made.open()
    yield made
    await made.close()


async def make_book(database: Database) -> None:
    async with database.write() as session:
        export = Export(team_id="T", name="x", owner="U")
        session.add(export)
        await session.flush()
        await open_book(session, "T", id_of(export), "brand")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def forget_installation(database: Database) -> None:
    async with database.write() as session:
        await session.exec(delete(Installation))


# --- the vault


@given(secret=st.text(), row=st.text())
def test_a_sealed_secret_opens_in_its_own_row(secret: str, row: str) -> None:
    vault = Vault([NEW])
    assert vault.open(vault.seal(secret, row=row), row=row) == secret


@given(one=st.text(), other=st.text())
def test_a_ciphertext_copied_to_another_row_does_not_open(one: str, other: str) -> None:
    vault = Vault([NEW])
    if one != other:
        with pytest.raises(SecretUnreadable):
            vault.open(vault.seal("the key", row=one), row=other)


def test_a_secret_is_not_in_its_ciphertext_and_looks_different_each_time() -> None:
    first, second = (Vault([NEW]).seal("the key", row="r") for _ in range(2))
    assert first != second
    assert "the key" not in first


def test_after_a_new_key_is_put_first_old_secrets_still_open() -> None:
    assert Vault([NEW, OLD]).open(Vault([OLD]).seal("the key", row="r"), row="r") == "the key"


def test_a_rotated_secret_opens_with_the_new_key_alone_and_only_in_its_row() -> None:
    rotated = Vault([NEW, OLD]).rotate(Vault([OLD]).seal("the key", row="r"))
    assert Vault([NEW]).open(rotated, row="r") == "the key"
    with pytest.raises(SecretUnreadable):
        Vault([NEW]).open(rotated, row="another")


@pytest.mark.parametrize("sealed", ["", "nonsense", "gAAAAA=="])
def test_what_was_never_sealed_does_not_open(sealed: str) -> None:
    with pytest.raises(SecretUnreadable):
        Vault([NEW]).open(sealed, row="r")


def test_a_secret_of_another_key_neither_opens_nor_rotates() -> None:
    sealed = Vault([OLD]).seal("the key", row="r")
    with pytest.raises(SecretUnreadable):
        Vault([NEW]).open(sealed, row="r")
    with pytest.raises(SecretUnreadable):
        Vault([NEW]).rotate(sealed)


# --- digests


@given(key=st.binary(min_size=32, max_size=32), message=st.binary())
def test_a_digest_is_hmac_sha256_cut_to_16_bytes(key: bytes, message: bytes) -> None:
    assert DigestKey(key).of(message) == hmac.digest(key, message, "sha256")[:16]


@given(key=st.binary(min_size=32, max_size=32), message=st.binary())
def test_two_nested_hashes_with_the_pads_give_the_same(key: bytes, message: bytes) -> None:
    digest = DigestKey(key)
    nested = hashlib.sha256(digest.outer + hashlib.sha256(digest.inner + message).digest()).digest()
    assert nested[:16] == digest.of(message)


def test_the_digest_of_an_email_is_not_that_of_the_same_text_elsewhere() -> None:
    key = DigestKey(bytes(32))
    assert key.of_email("ann@example.com") != key.of(b"ann@example.com")


def test_keys_do_not_show_in_repr() -> None:
    assert "hunter" not in repr(DigestKey(b"hunter" * 6))


# --- sealed emails


@given(email=st.text(), book_id=st.integers(0, 2**31), digest=st.binary(min_size=16, max_size=16))
def test_a_sealed_email_opens_in_its_own_place(email: str, book_id: int, digest: bytes) -> None:
    assert SEAL.open(SEAL.seal(email, book_id, digest), book_id, digest) == email


@pytest.mark.parametrize(("book_id", "digest"), [(2, DIGEST), (1, bytes(15) + b"x")])
def test_a_sealed_email_does_not_open_in_another_book_or_beside_another_digest(book_id: int, digest: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        SEAL.open(SEAL.seal("ann@example.com", 1, DIGEST), book_id, digest)


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(40)])
def test_a_damaged_sealed_email_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        SEAL.open(sealed, 1, DIGEST)


def test_the_email_of_a_profile_without_a_digest_is_bound_to_its_customer_id() -> None:
    sealed = seal_rejected(SEAL, 1, "c1", "not an address")
    rejection = Rejection(team_id="T", book_id=1, customer_id="c1", email=sealed, reason="invalid_email")
    assert rejected_email(SEAL, rejection) == "not an address"
    rejection.customer_id = "c2"
    with pytest.raises(SecretUnreadable):
        rejected_email(SEAL, rejection)


def test_a_rejection_without_an_email_opens_as_an_empty_one() -> None:
    assert rejected_email(SEAL, Rejection(team_id="T", book_id=1, reason="missing_email")) == ""


# --- the installation's keys


async def test_a_new_installation_gets_a_key_file_for_its_owner_alone_and_a_warning(
    database: Database, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logs:
        await open_keys(database, [], tmp_path)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "back it up" in logs[0]["event"]
    assert files(tmp_path) - {"ferry.sqlite3", "ferry.sqlite3-wal", "ferry.sqlite3-shm"} == {KEY_FILE}


async def test_a_key_file_that_others_may_read_is_warned_of(database: Database, tmp_path: Path) -> None:
    await open_keys(database, [], tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        await open_keys(database, [], tmp_path)
    assert "chmod 600" in logs[0]["event"]


async def test_with_keys_from_the_settings_no_key_file_is_made(database: Database, tmp_path: Path) -> None:
    await open_keys(database, [NEW], tmp_path)
    assert not (tmp_path / KEY_FILE).exists()


async def test_the_same_keys_are_opened_each_time(database: Database, tmp_path: Path) -> None:
    first = await open_keys(database, [], tmp_path)
    second = await open_keys(database, [], tmp_path)
    assert first.digest.key == second.digest.key
    assert second.email.open(first.email.seal("a@b.de", 1, DIGEST), 1, DIGEST) == "a@b.de"


async def test_two_that_install_at_once_end_up_with_the_same_keys(database: Database, tmp_path: Path) -> None:
    one, other = await asyncio.gather(open_keys(database, [], tmp_path), open_keys(database, [], tmp_path))
    assert one.digest.key == other.digest.key


async def test_the_digest_key_stays_when_the_secret_key_is_rotated(database: Database, tmp_path: Path) -> None:
    before = await open_keys(database, [OLD], tmp_path)
    after = await open_keys(database, [NEW, OLD], tmp_path)
    assert before.digest.key == after.digest.key


async def test_the_installations_keys_are_not_in_clear_in_the_database(database: Database, tmp_path: Path) -> None:
    keys = await open_keys(database, [NEW], tmp_path)
    await database.close()
    stored = (tmp_path / "ferry.sqlite3").read_bytes()
    assert keys.digest.key not in stored
    assert keys.digest.key.hex().encode() not in stored


async def test_a_missing_key_file_stops_and_no_new_one_is_made(database: Database, tmp_path: Path) -> None:
    await open_keys(database, [], tmp_path)
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(SecretKeyMissing, match="FERRY_SECRET_KEYS"):
        await open_keys(database, [], tmp_path)
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.parametrize("content", ["", "nonsense", OLD], ids=["empty", "nonsense", "another key"])
async def test_a_key_file_with_something_else_in_it_stops(database: Database, tmp_path: Path, content: str) -> None:
    await open_keys(database, [], tmp_path)
    (tmp_path / KEY_FILE).write_text(content)
    with pytest.raises(SecretKeyMissing):
        await open_keys(database, [], tmp_path)


@pytest.mark.parametrize("key", [OLD, "no Fernet key at all"], ids=["another key", "no key"])
async def test_another_key_in_the_settings_stops(database: Database, tmp_path: Path, key: str) -> None:
    await open_keys(database, [NEW], tmp_path)
    with pytest.raises(SecretKeyMissing):
        await open_keys(database, [key], tmp_path)


async def test_a_missing_digest_key_stops_where_there_are_ledgers(database: Database, tmp_path: Path) -> None:
    await open_keys(database, [], tmp_path)
    await make_book(database)
    await forget_installation(database)
    with pytest.raises(DigestKeyMissing, match="backup"):
        await open_keys(database, [], tmp_path)


async def test_without_any_ledger_a_missing_digest_key_is_made_anew(database: Database, tmp_path: Path) -> None:
    before = await open_keys(database, [], tmp_path)
    await forget_installation(database)
    assert (await open_keys(database, [], tmp_path)).digest.key != before.digest.key
