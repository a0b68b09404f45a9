"""Signing in with a code on another device, as an object that a modal can show and watch.

(Microsoft identity platform docs, "OAuth 2.0 device authorization grant".)
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from bot.sources.entra.errors import SignInError, refusal
from bot.sources.entra.msal_calls import Answer, EntraAway, Pause, Registration

LEAST_INTERVAL = 1  # seconds between two looks, whatever Entra says


class SignInState(StrEnum):
    """How far a sign-in has come."""

    WAITING = "waiting"
    SIGNED_IN = "signed-in"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


_PENDING = {"authorization_pending", "slow_down"}
_ENDS = {
    "authorization_declined": SignInState.DECLINED,
    "access_denied": SignInState.DECLINED,
    "expired_token": SignInState.EXPIRED,
    "code_expired": SignInState.EXPIRED,
    "bad_verification_code": SignInState.EXPIRED,
}
"""What people, or time, can do to a sign-in, by Entra's words."""


class DeviceSignIn:
    """A sign-in that waits for somebody to open `link` and type `code` there, until `expires_at`.

    To be watched by one `wait`; `cancel` may be called at any time from the same event loop.
    """

    def __init__(
        self,
        flow: dict[str, Any],
        registration: Registration,
        *,
        poll: Callable[[], Awaitable[Answer]],
        accept: Callable[[Answer], Awaitable[None]],
        pause: Pause,
        now: Callable[[], datetime],
    ) -> None:
        """`flow`: as MSAL began it. `poll`: ask Entra once; `accept`: keep the tokens that came."""
        self.code: str = flow["user_code"]
        self.link: str = flow["verification_uri"]
        self.expires_at = datetime.fromtimestamp(flow["expires_at"], UTC)
        self.state = SignInState.WAITING
        self._flow = flow
        self._registration = registration
        self._poll = poll
        self._accept = accept
        self._pause = pause
        self._now = now
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """Stop waiting. Whoever types the code after this has signed in for nothing: no token is kept."""
        self._cancelled.set()

    async def wait(self) -> SignInState:
        """Wait for what the person does: signed in (the tokens are kept then), declined, expired or cancelled.

        Raises a `SignInError` if the sign-in can't work at all: consent missing, an app that may not do this. Passing
        trouble with the network is waited out.
        """
        try:
            while self.state is SignInState.WAITING:
                await self._rest()
                await self._look()
        except BaseException as error:
            self.state = SignInState.FAILED if isinstance(error, SignInError) else SignInState.CANCELLED
            raise
        return self.state

    async def _look(self) -> None:
        if self._cancelled.is_set():
            self.state = SignInState.CANCELLED
            return
        if self._now() >= self.expires_at:
            self.state = SignInState.EXPIRED
            return
        with suppress(EntraAway):
            await self._conclude(await self._poll())

    async def _conclude(self, answer: Answer) -> None:
        if self._cancelled.is_set():
            self.state = SignInState.CANCELLED
        elif "access_token" in answer:
            await self._accept(answer)
            self.state = SignInState.SIGNED_IN
        elif answer.get("error") not in _PENDING:
            self.state = self._end(answer)

    def _end(self, answer: Mapping[str, Any]) -> SignInState:
        end = _ENDS.get(str(answer.get("error")))
        if end is None:
            raise refusal(answer, **self._registration.facts)
        return end

    async def _rest(self) -> None:
        """Wait for as long as Entra wants between two looks, or until the sign-in is cancelled."""
        seconds = max(LEAST_INTERVAL, self._flow["interval"])  # MSAL lengthens it when Entra says slow_down
        tasks = {asyncio.ensure_future(self._pause(seconds)), asyncio.ensure_future(self._cancelled.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
