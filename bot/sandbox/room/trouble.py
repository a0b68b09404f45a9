"""Switches for trouble: what a visitor may do to Slack and Omnisend, to see what the bot makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from bot.sandbox.room.bell import Bell

SLOW_SECONDS = 2  # what a slow Slack takes for each call: less than the 3 in which a form must be opened


@dataclass(frozen=True, slots=True)
class Switch:
    """One kind of trouble, with what it means."""

    name: str
    title: str
    meaning: str


SWITCHES = (
    Switch("omnisend-down", "Omnisend is down", "Every request is answered with 503."),
    Switch("omnisend-busy", "Omnisend limits the rate", "One request in seven is answered with 429."),
    Switch("key-revoked", "The API key is revoked", "Omnisend answers 401 until it is restored."),
    Switch("slack-slow", "Slack is slow", f"It takes {SLOW_SECONDS} seconds for each call of the bot."),
    Switch("slack-away", "Slack is away", "Nothing is answered and the bot's connections are cut."),
)
_OMNISEND_FAULTS: Mapping[str, dict[str, Any]] = {
    "omnisend-down": {"kind": "503", "rate": 1},
    "omnisend-busy": {"kind": "429", "rate": 1 / 7},
}
_SLACK_FAULTS: Mapping[str, dict[str, Any]] = {
    "slack-slow": {"kind": "slow", "seconds": SLOW_SECONDS},
    "slack-away": {"kind": "away"},
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
        self._at_slack: dict[str, int] = {}  # ids of the faults that are on, by the switch

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
        if name in _SLACK_FAULTS:
            await self._turn_at_slack(name, on=on)
        elif name in _OMNISEND_FAULTS:
            faults = [_OMNISEND_FAULTS[one] for one in sorted(self._on & _OMNISEND_FAULTS.keys())]
            await self._post(f"{self._omnisend}/faults", {"faults": faults})
        else:
            await self._post(f"{self._omnisend}/keys/revoke" if on else f"{self._omnisend}/keys", {"key": self._key})
        self._bell.ring()

    async def _turn_at_slack(self, name: str, *, on: bool) -> None:
        if on and name not in self._at_slack:
            answer = await self._post(f"{self._slack}/faults", _SLACK_FAULTS[name])
            self._at_slack[name] = int(answer["fault"]["id"])
        elif not on and name in self._at_slack:
            fault = self._at_slack.pop(name)
            async with self._http.delete(f"{self._slack}/faults", params={"id": fault}) as lifted:
                lifted.raise_for_status()

    async def _post(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(url, json=body) as answer:
            answer.raise_for_status()
            said: dict[str, Any] = await answer.json()
        return said
