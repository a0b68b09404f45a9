"""How fast the Dataverse source reads, beside a bare loop over the same pages, and how much memory it needs.

By hand: `python -m tests.bench.dataverse_speed [PROFILES]`. Each side reads in a process of its own, from the same
emulator. Two thirds of the profiles are members of the segment that is read. What is wanted is at least 0.7 of the bare
loop's speed, and less than 400 MB with a million members of 1,500,000 profiles.
"""

import asyncio
import json
import resource
import ssl
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import httpx
import orjson

from bot.sources.dataverse import DataverseSource
from tests.processes import emulator

ROUNDS = 3
SEGMENT = "Newsletter"
SHARES = (
    f"{SEGMENT}:0.668",
    "VIP:0.1",
    "VIP_2:0.05",
)  # of the customers; the first is a million of a million and a half
FIELDS = ("email", "firstname", "lastname", "addressline1", "city", "stateorprovince", "postalcode", "country")
COLUMNS = [f"msdynci_{field}" for field in FIELDS]
QUERIES = (
    "msdynci_segmentmemberships?$select=msdynci_customerid,msdynci_segments"
    f"&$filter=contains(msdynci_segments,'{SEGMENT}')",
    f"msdynci_customerprofiles?$select=msdynci_customerid,{','.join(COLUMNS)}",
)


class AppToken:
    """An access token, fetched once."""

    def __init__(self, env: dict[str, Any]) -> None:
        self._env = env
        self._token = ""

    async def token(self) -> str:
        return self._token or await self.refresh()

    async def refresh(self) -> str:
        env = self._env
        form = {
            "grant_type": "client_credentials",
            "client_id": env["client_id"],
            "client_secret": env["client_secret"],
            "scope": f"{env['url']}/.default",
        }
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=env["ca"])) as http:
            answer = await http.post(f"{env['authority']}/{env['tenant']}/oauth2/v2.0/token", data=form)
        self._token = str(answer.raise_for_status().json()["access_token"])
        return self._token


async def bare_loop(env: dict[str, Any]) -> dict[str, float]:
    """Fetch every page and find the next one's link; nothing is made of the rows."""
    headers = {"Authorization": f"Bearer {await AppToken(env).token()}", "Prefer": "odata.maxpagesize=5000"}
    rows = 0
    async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=env["ca"]), timeout=60) as http:
        for query in QUERIES:
            link = f"{env['url']}/api/data/v9.2/{query}"
            while link:
                page = orjson.loads((await http.get(link, headers=headers)).content)
                rows += len(page["value"])
                link = page.get("@odata.nextLink")
    return {"rows": rows}


async def the_source(env: dict[str, Any]) -> dict[str, float]:
    """Read the segment as a run does."""
    source = DataverseSource(env["url"], AppToken(env), ca_file=Path(env["ca"]), most_members=None)
    rows = 0
    try:
        async with source.profiles([SEGMENT], COLUMNS) as stream:
            async for batch in stream:
                rows += batch.num_rows
    finally:
        await source.close()
    return {"rows": rows, "without profile": stream.summary.without_profile}


SIDES = {"bare": bare_loop, "source": the_source}


async def child(side: str, env: dict[str, Any]) -> None:
    """Do one side's reading and print what it took."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    found = await SIDES[side](env)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({**found, "seconds": seconds, "cpu": cpu, "peak MB": after.ru_maxrss / 1000}) + "\n")


async def measure(side: str, env: dict[str, Any]) -> dict[str, float]:
    """Run one side in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.dataverse_speed", side, json.dumps(env), stdout=PIPE
    )
    out, _ = await process.communicate()
    measured: dict[str, float] = json.loads(out)
    sys.stdout.write(f"{side:>6}: {', '.join(f'{name} {value:,.1f}' for name, value in measured.items())}\n")
    return measured


async def main(profiles: int) -> None:
    """Measure both sides by turns and compare the best of each: a busy machine only ever makes things slower."""
    limits = (f"{name}=1000000000" for name in ("request-limit", "execution-limit-ms"))  # or later rounds are slowed
    switches = [word for limit in limits for word in ("--assume", limit)]
    segments = [word for share in SHARES for word in ("--segment", share)]
    async with emulator("bot.sandbox.dataverse", "--profiles", str(profiles), *segments, *switches) as env:
        measured: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for side in [*SIDES] * ROUNDS:
            measured[side].append(await measure(side, env))
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=env["ca"])) as http:
            served = (await http.get(f"{env['url']}/_emulator/stats")).json()
    best = {side: min(each["seconds"] for each in found) for side, found in measured.items()}
    peak = max(each["peak MB"] for each in measured["source"])
    sys.stdout.write(
        f"speed {best['bare'] / best['source']:.2f} of the bare loop, peak {peak:.0f} MB; "
        f"the emulator took {served['rss_mb']:.0f} MB to serve {sum(served['rows'].values()):,} rows\n"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(child(sys.argv[1], json.loads(sys.argv[2])))
    else:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) == 2 else 1_500_000))
