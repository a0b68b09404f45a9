"""How much memory the Omnisend emulator needs for a million contacts, and how fast it takes them.

By hand: `python -m tests.bench.omnisend_emulator_memory [CONTACTS]`.
"""

import asyncio
import sys
import time
from typing import Any

import httpx
import orjson
import psutil
from httpx_aiohttp import AiohttpTransport

from tests.processes import emulator

ITEMS = 100  # in a batch
MIB = 1 << 20


def contact(number: int) -> dict[str, Any]:
    """A contact with ten properties beside its address: seven attributes and three custom ones."""
    return {
        "identifiers": [
            {
                "type": "email",
                "id": f"person.number{number}@mail{number % 97}.example.com",
                "channels": {"email": {"status": "nonSubscribed", "statusChangedAt": "1970-01-01T00:00:00.000Z"}},
                "sendWelcomeMessage": False,
            }
        ],
        "firstName": f"Firstname{number % 5000}",
        "lastName": f"Lastname{number}",
        "address": f"{number % 300} Long Street, Apartment {number % 40}",
        "city": f"City {number % 1000}",
        "state": f"State {number % 50}",
        "countryCode": "DE",
        "postalCode": f"{number % 100_000:05d}",
        "customProperties": {
            "segment_vip_3f9a1c20": number % 3 == 0,
            "segment_new_77aa0b11": number % 7 == 0,
            "loyalty_points": number % 10_007,
        },
    }


def body(first: int) -> bytes:
    """A batch request of a hundred contacts."""
    items = [contact(number) for number in range(first, first + ITEMS)]
    return orjson.dumps({"method": "POST", "endpoint": "contacts", "items": items})


async def main(contacts: int) -> None:
    """Post them all, one batch after the other, and print what the emulator came to."""
    async with emulator("bot.sandbox.omnisend", "--rate-limit", "0", "--batch-delay", "0") as started:
        process = psutil.Process().children()[0]
        headers = {
            "Authorization": f"Omnisend-API-Key {started['key']}",
            "Omnisend-Version": "2026-03-15",
            "Content-Type": "application/json",
        }
        empty = process.memory_info().rss
        cpu = sum(process.cpu_times()[:2])
        spent = 0.0
        slowest = 0.0
        async with httpx.AsyncClient(transport=AiohttpTransport(), headers=headers, timeout=60) as client:
            for first in range(0, contacts, ITEMS):
                content = body(first)
                begun = time.perf_counter()
                (await client.post(f"{started['url']}/batches", content=content)).raise_for_status()
                took = time.perf_counter() - begun
                spent += took
                slowest = max(slowest, took)
            stats = (await client.get(f"{started['control']}/stats")).json()["brands"][0]
        assert stats["contacts"] == contacts, stats
        batches = contacts // ITEMS
        cpu = sum(process.cpu_times()[:2]) - cpu
        full = process.memory_info().rss
        sys.stdout.write(
            f"{contacts:,} contacts in {batches:,} batches: {spent:.1f} s\n"
            f"a batch: {spent / batches * 1000:.2f} ms answered, slowest {slowest * 1000:.0f} ms, "
            f"{cpu / batches * 1000:.2f} ms CPU of the emulator\n"
            f"memory: {empty / MIB:.0f} MiB empty, {full / MIB:.0f} MiB full\n"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
