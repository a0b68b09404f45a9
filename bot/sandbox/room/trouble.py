"""Switches for trouble: what a visitor may do to Slack and Omnisend, to see what the bot makes of it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.sandbox.room.bell import Bell

PUT_OFF_SECONDS = 2  # what a slow Slack asks each second call to wait


@dataclass(frozen=True, slots=True)
class Switch:
    """One kind of trouble, with what it means."""

    name: str
    title: str
    meaning: str


SWITCHES = (
    Switch("omnisend-down", "Omnisend is down", "Every request is answered with 503."),
    Switch("omnisend-busy", "Omnisend limits the rate", "Half of all requests are answered with 429."),
    Switch("key-revoked", "The API key is revoked", "Omnisend answers 401 until it is restored."),
    Switch("slack-slow", "Slack is slow", f"It puts calls off for {PUT_OFF_SECONDS} seconds, again and again."),
    Switch("slack-away", "Slack is away", "Nothing is answered and the bot's connections are cut."),
)
_OMNISEND_FAULTS: Mapping[str, dict[str, Any]] = {
    "omnisend-down": {"kind": "503", "rate": 1},
    "omnisend-busy": {"kind": "429", "rate": 0.5},
}


class NoSuchSwitch(ValueError):
    """A switch that is not there."""


class Troubles:
    """Turns the switches, through the controls of the stand-ins."""

    def __init__(self, http: aiohttp.ClientSession, slack: str, omnisend: str, key: str, bell: Bell) -> None:
        """`slack` and `omnisend` are the addresses of their controls; `key` is the shop's API key."""
        self._http = http
        self._slack = slack
        self._omnisend = omnisend
        self._key = key
        self._bell = bell
        self._on: set[str] = set()
        self._slow: asyncio.Task[None] | None = None
        self._away: int | None = None

    def listing(self) -> list[dict[str, Any]]:
        """The switches in their order, with how they stand."""
        return [
            {"name": one.name, "title": one.title, "meaning": one.meaning, "on": one.name in self._on}
            for one in SWITCHES
        ]

    async def turn(self, name: str, *, on: bool) -> None:
        """Turn one on or off. Raises `NoSuchSwitch`."""
        if name not in {one.name for one in SWITCHES}:
            raise NoSuchSwitch(f"There is no switch {name!r}.")
        self._on = self._on | {name} if on else self._on - {name}
        match name:
            case "key-revoked":
                await self._post(
                    f"{self._omnisend}/keys/revoke" if on else f"{self._omnisend}/keys", {"key": self._key}
                )
            case "slack-slow":
                await self._turn_slow(on=on)
            case "slack-away":
                await self._turn_away(on=on)
            case _:
                faults = [_OMNISEND_FAULTS[one] for one in sorted(self._on & _OMNISEND_FAULTS.keys())]
                await self._post(f"{self._omnisend}/faults", {"faults": faults})
        self._bell.ring()

    async def close(self) -> None:
        """End what goes on in the background."""
        await self._turn_slow(on=False)

    async def _turn_slow(self, *, on: bool) -> None:
        if self._slow is not None:
            self._slow.cancel()
            await asyncio.gather(self._slow, return_exceptions=True)
            self._slow = None
        if on:
            self._slow = asyncio.create_task(self._put_calls_off(), name="slow Slack")

    async def _put_calls_off(self) -> None:
        """The stand-in knows no delay; a call that is put off once, and then served, comes to the same."""
        while True:
            put_off = {"kind": "ratelimited", "retry_after": PUT_OFF_SECONDS, "times": 1}
            await self._post(f"{self._slack}/faults", put_off)
            await asyncio.sleep(PUT_OFF_SECONDS)

    async def _turn_away(self, *, on: bool) -> None:
        if on and self._away is None:
            answer = await self._post(f"{self._slack}/faults", {"kind": "away"})
            self._away = int(answer["fault"]["id"])
        elif not on and self._away is not None:
            async with self._http.delete(f"{self._slack}/faults", params={"id": self._away}) as lifted:
                lifted.raise_for_status()
            self._away = None

    async def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(url, json=body) as answer:
            answer.raise_for_status()
            said: dict[str, Any] = await answer.json()
        return said
