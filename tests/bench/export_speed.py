"""How fast a million profiles go through `ferry export run`, against a bare loop that posts ready-made bodies.

Both run against the same emulator process with `--rate-limit 0`, one after the other in one go, so that their ratio
says more than their seconds. Run it by hand: `python -m tests.bench.export_speed [PROFILES]`.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from bot.omnisend.contacts import EPOCH, batch_body
from bot.sandbox.profiles import make_folder
from tests.ferry import Ferry
from tests.processes import emulator

WORKERS = 8  # as many posts under way at once as the batcher has
LONGEST = 3_600.0  # seconds that a run may take: the machine may be busy with other work


async def bare_loop(url: str, key: str, bodies: list[bytes]) -> float:
    """Seconds to post ready-made batches as fast as they are taken."""
    headers = {
        "Authorization": f"Omnisend-API-Key {key}",
        "Omnisend-Version": "2026-03-15",
        "Content-Type": "application/json",
    }
    left = iter(bodies)

    async def post(client: httpx.AsyncClient) -> None:
        for body in left:
            (await client.post(f"{url}/batches", content=body)).raise_for_status()

    async with httpx.AsyncClient(transport=AiohttpTransport(), headers=headers) as client:
        began = time.perf_counter()
        await asyncio.gather(*(post(client) for _ in range(WORKERS)))
        return time.perf_counter() - began


def ready_made(contacts: int) -> list[bytes]:
    """Bodies of a hundred contacts like those that the export sends."""
    return [
        batch_body([_item(number) for number in range(start, min(start + 100, contacts))])
        for start in range(0, contacts, 100)
    ]


def _item(number: int) -> bytes:
    email = {"status": "nonSubscribed", "statusChangedAt": EPOCH}
    return orjson.dumps(
        {
            "identifiers": [
                {
                    "type": "email",
                    "id": f"bare.{number}@example.com",
                    "channels": {"email": email},
                    "sendWelcomeMessage": False,
                }
            ],
            "firstName": "Françoise",
            "lastName": "García López",
            "city": "São Paulo",
            "country": "Brazil",
            "countryCode": "BR",
            "postalCode": "01310-100",
            "customProperties": {"segment_all_12345678": True},
        }
    )


async def main(profiles: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_folder(folder / "source", count=profiles)
        (source / "segments" / "All.sql").write_text("SELECT CustomerId FROM profiles\n")
        options = ("--port", "0", "--rate-limit", "0", "--batch-delay", "0")
        async with emulator("bot.sandbox.omnisend", *options) as omnisend:
            bodies = ready_made(profiles)
            bare = await bare_loop(omnisend["url"], omnisend["key"], bodies)
            print(f"bare loop: {len(bodies):,} batches in {bare:.1f} s, {profiles / bare:,.0f} contacts/s")
            del bodies
        async with emulator("bot.sandbox.omnisend", *options) as omnisend:
            settings = {"FERRY_SOURCE": str(source), "FERRY_OMNISEND_URL": omnisend["url"]}
            settings |= {"FERRY_API_KEY": omnisend["key"], "FERRY_SWEEP_SECONDS": "[5,60]"}
            ferry = Ferry(folder / "data", settings, longest=LONGEST)
            await ferry("connection", "add", "Shop", "--agree")
            maps = ("email=Email", "firstName=FirstName", "lastName=LastName", "city=City", "country=Country",
                    "postalCode=PostalCode")  # fmt: skip
            mapping = [part for one in maps for part in ("--map", one)]
            await ferry("export", "add", "X", "--connection", "Shop", "--segment", "All", *mapping)
            for label in ("first run", "run without changes"):
                result = (await ferry("export", "run", "X", "--json", "--accept-guard")).json
                sent = result["added"] + result["changed"]
                print(
                    f"{label}: {result['status']}, {result['profiles']:,} profiles, {sent:,} contacts in "
                    f"{result['batches']:,} batches, {result['seconds']:.1f} s ({result['cpu_seconds']:.1f} s CPU), "
                    f"{result['profiles'] / result['seconds']:,.0f} profiles/s, {result['peak_rss_mb']:.0f} MB"
                )
                if label == "first run":
                    ratio = (result["profiles"] / result["seconds"]) / (profiles / bare)
                    print(f"ratio to the bare loop: {ratio:.2f} (wanted: at least 0.20)")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
