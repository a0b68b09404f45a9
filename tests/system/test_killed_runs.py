"""A run that is killed at any moment, under faults, with the source changing meanwhile, is made good by the next run.

Holds the program against the design's promise that a crash costs nothing (DESIGN.md, reconcile), with the `ferry`
command as a process, the tables source, and the Omnisend emulator as a process. More seeds: FERRY_TEST_SEEDS=50.
"""

import csv
import json
import os
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.omnisend.contacts import segment_property
from tests.ferry import Ferry
from tests.processes import emulator
from tests.system.command_line_world import in_this_process

SEEDS = range(int(os.environ.get("FERRY_TEST_SEEDS", "4")))
PROFILES = 2_000
FAULTS = ("500:0.04", "503:0.03", "429:0.01", "html:0.03", "drop-before:0.04", "drop-after:0.06", "stopped:0.05",
          "vanished:0.04")  # fmt: skip
Profile = dict[str, str]


class SourceFolder:
    """Profiles and two segments as files, with the truth beside them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self.profiles: dict[str, Profile] = {}
        self.members: dict[str, set[str]] = {"VIP": set(), "重要客戶": set()}
        for number in range(PROFILES):
            customer = f"{number:032x}"
            self.profiles[customer] = {"Email": f"Ann{number}@Example.com", "First": f"Ann {number}"}
            for members in self.members.values():
                if self._random.random() < 0.7:
                    members.add(customer)

    def change(self) -> None:
        """Some join, some leave, some get a new name, some a new address, some lose theirs."""
        for customer, profile in self.profiles.items():
            dice = self._random.random()
            if dice < 0.1:
                profile["First"] = f"Bea {self._random.randrange(10**6)}"
            elif dice < 0.15:
                profile["Email"] = f"new{self._random.randrange(10**9)}@example.com"
            elif dice < 0.17:
                profile["Email"] = "nonsense"
            for members in self.members.values():
                if self._random.random() < 0.1:
                    members.symmetric_difference_update({customer})

    def write(self) -> None:
        (self._folder / "segments").mkdir(parents=True, exist_ok=True)
        with (self._folder / "profiles.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["CustomerId", "Email", "First"])
            writer.writerows([customer, *profile.values()] for customer, profile in self.profiles.items())
        for name, members in self.members.items():
            lines = ["CustomerId", *sorted(members)]
            (self._folder / "segments" / f"{name}.csv").write_text("\n".join(lines) + "\n")

    def wanted(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Email → first name and segments. Every email belongs to one profile here."""
        return {
            profile["Email"].lower(): (profile["First"], segments)
            for customer, profile in self.profiles.items()
            if "@" in profile["Email"]
            and (segments := frozenset(name for name, members in self.members.items() if customer in members))
        }


async def contacts(control: str) -> dict[str, dict[str, Any]]:
    async with httpx.AsyncClient(timeout=30) as client:
        lines = (await client.get(f"{control}/contacts")).text.splitlines()
    return {contact["email"]: contact for contact in map(json.loads, lines)}


def as_exported(
    stored: Mapping[str, dict[str, Any]], properties: Mapping[str, str]
) -> dict[str, tuple[str, frozenset[str]]]:
    """The contacts that have a segment's property true, in the form of `SourceFolder.wanted`."""
    exported = {}
    for email, contact in stored.items():
        custom = contact.get("customProperties") or {}
        segments = frozenset(name for name, key in properties.items() if custom.get(key) is True)
        if segments:
            exported[email] = (contact["firstName"], segments)
    return exported


@pytest.fixture
async def omnisend(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Any]]:
    faults = [argument for fault in FAULTS for argument in ("--fault", fault)]
    async with emulator(
        "bot.sandbox.omnisend", "--port", "0", "--rate-limit", "0", "--batch-delay", "0.3", "--time-scale", "60",
        "--seed", str(request.getfixturevalue("seed"))
    ) as started:  # fmt: skip
        started["faults"] = faults
        yield started


async def set_faults(control: str, *, on: bool) -> None:
    faults = [{"kind": kind, "rate": float(rate)} for kind, rate in (fault.split(":") for fault in FAULTS)]
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{control}/faults", json={"faults": faults if on else []})
        answer.raise_for_status()


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_run_after_a_kill_ends_with_exactly_the_wanted_contacts(
    seed: int, omnisend: dict[str, Any], tmp_path: Path
) -> None:
    dice = random.Random(seed)
    source = SourceFolder(tmp_path / "source", seed)
    source.write()
    ferry = Ferry(
        tmp_path / "data",
        {
            "FERRY_SOURCE": str(tmp_path / "source"),
            "FERRY_OMNISEND_URL": omnisend["url"],
            "FERRY_API_KEY": omnisend["key"],
        },
    )
    assert (await in_this_process(ferry, "connection", "add", "Shop", "--agree")).status == 0
    saved = await in_this_process(
        ferry, "export", "add", "X", "--connection", "Shop", "--segment", "VIP", "--segment", "重要客戶",
        "--map", "email=Email", "--map", "firstName=First"
    )  # fmt: skip
    assert saved.status == 0, saved.stderr

    await set_faults(omnisend["control"], on=True)
    for _ in range(2):
        await ferry.kill_after(dice.uniform(1.5, 4.5), "export", "run", "X", "--accept-guard", "--json")
        source.change()
        source.write()
    repeated = await ferry("export", "run", "X", "--accept-guard", "--json")
    assert (repeated.json["status"], repeated.json["in_doubt"]) == ("done", 0), repeated.stderr

    await set_faults(omnisend["control"], on=False)
    properties = {name: segment_property(name) for name in source.members}
    assert as_exported(await contacts(omnisend["control"]), properties) == source.wanted()
    further = await ferry("export", "run", "X", "--json")
    assert (further.json["status"], further.json["batches"]) == ("done", 0), further.stderr
    assert await segment_properties(omnisend["control"]) == properties


async def segment_properties(control: str) -> dict[str, str]:
    """Segment name → the custom property that its rule at Omnisend asks for."""
    async with httpx.AsyncClient() as client:
        segments = (await client.get(f"{control}/segments")).json()["segments"]
    return {
        segment["name"]: segment["conditionGroups"][0]["conditions"][0]["filters"][0]["name"] for segment in segments
    }
