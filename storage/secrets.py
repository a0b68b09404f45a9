"""Secrets and sealed emails.

Two kinds of keys. The *secret keys* (Fernet) come from settings or a key file and may be rotated; they seal API keys,
tokens and the two *installation keys*. The installation keys never change: one makes the digests of the ledger, one
seals its emails. Each sealed value is bound to the row it belongs to, so that a ciphertext copied elsewhere stays shut.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlmodel import func, select

from storage.database import Database, usable
from storage.errors import DigestKeyMissing, SecretKeyMissing, SecretUnreadable
from storage.models import Book, Installation

KEY_FILE = "secret.key"
DIGEST_BYTES = 16  # of each keyed digest: enough that two of a million emails never meet
NONCE_BYTES = 12

log = structlog.get_logger(__name__)


class Vault:
    """Seals short secrets with the rotatable keys, each bound to the name of its row."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Newest key first. Raises `SecretKeyMissing` for one that is no key at all."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise SecretKeyMissing(path=KEY_FILE) from None

    def seal(self, secret: str, *, row: str) -> str:
        """`row` names the place, such as `connection/3/api_key`."""
        return self._fernet.encrypt(_label(row) + secret.encode()).decode()

    def open(self, sealed: str, *, row: str) -> str:
        """Raises `SecretUnreadable` if it was sealed for another row or with another key."""
        try:
            plain = self._fernet.decrypt(sealed.encode())
        except InvalidToken:
            raise SecretUnreadable from None
        label = _label(row)
        if not hmac.compare_digest(plain[: len(label)], label):
            raise SecretUnreadable
        return plain[len(label) :].decode()

    def rotate(self, sealed: str) -> str:
        """The same secret under the newest key."""
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable from None


def _label(row: str) -> bytes:
    return hashlib.sha256(row.encode()).digest()


@dataclass(frozen=True, slots=True, repr=False)
class DigestKey:
    """HMAC-SHA-256, cut to 16 bytes. `inner` and `outer` let SQL compute the same by two nested `sha256`."""

    key: bytes

    def of_email(self, normalised: str) -> bytes:
        return self.of(f"email\x1f{normalised}".encode())

    def of(self, message: bytes) -> bytes:
        return hmac.digest(self.key, message, "sha256")[:DIGEST_BYTES]

    @property
    def inner(self) -> bytes:
        return bytes(byte ^ 0x36 for byte in self.key.ljust(64, b"\0"))

    @property
    def outer(self) -> bytes:
        return bytes(byte ^ 0x5C for byte in self.key.ljust(64, b"\0"))


class EmailSeal:
    """Seals the ledger's emails (AES-256-GCM), each bound to its book and digest."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, email: str, book_id: int, digest: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, email.encode(), _place(book_id, digest))

    def open(self, sealed: bytes, book_id: int, digest: bytes) -> str:
        try:
            nonce, box = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, box, _place(book_id, digest)).decode()
        except (InvalidTag, ValueError):
            raise SecretUnreadable from None


def _place(book_id: int, digest: bytes) -> bytes:
    return b"%d/%b" % (book_id, digest)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """All keys of an installation, opened."""

    vault: Vault
    digest: DigestKey
    email: EmailSeal


async def open_keys(database: Database, secret_keys: Sequence[str], folder: Path) -> Keys:
    """Open the installation's keys; make them for a new installation.

    Raises `SecretKeyMissing` or `DigestKeyMissing` rather than making new ones where old data needs the old.
    """
    async with database.read() as session:
        installation = await session.get(Installation, 1)
        books = (await session.exec(select(func.count()).select_from(Book))).one()
    if installation is None and books:
        raise DigestKeyMissing

    path = folder / KEY_FILE
    vault = Vault(secret_keys or [await asyncio.to_thread(_key_from_file, path, may_create=installation is None)])
    if installation is None:
        installation = await _install(database, vault)
    try:
        digest_key = bytes.fromhex(vault.open(installation.digest_key, row="installation/digest_key"))
        email_key = bytes.fromhex(vault.open(installation.email_key, row="installation/email_key"))
    except SecretUnreadable:
        raise SecretKeyMissing(path=path) from None
    return Keys(vault, DigestKey(digest_key), EmailSeal(email_key))


async def _install(database: Database, vault: Vault) -> Installation:
    """Make the installation's keys; of two processes that start at once, the first one's stand."""
    async with database.write() as session:
        found = await session.get(Installation, 1)
        if found is not None:
            return found
        made = Installation(
            digest_key=vault.seal(secrets.token_hex(32), row="installation/digest_key"),
            email_key=vault.seal(secrets.token_hex(32), row="installation/email_key"),
        )
        session.add(made)
        return made


def _key_from_file(path: Path, *, may_create: bool) -> str:
    with usable(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _read_or_create(path, may_create=may_create)


def _read_or_create(path: Path, *, may_create: bool) -> str:
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        if not may_create:
            raise SecretKeyMissing(path=path) from None
        return _create_key_file(path)
    except UnicodeDecodeError:
        raise SecretKeyMissing(path=path) from None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        log.warning("key file is readable by others; run: chmod 600", path=str(path))
    try:
        Fernet(key)
    except ValueError:
        raise SecretKeyMissing(path=path) from None
    return key


def _create_key_file(path: Path) -> str:
    """Write a new key that only its owner can read. The file appears whole or not at all."""
    key = Fernet.generate_key().decode()
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key.encode() + b"\n")
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:  # another process was first
        return path.read_text().strip()
    finally:
        os.close(descriptor)
        draft.unlink()
    log.warning("no FERRY_SECRET_KEYS: made a key file; back it up, without it stored secrets are lost", path=str(path))
    return key
