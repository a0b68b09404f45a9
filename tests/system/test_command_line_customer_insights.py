"""Customer Insights on the command line: connecting with a code or as the app, exporting, signing in again.

reference: customer-insights.md §1 (Add yourself as export user), §12.1 (device code, refresh with rotation).
"""

import asyncio
import re
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.omnisend.contacts import segment_property
from tests.ferry import Ended, Ferry
from tests.processes import emulator
from tests.system.command_line_world import in_this_process
from tests.system.dataverse_emulator_api import Api, Json, fresh_api, running

SEGMENT = "VIP:0.2"
PATIENCE = 60.0  # seconds for anything to happen


@dataclass
class Insights:
    """An installation that reads the emulated environment."""

    ferry: Ferry
    api: Api
    omnisend: dict[str, Any]

    async def __call__(self, *arguments: str) -> Ended:
        """Run a command that only words an answer."""
        return await in_this_process(self.ferry, *arguments)

    async def sign_in(self, *arguments: str, action: str = "approve", user: int = 0) -> Ended:
        """Run a command that asks for a sign-in; the person does this with the code that Entra waits for."""
        command = asyncio.create_task(self(*arguments))
        code = await self._code(command)
        await self.api.control("device", user_code=code, action=action, user=self.api.env["people"][user])
        ended = await asyncio.wait_for(command, PATIENCE)
        assert f"enter the code {code}" in ended.stderr
        return ended

    async def _code(self, command: asyncio.Task[Ended]) -> str:
        async with asyncio.timeout(PATIENCE):
            while not command.done():
                if codes := (await self.api.look("device"))["user_codes"]:
                    return str(codes[0])
                await asyncio.sleep(0.05)
        raise AssertionError(f"no code was asked for: {command.result()}")

    async def connect(self) -> None:
        done = await self.sign_in("connection", "add", "Shop", "--agree")
        assert done.status == 0, done.stderr

    async def export(self) -> None:
        done = await self(
            "export", "add", "Spring", "--connection", "Shop", "--segment", "VIP", "--map", "email=msdynci_email",
            "--map", "firstName=msdynci_firstname"
        )  # fmt: skip
        assert done.status == 0, done.stderr

    async def members_with_email(self) -> set[str]:
        """By the emulator's own account, not by our source."""
        answer = await self.api.http.get(f"{self.api.env['url']}/_emulator/truth", params={"segment": "VIP"})
        rows = [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]
        emails = [(row["profile"] or {}).get("msdynci_email") or "" for row in rows]
        return {email.strip().lower() for email in emails if "@" in email}

    async def contacts(self) -> set[str]:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.omnisend['control']}/contacts?format=json")
        flag = segment_property("VIP")
        return {one["email"] for one in answer.json()["contacts"] if (one.get("customProperties") or {}).get(flag)}


async def _until_code(process: Process) -> str:
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(PATIENCE):
        while "Waiting…" not in said and (line := await process.stderr.readline()):
            said += line.decode()
    return said


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "300", "--segment", SEGMENT, "--time-scale", "10") as announced:
        yield announced


@pytest.fixture(scope="module")
async def omnisend() -> AsyncIterator[dict[str, Any]]:
    async with emulator("bot.sandbox.omnisend", "--rate-limit", "0", "--time-scale", "60") as announced:
        yield announced


@pytest.fixture
async def insights(env: Json, omnisend: dict[str, Any], tmp_path: Path) -> AsyncIterator[Insights]:
    settings = {
        "FERRY_SOURCE": env["url"],
        "FERRY_DATAVERSE_HOSTS": "127.0.0.1",
        "FERRY_DATAVERSE_CA": env["ca"],
        "FERRY_ENTRA_TENANT": env["tenant"],
        "FERRY_ENTRA_CLIENT_ID": env["device_client_id"],
        "FERRY_ENTRA_APP_ID": env["client_id"],
        "FERRY_ENTRA_APP_SECRET": env["client_secret"],
        "FERRY_ENTRA_AUTHORITY": env["authority"],
        "FERRY_OMNISEND_URL": omnisend["url"],
        "FERRY_API_KEY": omnisend["key"],
        "COLUMNS": "240",  # so that no table is folded
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        (await http.post(f"{omnisend['control']}/reset", json={})).raise_for_status()
    async with fresh_api(env) as api:
        yield Insights(Ferry(tmp_path / "data", settings), api, omnisend)


async def test_the_code_is_shown_while_the_command_waits_for_the_person(insights: Insights) -> None:
    process = await insights.ferry.start("connection", "add", "Shop", "--agree")
    said = await _until_code(process)
    found = re.search(r"enter the code (\w+)", said)
    assert found, said
    await insights.api.control("device", user_code=found[1], action="approve", user=insights.api.env["people"][0])
    stdout, stderr = await asyncio.wait_for(process.communicate(b""), PATIENCE)
    assert process.returncode == 0, stderr
    assert "Connected Shop" in stdout.decode()


async def test_a_segment_is_exported_in_the_name_of_who_signed_in_with_a_code(insights: Insights) -> None:
    await insights.connect()
    await insights.export()
    run = await insights.ferry("export", "run", "Spring", "--json")
    assert run.status == 0, run.stderr
    assert run.json["added"] > 20
    expected = await insights.members_with_email()
    assert await insights.contacts() <= expected
    assert len(await insights.contacts()) == run.json["added"]
    listed = await insights("connection", "list")
    assert insights.api.env["people"][0] in listed.stdout
    no_token_lies_in_clear(insights)
    examined = told(await insights("doctor"))
    assert "ok Customer Insights 127.0.0.1" in examined
    assert "the app can read in its own name" in examined
    assert f"Shop reads as {insights.api.env['people'][0]} (good until" in examined
    assert "msdynci_firstname" in examined, "the name that --map takes"
    assert "1 segment (VIP)" in examined


def no_token_lies_in_clear(insights: Insights) -> None:
    for path in insights.ferry.data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"RefreshToken" not in content
            assert b'"secret"' not in content
            assert insights.api.env["people"][0].encode() not in content


async def test_the_app_reads_in_its_own_name_and_nobody_signs_in(insights: Insights) -> None:
    done = await insights("connection", "add", "Shop", "--agree", "--app-identity")
    assert done.status == 0, done.stderr
    await insights.export()
    await it_reads(insights)
    assert "the app" in (await insights("connection", "list")).stdout


async def test_a_sign_in_that_is_declined_connects_nothing(insights: Insights) -> None:
    declined = await insights.sign_in("connection", "add", "Shop", "--agree", action="decline")
    assert declined.status == 1
    assert "declined on Microsoft's page" in declined.stderr


async def test_a_sign_in_that_has_ended_says_who_signs_in_again_and_doing_so_mends_it(insights: Insights) -> None:
    await insights.connect()
    await insights.export()
    await insights.api.control("tokens", revoke_refresh=True, expire_access=True)
    examined = told(await insights("doctor"))
    assert "broken Customer Insights Shop: The sign-in of the export user has ended" in examined
    assert "ferry connection sign-in NAME" in examined
    failed = await insights.ferry("export", "run", "Spring")
    assert failed.status == 1
    assert "ferry connection sign-in NAME" in failed.stderr + failed.stdout
    renewed = await insights.sign_in("connection", "sign-in", "Shop", user=1)
    assert renewed.status == 0, renewed.stderr
    await it_reads(insights)


async def test_processes_that_renew_at_once_do_not_use_up_each_others_refresh_token(insights: Insights) -> None:
    await insights.connect()
    await insights.api.assume(refresh_rotation="strict")  # a refresh token is good for one use
    await insights.api.control("tokens", expire_access=True)
    examined = await asyncio.gather(*(insights.ferry("doctor") for _ in range(2)))
    assert [ended.status for ended in examined] == [0, 0], [told(ended) for ended in examined]
    assert (await insights.api.look("stats"))["tokens_issued"]["refresh_token"] >= 1


async def test_an_account_without_the_role_connects_nothing_and_hears_who_can_give_it(insights: Insights) -> None:
    await insights.api.control("principals", name=insights.api.env["people"][0], role=False)
    refused = await insights.sign_in("connection", "add", "Shop", "--agree")
    assert refused.status == 1
    assert "An admin of Customer Insights can make it a Viewer" in refused.stderr
    assert "no connections yet" in (await insights("connection", "list")).stdout


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"FERRY_SOURCE": "https://127.0.0.1:1"}, "127.0.0.1:1 can't be reached (ConnectError)"),
        ({"FERRY_SOURCE": "https://dataverse.example"}, "its host is not one of Dynamics 365"),
        ({"FERRY_DATAVERSE_CA": ""}, "its certificate is not trusted"),
        ({"FERRY_ENTRA_TENANT": "fabrikam"}, "knows no tenant fabrikam"),
    ],
)
async def test_doctor_names_what_is_wrong_on_the_way_and_who_can_mend_it(
    insights: Insights, changed: dict[str, str], says: str
) -> None:
    insights.ferry.settings.update(changed)
    examined = await insights("doctor")
    assert examined.status == 1
    assert says in told(examined)


async def it_reads(insights: Insights) -> None:
    """A preview has the members who have an email."""
    preview = await insights("export", "preview", "Spring")
    assert preview.status == 0, preview.stderr
    found = re.search(r"(\d+) to add", preview.stdout)
    assert found, preview.stdout
    assert int(found[1]) > 20


def told(ended: Ended) -> str:
    return " ".join(ended.stdout.split())
