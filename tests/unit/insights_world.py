"""Customer Insights in a small way: an environment that people sign in to at once, and that says who may read.

Where MSAL and Dataverse themselves are wanted, the scenarios use the emulator.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from bot.pipeline.insights import Insights, Reader, StoredTokens
from bot.settings import Settings
from bot.sources.entra import DeviceSignIn, Registration, UserIdentity
from bot.sources.entra.errors import SignInError
from storage.database import Database
from storage.models import ExportUser, id_of, now
from storage.secrets import Vault
from tests.memory_source import MemorySource

ENVIRONMENT = "https://contoso.crm4.dynamics.com"
ACCOUNT = "ada.export@contoso.example"
PENDING = {"error": "authorization_pending"}
DECLINED = {"error": "authorization_declined"}
SIGNED_IN = {"access_token": "a token", "expires_in": 3600}


def insights_settings(**other: Any) -> Settings:
    given = {"dataverse_url": ENVIRONMENT, "entra_tenant": "contoso.example", "entra_client_id": "people"}
    return Settings(_env_file=None, **given | other)


def tokens_of(account: str = ACCOUNT, renewed: datetime | None = None) -> str:
    """As MSAL writes them down."""
    at = str(int((renewed or now()).timestamp()))
    return json.dumps(
        {
            "Account": {"a": {"username": account, "local_account_id": "object-id", "realm": "tenant"}},
            "RefreshToken": {"r": {"secret": "sesame-open", "last_modification_time": at}},
        }
    )


@dataclass
class SmallIdentity:
    """Signs in as soon as it is asked, or as the test says."""

    insights: "SmallInsights"
    store: StoredTokens
    closed: bool = False

    async def begin_sign_in(self) -> DeviceSignIn:
        if self.insights.refuses is not None:
            raise self.insights.refuses
        answers = self.insights.answers

        async def poll() -> dict[str, Any]:
            await asyncio.sleep(0.001)
            return answers.pop(0) if answers else PENDING

        async def accept(answer: dict[str, Any]) -> None:
            await self.store.save(tokens_of(self.insights.account))

        flow = {"user_code": "ABC123", "verification_uri": "https://microsoft.example/device", "interval": 0,
                "expires_at": time.time() + 900}  # fmt: skip
        registration = Registration(ENVIRONMENT, "tenant", "people")
        return DeviceSignIn(flow, registration, poll=poll, accept=accept, pause=asyncio.sleep, now=_now)

    async def close(self) -> None:
        self.closed = True

    def forget(self) -> None:
        return


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class CheckedSource(MemorySource):
    kind: str = "dataverse"
    label: str = "contoso"
    problem: Exception | None = None

    async def check(self) -> None:
        if self.problem is not None:
            raise self.problem


class SmallInsights(Insights):
    """`answers`: what Entra says at each look; `refuses`: why it gives no code; `problem`: why nobody can read."""

    def __init__(self, database: Database, vault: Vault, **settings: Any) -> None:
        super().__init__(database, vault, insights_settings(**settings))
        self.answers: list[dict[str, Any]] = [SIGNED_IN]
        self.account = ACCOUNT
        self.refuses: SignInError | None = None
        self.problem: Exception | None = None
        self.opened: list[ExportUser] = []

    def person(self, user: ExportUser) -> UserIdentity:
        return cast(UserIdentity, SmallIdentity(self, StoredTokens(self._database, self._vault, id_of(user))))

    def open(self, user: ExportUser) -> Reader:
        self.opened.append(user)
        identity = cast(UserIdentity, SmallIdentity(self, StoredTokens(self._database, self._vault, user.id or 0)))
        source = CheckedSource(
            profiles_by_id={"c1": {"msdynci_email": "ann@example.com"}}, members={"VIP": {"c1"}}, problem=self.problem
        )
        return Reader(source, identity, user.connection_id)
