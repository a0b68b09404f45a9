"""The export user: a person who has signed in once, and in whose name profiles are read from then on."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

import msal
import requests

from bot.sources.entra.device import DeviceSignIn
from bot.sources.entra.errors import NotSignedIn, refusal
from bot.sources.entra.held import HeldToken
from bot.sources.entra.msal_calls import Answer, MsalCalls, Pause, Registration

SIGN_IN_DAYS = 90  # for which a refresh token is good without being used (Entra docs, "Refresh tokens")
WARNING_DAYS = 14  # before that, people are warned


class TokenStore(Protocol):
    """Where one connection's tokens are kept, sealed. One identity calls it, never twice at once."""

    async def load(self) -> str | None:
        """What was saved last; None if nothing was, or if it was removed."""
        ...

    async def save(self, tokens: str) -> None:
        """Keep these in place of what was there. They open everything the person can read: seal them."""
        ...

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Nobody else renews these tokens meanwhile, in whatever process: a refresh token may be good for one use."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """Who signed in: the name they sign in with, their object id, and their tenant's."""

    name: str
    object_id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class SignInStatus:
    """A stored sign-in. Entra says nowhere until when it is good; unused, it ends after 90 days, or as tenants decide.

    `needs_sign_in_by` is None where no end is known.
    """

    account: Account | None
    renewed_at: datetime | None
    needs_sign_in_by: datetime | None

    def is_due(self, now: datetime, warning: timedelta = timedelta(days=WARNING_DAYS)) -> bool:
        """Whether it is time to warn the export user and the admins."""
        return self.needs_sign_in_by is not None and now >= self.needs_sign_in_by - warning


def _now() -> datetime:
    return datetime.now(UTC)


class UserIdentity:
    """A token provider in a person's name. `pause`, `clock`, `now` and `random` are for tests."""

    def __init__(
        self,
        registration: Registration,
        store: TokenStore,
        *,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
        random: Random | None = None,
    ) -> None:
        self._registration = registration
        self._store = store
        self._pause = pause
        self._now = now
        self._calls = MsalCalls(registration, pause, random)
        self._scopes = [f"{registration.environment}/user_impersonation"]  # MSAL adds offline_access
        self._stored = asyncio.Lock()
        self._held = HeldToken(self._renewed, clock)

    async def token(self) -> str:
        """An access token for the environment. Raises a `SignInError`."""
        return await self._held.get()

    async def refresh(self) -> str:
        """Another access token than the last one. Raises a `SignInError`."""
        return await self._held.replace()

    async def begin_sign_in(self) -> DeviceSignIn:
        """Ask Entra for a code to show. What is stored stays good until the person has signed in."""
        cache = msal.SerializableTokenCache()

        def begin(http: requests.Session) -> Answer:
            flow: Answer = self._registration.public(http, cache).initiate_device_flow(self._scopes)
            return flow

        flow = await self._calls.patiently(begin)
        if "user_code" not in flow:
            raise refusal(flow, **self._registration.facts)

        def poll(http: requests.Session) -> Answer:
            flow.pop("latest_attempt_at", None)  # MSAL times its own looks by it; these are ours
            app = self._registration.public(http, cache)
            answer: Answer = app.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
            return answer

        async def accept(answer: Answer) -> None:
            async with self._stored, self._store.exclusive():
                await self._store.save(cache.serialize())
                self._held.put(answer)

        return DeviceSignIn(
            flow,
            self._registration,
            poll=lambda: self._calls.once(poll),
            accept=accept,
            pause=self._pause,
            now=self._now,
        )

    async def status(self) -> SignInStatus | None:
        """What is known of the stored sign-in; None if there is none."""
        async with self._stored:
            stored = await self._store.load()
        return sign_in_status(stored) if stored else None

    def forget(self) -> None:
        """Drop the token in memory: what the store held was removed."""
        self._held.drop()

    async def close(self) -> None:
        """Wait for a renewal under way, so that its tokens are kept."""
        await self._held.close()

    # --- renewal

    async def _renewed(self, forced: bool) -> Answer:
        async with self._stored, self._store.exclusive():
            stored = await self._store.load()
            answer = await self._silently(stored, forced)
            if answer.get("error") == "invalid_grant" and (newer := await self._store.load()) != stored:
                answer = await self._silently(newer, forced)  # another process has used the refresh token before us
            if "access_token" not in answer:
                raise refusal(answer, **self._registration.facts)
            return answer

    async def _silently(self, stored: str | None, forced: bool) -> Answer:
        """Tokens by what is stored; new ones are stored in its place. Raises `NotSignedIn`."""
        cache = _cache(stored)

        def renew(http: requests.Session) -> Answer:
            app = self._registration.public(http, cache)
            accounts = app.get_accounts()
            account = accounts[0] if accounts else None
            answer = app.acquire_token_silent_with_error(self._scopes, account, force_refresh=forced)
            return answer or {}

        answer = await self._calls.patiently(renew)
        if not answer:
            raise NotSignedIn
        if "access_token" in answer and cache.has_state_changed:
            await self._store.save(cache.serialize())
        return answer


def _cache(stored: str | None) -> msal.SerializableTokenCache:
    cache = msal.SerializableTokenCache()
    try:
        if not stored:
            raise NotSignedIn
        cache.deserialize(stored)
    except ValueError:
        raise NotSignedIn from None
    return cache


def sign_in_status(stored: str) -> SignInStatus:
    """What stored tokens tell of the sign-in behind them."""
    renewed = max((_moment(token) for token in _entries(stored, "RefreshToken")), default=None)
    accounts = [
        Account(entry.get("username", ""), entry.get("local_account_id", ""), entry.get("realm", ""))
        for entry in _entries(stored, "Account")
    ]
    return SignInStatus(
        account=accounts[0] if accounts else None,
        renewed_at=renewed,
        needs_sign_in_by=renewed + timedelta(days=SIGN_IN_DAYS) if renewed else None,
    )


def _moment(entry: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(entry.get("last_modification_time", 0)), UTC)


def _entries(stored: str, kind: str) -> Iterable[dict[str, Any]]:
    """Entries of MSAL's cache (its format is shared by all Microsoft's libraries, and written down as a schema)."""
    try:
        entries = json.loads(stored).get(kind, {})
    except (ValueError, AttributeError):
        return []
    return list(entries.values())
