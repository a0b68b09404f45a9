"""Plain requests to the Omnisend emulator, written from the reference: what its tests share."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.processes import emulator

EPOCH = "1970-01-01T00:00:00.000Z"
VERSION = "2026-03-15"

STILL = ("--time-scale", "0.000001")
"""The virtual clock practically stands; tests move it by `advance`."""


def contact(email: str, *, status: str = "nonSubscribed", at: str | None = EPOCH, **more: Any) -> dict[str, Any]:
    """A contact request of one email identifier; `at` None leaves the status date out."""
    channel = {"status": status} if at is None else {"status": status, "statusChangedAt": at}
    identifier = {"type": "email", "id": email, "channels": {"email": channel}, "sendWelcomeMessage": False}
    return {"identifiers": [identifier], **more}


def contacts(count: int, **more: Any) -> list[dict[str, Any]]:
    """Items for a batch: `person0@example.com`, `person1@example.com`, ..."""
    return [contact(f"person{number}@example.com", **more) for number in range(count)]


def headers(key: str, version: str = VERSION) -> dict[str, str]:
    """What every request to the dated API carries."""
    return {"Authorization": f"Omnisend-API-Key {key}", "Omnisend-Version": version}


def bool_rule(name: str, value: bool = True) -> list[dict[str, Any]]:
    """`conditionGroups` of the rule that a boolean custom property has this value."""
    rule = {"property": "custom", "name": name, "valueType": "bool", "operator": "equals", "value": value}
    return [{"conditions": [{"entity": "contact", "junction": "and", "filters": [rule]}]}]


class Omnisend:
    """An emulator under test: `api` sends key and version, `control` reaches the controls."""

    def __init__(self, started: dict[str, Any]) -> None:
        self.started = started
        self.key: str = started["key"]
        self.api = httpx.AsyncClient(base_url=started["url"], headers=headers(self.key), timeout=20)
        self.control = httpx.AsyncClient(base_url=started["control"], timeout=20)

    def with_key(self, key: str) -> httpx.AsyncClient:
        """The API with another key; close it."""
        return httpx.AsyncClient(base_url=self.started["url"], headers=headers(key), timeout=20)

    async def set(self, path: str, **body: Any) -> Any:
        """A control POST that must succeed."""
        answer = await self.control.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def advance(self, seconds: float) -> None:
        """Move the virtual clock."""
        await self.set("/clock", advance_seconds=seconds)

    async def assume(self, name: str, value: str) -> None:
        """Turn a switch."""
        await self.set("/assume", **{name: value})

    async def fault(self, kind: str, **more: Any) -> None:
        """Have one kind of fault strike always, or as `more` says; no others."""
        await self.set("/faults", faults=[{"kind": kind, "rate": 1, **more}])

    async def post_batch(self, items: list[Any], **more: Any) -> str:
        """Post a batch of contacts and give its id."""
        answer = await self.api.post(
            "/batches", json={"method": "POST", "endpoint": "contacts", "items": items, **more}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["batchID"])

    async def batch(self, batch_id: str) -> dict[str, Any]:
        """`GET /batches/{id}`."""
        return await self.get(f"/batches/{batch_id}")

    async def items(self, batch_id: str) -> dict[str, Any]:
        """`GET /batches/{id}/items`."""
        return await self.get(f"/batches/{batch_id}/items")

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """A GET of the API that must succeed."""
        answer = await self.api.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def upsert(self, email: str, **more: Any) -> dict[str, Any]:
        """`POST /contacts` that must succeed."""
        answer = await self.api.post("/contacts", json=contact(email, **more))
        assert answer.status_code in (200, 201), answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def find(self, email: str) -> dict[str, Any] | None:
        """The contact as `GET /contacts?email=` shows it."""
        found = (await self.get("/contacts", email=email))["contacts"]
        return found[0] if found else None

    async def stored(self) -> dict[str, dict[str, Any]]:
        """All contacts by email, as the controls list them."""
        lines = (await self.control.get("/contacts")).text.splitlines()
        return {entry["email"]: entry for entry in map(json.loads, lines)}


@asynccontextmanager
async def omnisend_process(*arguments: str) -> AsyncIterator[Omnisend]:
    """Start an emulator and stop it."""
    async with emulator("bot.sandbox.omnisend", *arguments) as started:
        omnisend = Omnisend(started)
        async with omnisend.api, omnisend.control:
            yield omnisend


def failed_fields(answer: httpx.Response) -> set[str]:
    """The fields that a validation problem names."""
    assert answer.status_code == 400, answer.text
    return {error["field"] for error in answer.json()["errors"]}
