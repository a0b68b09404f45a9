"""What the stand-ins of a sandbox hold, written to a file and read back, so that a workspace outlives a restart.

The stand-ins themselves keep everything in memory, as tests want it. This module is their friend: it knows their
insides. Not kept is what would not matter any more: open modals, response URLs, batches (those under way are carried
out when the sandbox stops), logs, and the ids of contacts.
"""

import base64
import itertools
from array import array
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from bot.sandbox.omnisend.segments import Segment
from bot.sandbox.omnisend.world import Brand, World
from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.workspace import Channel, File, Message, Notification, Person, UserGroup

Json = dict[str, Any]
LONGEST_BATCH = 3600.0  # seconds of Omnisend's time after which every batch that is under way has been carried out


class Kept:
    """The file of one stand-in. While it is open, a mark lies beside it, which only `save` takes away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = path.with_suffix(".open")

    def load(self, restore: Callable[[Json], None]) -> bool:
        """Bring back what was saved, if anything was; whether the last one ended without saving.

        A file that makes no sense ends the program with a word of why.
        """
        unsaved = self._mark.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        if self._path.exists():
            try:
                restore(orjson.loads(self._path.read_bytes()))
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise SystemExit(f"{self._path} can't be read ({error!r}). Start over with --fresh.") from None
        return unsaved

    def save(self, kept: Json) -> None:
        """Write a state in one piece: a sandbox that is killed meanwhile leaves the one before."""
        draft = self._path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_bytes(orjson.dumps(kept))
        draft.rename(self._path)
        self._mark.unlink(missing_ok=True)


# --- Slack


def slack_state(emulator: Emulator) -> Json:
    """People, channels, messages and files of a workspace."""
    ws = emulator.workspace
    return {
        "people": [asdict(one) for one in ws.people.values()],
        "channels": [asdict(one) for one in ws.channels.values()],
        "groups": [asdict(one) for one in ws.groups.values()],
        "files": [asdict(one) | {"content": _text(one.content)} for one in ws.files.values()],
        "messages": [asdict(message) for listed in ws.messages.values() for message in listed],
        "notifications": [asdict(one) for one in ws.notifications],
        "dice": ws._random.getstate(),
        "serial": next(ws._serial),
    }


def restore_slack(emulator: Emulator, kept: Json) -> None:
    """The workspace as it was; its team, app and tokens follow from the seed and are the same anyway."""
    ws = emulator.workspace
    ws.people = {one["id"]: Person(**one) for one in kept["people"]}
    ws.bot = ws.people[ws.bot.id]
    ws.channels = {one["id"]: Channel(**one) for one in kept["channels"]}
    ws.groups = {one["id"]: UserGroup(**one) for one in kept["groups"]}
    ws.files = {one["id"]: File(**{**one, "content": _bytes(one["content"])}) for one in kept["files"]}
    ws.messages = {channel: [] for channel in ws.channels}
    for one in kept["messages"]:
        ws.messages[one["channel"]].append(Message(**one))
    ws.notifications = [Notification(**one) for one in kept["notifications"]]
    version, numbers, gauss = kept["dice"]
    ws._random.setstate((version, tuple(numbers), gauss))
    ws._serial = itertools.count(kept["serial"])


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


# --- Omnisend


def omnisend_state(world: World) -> Json:
    """Contacts and segments of each brand, once Omnisend has done what it was asked to do."""
    world.clock.advance(LONGEST_BATCH)
    now = world.catch_up()
    return {"now": now, "brands": {name: _brand_state(brand) for name, brand in world.brands.items()}}


def _brand_state(brand: Brand) -> Json:
    store = brand.contacts.store
    return {
        "contacts": [
            None if (text := store.text(number)) is None else orjson.loads(text) for number in range(store.size)
        ],
        "segments": [
            {"id": one.id, "name": one.name, "groups": one.groups, "created": one.created, "updated": one.updated}
            for one in brand.segments.all()
        ],
    }


def restore_omnisend(world: World, kept: Json) -> None:
    """The brands as they were. The clock goes on from where it stood: it never goes back."""
    world.clock.advance(max(0.0, kept["now"] - world.clock.now()))
    now = world.catch_up()
    for name, state in kept["brands"].items():
        brand = world.brand(name)
        _restore_contacts(brand, state["contacts"])
        for segment in state["segments"]:
            _restore_segment(brand, segment, now)


def _restore_contacts(brand: Brand, contacts: list[Json | None]) -> None:
    store = brand.contacts.store
    for number, contact in enumerate(contacts):
        record: Any = contact or _gap(number)
        store.put(record, record["properties"], [])
        if contact is None:
            store.delete(number)
    # In the order of their updates again, on which listings by that order rely.
    updated = [0 if contact is None else int(contact["updated"]) for contact in contacts]
    order = sorted(range(len(contacts)), key=updated.__getitem__)
    store._updates = array("Q", order)
    store._update_times = array("q", (updated[number] for number in order))
    for place, number in enumerate(order):
        store._last_update[number] = place


def _gap(number: int) -> Json:
    """A contact that was deleted: its number is not given again."""
    lists: Json = {"tags": [], "history": [], "consents": []}
    return {"n": number, "created": 0, "updated": 0, "email": None, "phone": None, "fields": {}, "properties": {}} | (
        lists | {"welcome": 0}
    )


def _restore_segment(brand: Brand, kept: Json, now: float) -> None:
    segments = brand.segments
    segment: Segment = segments.create({"name": kept["name"], "conditionGroups": kept["groups"]}, now)
    del segments._segments[segment.id]
    segment.id, segment.created, segment.updated = kept["id"], kept["created"], kept["updated"]
    segment.ready_at = now
    segments._segments[segment.id] = segment
