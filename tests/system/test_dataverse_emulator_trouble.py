"""Throttling and faults of the Dataverse emulator.

reference: customer-insights.md §12.6, §12.7, §12.10 (line five).
"""

import asyncio
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import typer
from typer.testing import CliRunner

from bot.sandbox.dataverse.command import dataverse
from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, error, fresh_api, running

TOO_MANY_REQUESTS = "0x80072322"
EXECUTION_TIME = "0x80072321"
TOO_MANY_CONCURRENT = "0x80072326"
PAGE = f"{PROFILES}?$select=msdynci_customerid"
SIZE = "odata.maxpagesize=100"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "1000") as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


def left(answer: httpx.Response) -> tuple[int, int]:
    """Requests and milliseconds that the user has left."""
    requests = answer.headers["x-ms-ratelimit-burst-remaining-xrm-requests"]
    return int(requests), int(answer.headers["x-ms-ratelimit-time-remaining-xrm-requests"].replace(",", ""))


class TestThrottling:
    async def test_each_answer_says_what_is_left(self, api: Api) -> None:
        assert left(await api.get("WhoAmI"))[0] == 5_999
        requests, milliseconds = left(await api.get(PAGE, "odata.maxpagesize=1000"))
        assert requests == 5_998
        assert milliseconds == 1_200_000 - 20 - (20 + 1_000 * 0.1)

    async def test_too_many_requests_in_five_minutes_have_to_wait(self, api: Api) -> None:
        await api.assume(request_limit=3)
        for _ in range(3):
            assert (await api.get("WhoAmI")).status_code == 200
        refused = await api.get("WhoAmI")
        assert error(refused) == (429, TOO_MANY_REQUESTS)
        assert "exceeded the limit of 3 over time window of 300 seconds" in refused.text
        wait = int(refused.headers["Retry-After"])
        assert 290 <= wait <= 300
        await api.control("clock", advance=wait)
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_the_wait_grows_for_who_goes_on_asking(self, api: Api) -> None:
        await api.assume(request_limit=1)
        await api.get("WhoAmI")
        await api.control("clock", advance=200)
        waits = [int((await api.get("WhoAmI")).headers["Retry-After"]) for _ in range(4)]
        assert waits == sorted(set(waits))
        await api.control("clock", advance=waits[0])
        assert (await api.get("WhoAmI")).status_code == 429

    async def test_too_much_execution_time_has_to_wait(self, api: Api) -> None:
        await api.assume(execution_limit_ms=250)
        assert (await api.get(PAGE, "odata.maxpagesize=1000")).status_code == 200
        assert (await api.get(PAGE, "odata.maxpagesize=1000")).status_code == 200
        await api.get("WhoAmI")
        assert error(await api.get("WhoAmI")) == (429, EXECUTION_TIME)

    async def test_too_many_requests_at_once_are_refused(self, api: Api) -> None:
        await api.assume(concurrent_limit=2)
        await api.use_app_token()
        await api.control("faults", next=[{"kind": "timeout", "times": 2}])
        async with asyncio.TaskGroup() as group:
            held = [group.create_task(api.get("WhoAmI")) for _ in range(2)]
            while (await api.look("stats"))["most_concurrent"] < 2:
                pass
            refused = await api.get("WhoAmI")
            for request in held:
                request.cancel()
        assert error(refused) == (429, TOO_MANY_CONCURRENT)
        assert refused.headers["Retry-After"] == "5"
        while (await api.get("WhoAmI")).status_code != 200:  # until the emulator has seen them leave
            pass

    async def test_limits_are_each_users_own(self, api: Api) -> None:
        await api.assume(request_limit=1)
        await api.get("WhoAmI")
        assert (await api.get("WhoAmI")).status_code == 429
        api.token = (await api.sign_in())["access_token"]
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_waits_are_told_in_the_clients_time(self) -> None:
        arguments = ("--profiles", "1", "--time-scale", "60", "--assume", "request-limit=1")
        async with running(*arguments) as fast, fresh_api(fast) as api:
            await api.get("WhoAmI")
            assert 1 <= int((await api.get("WhoAmI")).headers["Retry-After"]) <= 5  # of 300 virtual seconds
            assert (await api.app_token()).json()["expires_in"] == 59


class TestFaults:
    async def plan(self, api: Api, kind: str, **more: int | str) -> None:
        await api.control("faults", next=[{"kind": kind, **more}])

    @pytest.mark.parametrize(
        ("kind", "status", "content_type"),
        [
            ("500", 500, "application/json"),
            ("502", 502, "text/html"),
            ("503", 503, "text/plain"),
            ("401", 401, "application/json"),
            ("429", 429, "application/json"),
        ],
    )
    async def test_a_refusal_out_of_the_blue_is_over_at_the_next_try(
        self, api: Api, kind: str, status: int, content_type: str
    ) -> None:
        await self.plan(api, kind)
        refused = await api.get(PAGE, SIZE)
        assert refused.status_code == status
        assert refused.headers["Content-Type"].startswith(content_type)
        assert ("Retry-After" in refused.headers) == (status == 429)
        assert (await api.get(PAGE, SIZE)).status_code == 200
        assert (await api.look("stats"))["faults"] == {kind: 1}

    async def test_throttling_out_of_the_blue_takes_its_codes_in_turn(self, api: Api) -> None:
        await self.plan(api, "429", times=3)
        codes = {error(await api.get(PAGE, SIZE))[1] for _ in range(3)}
        assert codes == {TOO_MANY_REQUESTS, EXECUTION_TIME, TOO_MANY_CONCURRENT}

    async def test_a_request_may_never_be_answered(self, api: Api) -> None:
        await api.use_app_token()
        await self.plan(api, "timeout")
        patience = httpx.Timeout(20, read=0.2)
        with pytest.raises(httpx.ReadTimeout):
            await api.http.get(f"{api.root}{PAGE}", headers={"Authorization": f"Bearer {api.token}"}, timeout=patience)
        assert (await api.get(PAGE, SIZE)).status_code == 200

    async def test_an_answer_may_be_late(self, api: Api) -> None:
        await api.assume(delay_seconds=0.05)
        await self.plan(api, "delay")
        assert (await api.get(PAGE, SIZE)).status_code == 200
        entry = (await api.look("requests"))["requests"][-1]
        assert entry["fault"] == "delay"
        assert entry["seconds"] >= 0.05

    @pytest.mark.parametrize("kind", ["cut", "lying-length"])
    async def test_a_body_may_end_before_its_announced_length(self, api: Api, kind: str) -> None:
        await self.plan(api, kind)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await api.get(PAGE, SIZE)
        assert (await api.get(PAGE, SIZE)).status_code == 200

    async def test_a_body_may_be_cut_json_of_the_announced_length(self, api: Api) -> None:
        await self.plan(api, "cut-json")
        answer = await api.get(PAGE, SIZE)
        assert len(answer.content) == int(answer.headers["Content-Length"])
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.content)
        assert len((await api.json(PAGE, SIZE))["value"]) == 100

    async def test_a_page_may_be_short_or_empty_and_still_have_a_link(self, api: Api) -> None:
        whole = await api.rows(PAGE, 100)
        await api.control(
            "faults",
            next=[{"kind": "short-page", "skip": 1}, {"kind": "empty-page", "skip": 2}, {"kind": "empty-page"}],
        )
        pages = await api.pages(PAGE, 100)
        sizes = [len(page["value"]) for page in pages]
        assert sizes[:3] == [0, 33, 0]
        assert [row for page in pages for row in page["value"]] == whole

    async def test_a_page_may_give_a_row_twice(self, api: Api) -> None:
        await self.plan(api, "repeated-rows")
        rows = (await api.json(PAGE, SIZE))["value"]
        assert len(rows) == 101
        assert rows[-1] == rows[-2]

    async def test_a_count_may_lie(self, api: Api) -> None:
        honest = (await api.json(f"{PAGE}&$count=true", SIZE))["@odata.count"]
        await self.plan(api, "lying-count")
        assert (await api.json(f"{PAGE}&$count=true", SIZE))["@odata.count"] != honest

    async def test_a_link_may_expire_early(self, api: Api) -> None:
        await self.plan(api, "expired-link")
        page = await api.json(PAGE, SIZE)
        assert error(await api.get(page["@odata.nextLink"], SIZE)) == (400, "0x80060888")
        assert (await api.get(page["@odata.nextLink"], SIZE)).status_code == 200

    async def test_a_fault_may_be_meant_for_one_table(self, api: Api) -> None:
        await self.plan(api, "500", path=MEMBERSHIPS)
        assert (await api.get(PAGE, SIZE)).status_code == 200
        assert (await api.get(f"{MEMBERSHIPS}?$top=1")).status_code == 500

    async def test_rates_hit_about_so_many_requests_and_the_same_ones_each_time(self, api: Api) -> None:
        patterns = []
        for _ in range(2):
            await api.control("reset")
            await api.use_app_token()
            await api.control("faults", rates={"500": 0.3})
            patterns.append([(await api.get("WhoAmI")).status_code for _ in range(60)])
        assert patterns[0] == patterns[1]
        assert 8 <= patterns[0].count(500) <= 28

    async def test_despite_every_fault_a_patient_client_reads_each_row_once(self, api: Api) -> None:
        whole = await api.rows(PAGE, 100)
        kinds = ["429", "500", "502", "503", "cut", "short-page", "empty-page", "lying-length", "cut-json"]
        await api.control("faults", rates=dict.fromkeys(kinds, 0.06))
        rows: list[Json] = []
        link: str | None = PAGE
        while link:
            try:
                answer = await api.get(link, "odata.maxpagesize=20")
                answer.raise_for_status()
                page = orjson.loads(answer.content)
            except (httpx.HTTPError, orjson.JSONDecodeError):
                continue
            rows += page["value"]
            link = page.get("@odata.nextLink")
        assert rows == whole


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--fault", "earthquake:0.1"], "kinds are 429, 500"),
        (["--fault", "500:2"], "between 0 and 1"),
        (["--assume", "page-cap=none"], "page-cap"),
        (["--assume", "nonsense=1"], "Switches are"),
        (["--segment", "VIP"], "VIP:0.1"),
        (["--profiles", "-1"], "--profiles"),
        (["--time-scale", "0"], "--time-scale"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], hint: str) -> None:
    app = typer.Typer()
    app.command()(dataverse)
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert hint in " ".join(ended.output.replace("│", " ").split())
