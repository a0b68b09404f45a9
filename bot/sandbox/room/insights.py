"""The source of the sandbox where it is a Dataverse environment: the stand-in, its data, and who signs in to it.

The stand-in makes up its data from a seed and holds what has changed since. The changes are kept in a file and made
again at the next start, at the same address if it is free. Who has signed in is not kept, as with tokens that expire.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bot.sandbox.room.bell import Bell
from bot.sandbox.room.source import KEPT_CHANGES, ChangeFailed, NoSuchChange, Offer
from bot.sandbox.workspace import DidNotStart, emulator

SEGMENTS = ("Newsletter", "VIP")  # what changes, of the stand-in's segments
FIRST_NAME = "msdynci_firstname"
LOOK_SECONDS = 1.0  # between two looks for people who sign in
OFFERS = {
    one.name: one
    for one in (
        Offer("join", "Some join", "New people: 2 % more in Newsletter and VIP", 0.02),
        Offer("leave", "Some leave", "2 % leave Newsletter and VIP", 0.02),
        Offer("edit", "Some are edited", "5 % in Newsletter get another first name", 0.05),
        Offer("break", "Break some emails", "1 % in Newsletter get an address that is none", 0.01),
        Offer("exodus", "Most leave", "60 % leave Newsletter and VIP: far more than usual", 0.6),
    )
}


@asynccontextmanager
async def insights(file: Path, profiles: int) -> AsyncIterator["InsightsData"]:
    """Run the stand-in, with the changes that were kept in the file. Raises `workspace.DidNotStart`."""
    kept = await asyncio.to_thread(_read, file)
    async with _started(kept.get("port", 0), profiles) as told:
        tls = await asyncio.to_thread(ssl.create_default_context, cafile=told["ca"])
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(told["url"], connector=connector, trust_env=False) as http:
            data = InsightsData(told, http, file, kept.get("changes", []))
            await data.make_again()
            looking = asyncio.create_task(data.look_for_sign_ins(), name="looking for people who sign in")
            try:
                yield data
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)


@asynccontextmanager
async def _started(port: int, profiles: int) -> AsyncIterator[dict[str, Any]]:
    """The stand-in at its former port, or at any where that is taken."""
    options = ("--profiles", str(profiles), "--port")
    running = emulator("dataverse", *options, str(port), apart=True)
    try:
        told = await running.__aenter__()
    except DidNotStart:
        if not port:
            raise
        running = emulator("dataverse", *options, "0", apart=True)
        told = await running.__aenter__()
    try:
        yield told
    finally:
        await running.__aexit__(None, None, None)


class InsightsData:
    """What the stand-in holds, and what a visitor may do to it. See `source.ShownSource`."""

    def __init__(
        self, told: dict[str, Any], http: aiohttp.ClientSession, file: Path, made: list[dict[str, Any]]
    ) -> None:
        self.told = told
        self.bell = Bell()
        self.changes: list[str] = []
        self._http = http
        self._file = file
        self._made = made
        self._waiting: list[str] = []
        self._busy = asyncio.Lock()

    @property
    def settings(self) -> dict[str, str]:
        """The bot's settings for this environment."""
        told = self.told
        return {
            "FERRY_SOURCE": told["url"],
            "FERRY_DATAVERSE_HOSTS": "127.0.0.1",
            "FERRY_DATAVERSE_CA": told["ca"],
            "FERRY_ENTRA_TENANT": told["tenant"],
            "FERRY_ENTRA_CLIENT_ID": told["device_client_id"],
            "FERRY_ENTRA_APP_ID": told["client_id"],
            "FERRY_ENTRA_APP_SECRET": told["client_secret"],
            "FERRY_ENTRA_AUTHORITY": told["authority"],
        }

    async def describe(self) -> dict[str, Any]:
        stats, segments = await self._get("stats"), await self._get("segments")
        return {
            "profiles": stats["profiles"],
            "segments": [
                {"name": one["name"], "members": one["members"], "problem": ""}
                for one in segments["segments"]
                if one["active"]
            ],
            "offers": [one.shown() for one in OFFERS.values()],
            "changes": self.changes,
            "sign_in": {"codes": self._waiting, "people": self.told["people"]},
        }

    async def change(self, name: str) -> str:
        """Change the data; what happened, in words. Raises `NoSuchChange` or `ChangeFailed`."""
        if name not in OFFERS:
            raise NoSuchChange(f"There is no change {name!r}.")
        async with self._busy:
            made, words = await self._planned(name, OFFERS[name].share)
            await self._post("changes", made)
            self._made += made
            await asyncio.to_thread(_write, self._file, {"port": self._port, "changes": self._made})
            self.changes = [*self.changes[1 - KEPT_CHANGES :], words]
        self.bell.ring()
        return words

    async def make_again(self) -> None:
        """What earlier sandboxes changed."""
        if self._made:
            await self._post("changes", self._made)
        await asyncio.to_thread(_write, self._file, {"port": self._port, "changes": self._made})

    @property
    def _port(self) -> int:
        return int(self.told["url"].rpartition(":")[2])

    async def _planned(self, name: str, share: float) -> tuple[list[dict[str, Any]], str]:
        """The changes for the stand-in, and what they come to in words."""
        first, both = SEGMENTS[0], " and ".join(SEGMENTS)
        if name in ("edit", "break"):
            chosen = await self._some(first, share)
            if name == "break":
                return [{"op": "break-emails", "customers": chosen}], f"{len(chosen):,} email addresses are broken."
            values = {FIRST_NAME: f"New {len(self._made) + 1}"}
            edited = {"op": "edit", "customers": chosen, "set": values}
            return [edited], f"{len(chosen):,} people in {first} have another first name."
        chosen_of = {segment: await self._some(segment, share) for segment in SEGMENTS}
        numbers = " and ".join(f"{len(chosen):,}" for chosen in chosen_of.values())
        if name == "join":
            new = [{"op": "join", "segment": one, "count": len(these), "new": True} for one, these in chosen_of.items()]
            return new, f"{numbers} new people joined {both}."
        left = [{"op": "leave", "segment": one, "customers": these} for one, these in chosen_of.items()]
        return left, f"{numbers} people left {both}."

    async def _some(self, segment: str, share: float) -> list[str]:
        """Part of a segment's members with a profile, at least one, left to chance."""
        async with self._http.get("/_emulator/truth", params={"segment": segment}) as answer:
            lines = (await answer.read()).splitlines()
        members = [one["customer_id"] for line in lines if (one := orjson.loads(line))["profile"] is not None]
        if not members:
            raise ChangeFailed(f"Nobody is left in {segment}.")
        return random.sample(members, max(1, round(len(members) * share)))

    # -- signing in

    async def sign_in(self, code: str, person: str, action: str) -> None:
        """Answer a sign-in that waits, as that person. Raises `ChangeFailed`."""
        await self._post("device", {"user_code": code, "user": person, "action": action})
        self._waiting = [one for one in self._waiting if one != code]
        self.bell.ring()

    async def look_for_sign_ins(self) -> None:
        """Ring when somebody begins to sign in, or ends."""
        while True:
            with suppress(aiohttp.ClientError):
                waiting = (await self._get("device"))["user_codes"]
                if waiting != self._waiting:
                    self._waiting = waiting
                    self.bell.ring()
            await asyncio.sleep(LOOK_SECONDS)

    # -- the stand-in's controls

    async def _get(self, name: str) -> dict[str, Any]:
        async with self._http.get(f"/_emulator/{name}") as answer:
            said: dict[str, Any] = await answer.json()
        return said

    async def _post(self, name: str, body: Any) -> None:
        async with self._http.post(f"/_emulator/{name}", json=body) as answer:
            if answer.status != 200:
                raise ChangeFailed(f"The stand-in of Dataverse refused that: {(await answer.json())['error']}")


def _read(file: Path) -> dict[str, Any]:
    return dict(orjson.loads(file.read_bytes())) if file.exists() else {}


def _write(file: Path, kept: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_bytes(orjson.dumps(kept))
    draft.rename(file)
