"""Customer Insights, read in the names of export users: their identities, and where their tokens are kept."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from bot.pipeline.errors import EnvironmentChanged
from bot.pipeline.refresh_window import KnownRefreshes
from bot.settings import Settings
from bot.sources.base import Source
from bot.sources.dataverse import DataverseSource, authority_of, environment_url
from bot.sources.entra import (
    AppCertificate,
    AppIdentity,
    AppSecret,
    Registration,
    SignInStatus,
    UserIdentity,
    sign_in_status,
)
from storage import lease
from storage.database import Database, unbroken
from storage.models import ExportUser, ReaderKind, id_of, now
from storage.secrets import Vault

LEASE_PATIENCE = 60.0  # seconds for which another process may be renewing the same tokens
LEASE_LOOK = 0.2  # seconds between two looks at whether it has finished

Identity = UserIdentity | AppIdentity


class StoredTokens:
    """The tokens of one export user, sealed to its row and its connection (the token store of `UserIdentity`)."""

    def __init__(self, database: Database, vault: Vault, user_id: int) -> None:
        self._database = database
        self._vault = vault
        self._user_id = user_id

    async def load(self) -> str | None:
        async with self._database.read() as session:
            user = await session.get(ExportUser, self._user_id)
        return open_tokens(self._vault, user) if user is not None else None

    async def save(self, tokens: str) -> None:
        """Put them in the place of what was there. Nothing is kept once the row has gone."""
        async with self._database.write() as session:
            user = await session.get(ExportUser, self._user_id)
            if user is not None:
                seal_tokens(self._vault, user, tokens)
                user.warned_at = user.ended_at = None
                session.add(user)

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Alone with these tokens among all processes, bot and command line: a refresh token is good for one use.

        Whoever waits for too long goes on: two that renew at once find out by Entra's answer.
        """
        name, holder = f"export-user/{self._user_id}", lease.this_process()
        patience = time.monotonic() + LEASE_PATIENCE
        while await lease.take(self._database, name, holder) is None:
            if time.monotonic() > patience:
                break
            await asyncio.sleep(LEASE_LOOK)
        try:
            yield
        finally:
            await unbroken(lease.release(self._database, name, holder, ()))


def open_tokens(vault: Vault, user: ExportUser) -> str | None:
    """Raises `SecretUnreadable` if they were sealed for another row, connection or key."""
    return vault.open(user.tokens, row=_place(user)) if user.tokens is not None else None


def seal_tokens(vault: Vault, user: ExportUser, tokens: str) -> None:
    user.tokens = vault.seal(tokens, row=_place(user))


def _place(user: ExportUser) -> str:
    return f"export_user/{user.id}/connection/{user.connection_id or 'none'}/tokens"


@dataclass(frozen=True, slots=True)
class Reader:
    """A source with the identity that reads it."""

    source: Source
    identity: Identity
    connection_id: int | None

    def forget(self) -> None:
        if isinstance(self.identity, UserIdentity):
            self.identity.forget()

    async def close(self) -> None:
        await self.source.close()
        await self.identity.close()


def environment_of(settings: Settings) -> str:
    """The origin of the environment that the settings name. Raises `AddressRefused` for what is none."""
    given = settings.environment
    return environment_url(given, any_host=urlsplit(given).hostname in settings.dataverse_hosts)


class Insights:
    """The Customer Insights environment that the settings name. Raises `AddressRefused` for what is no environment."""

    kind = "dataverse"

    def __init__(
        self, database: Database, vault: Vault, settings: Settings, *, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._clock = clock
        self.environment = environment_of(settings)
        self.refreshes = KnownRefreshes(settings.refresh_minutes)

    @property
    def label(self) -> str:
        return f"Customer Insights ({urlsplit(self.environment).netloc})"

    @property
    def has_app(self) -> bool:
        """Whether the app registration can read in its own name."""
        return bool(self._settings.entra_app_secret.get_secret_value() or self._settings.entra_app_certificate)

    def refreshing_until(self) -> datetime | None:
        at = self._clock()
        return self.refreshes.refreshing(at, at)

    def open(self, user: ExportUser) -> Reader:
        """The environment in an export user's name. Raises `EnvironmentChanged`."""
        if user.environment != self.environment:
            raise EnvironmentChanged(former=urlsplit(user.environment).netloc, source=urlsplit(self.environment).netloc)
        identity: Identity = self.app() if user.kind is ReaderKind.APP else self.person(user)
        source = DataverseSource(
            self.environment,
            identity,
            refresh=self.refreshes,
            most_members=self._settings.max_profiles,
            ca_file=self._settings.dataverse_ca,
        )
        return Reader(source, identity, user.connection_id)

    def person(self, user: ExportUser) -> UserIdentity:
        store = StoredTokens(self._database, self._vault, id_of(user))
        return UserIdentity(self._registration(self._settings.entra_client_id), store)

    def app(self) -> AppIdentity:
        settings = self._settings
        secret, certificate = settings.entra_app_secret.get_secret_value(), settings.entra_app_certificate
        credential = AppSecret(secret) if certificate is None else AppCertificate(certificate)
        return AppIdentity(self._registration(settings.entra_app_id or settings.entra_client_id), credential)

    async def status(self, user: ExportUser) -> SignInStatus | None:
        """What is known of a stored sign-in; None if there is none. Raises `CertificateUnreadable`."""
        if user.kind is ReaderKind.APP:
            return await self.app().status()
        tokens = open_tokens(self._vault, user)
        return sign_in_status(tokens) if tokens else None

    def _registration(self, client_id: str) -> Registration:
        return Registration(
            environment=self.environment,
            tenant=self._settings.entra_tenant,
            client_id=client_id,
            authority=self._settings.entra_authority or authority_of(self.environment),
            ca_file=self._settings.dataverse_ca,
        )
