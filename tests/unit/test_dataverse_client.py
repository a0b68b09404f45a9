"""One request to Dataverse and the pages that follow: repeated, slowed down, or given up for a reason that has a name.

reference: customer-insights.md §12.2, §12.5 (paging), §12.6 (limits), §12.7 (errors; each of its rows is a test).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from bot.sources.base import FieldMissing, SourceError
from bot.sources.dataverse.client import PATIENCE, RESTARTS, TRIES, DataverseClient, default_transport
from bot.sources.dataverse.columns import PROFILE_ID
from bot.sources.dataverse.faults import (
    DataSharingOff,
    ForeignLink,
    Interrupted,
    NotAMember,
    NotSupported,
    QueryRefused,
    RoleMissing,
    Throttled,
    TokenRefused,
    TooSlow,
    Unavailable,
    Unreachable,
)
from tests.unit.dataverse_world import (
    HOST,
    PROFILES,
    ROOT,
    URL,
    Clockwork,
    FakeDataverse,
    Json,
    Reply,
    Tokens,
    error,
    json,
    link,
    profile,
)

ALL = f"{PROFILES}?$select=msdynci_customerid"
FILTERED = f"{ALL}&$filter=msdynci_customerid%20eq%20'x'"
SECOND_PAGE = "skiptoken"
HTML = httpx.Response(200, text="<html>Sign in to the guest network</html>")


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.fixture
def dataverse() -> FakeDataverse:
    return FakeDataverse(profiles=[profile(n) for n in range(10)], page_rows=(3,))


@pytest.fixture
def clockwork() -> Clockwork:
    return Clockwork()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def client(dataverse: FakeDataverse, clockwork: Clockwork, tokens: Tokens) -> DataverseClient:
    return client_of(dataverse, clockwork, tokens)


def client_of(dataverse: FakeDataverse, clockwork: Clockwork, tokens: Tokens) -> DataverseClient:
    transport = httpx.MockTransport(dataverse.handle)
    return DataverseClient(URL, tokens, transport=transport, pause=clockwork.pause, clock=clockwork.now)


async def scanned(client: DataverseClient, query: str = ALL) -> list[str]:
    """The ids that a scan gives; those given before it began again don't count."""
    found: list[str] = []
    async with aclosing(client.scan(query, [PROFILE_ID], found.clear)) as pages:
        async for page in pages:
            found += page.rows.column(0).to_pylist()
    return found


def nothing() -> None:
    """What a scan that begins again has to undo here."""


def everybody(dataverse: FakeDataverse) -> list[str]:
    return [row["msdynci_customerid"] for row in dataverse.profiles]


class TestPages:
    async def test_all_pages_are_followed_to_the_last(self, client: DataverseClient, dataverse: FakeDataverse) -> None:
        assert await scanned(client) == everybody(dataverse)
        assert len(dataverse.requests) == 4

    async def test_each_page_is_asked_for_with_the_same_preference_and_by_the_link_as_it_came(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        await scanned(client)
        assert {request.headers["Prefer"] for request in dataverse.requests} == {"odata.maxpagesize=5000"}
        assert dataverse.requests[1].url.raw_path.endswith(b"&$skiptoken=%3c3%2C%27+x%3E")

    async def test_nothing_but_get_is_ever_sent(self, client: DataverseClient, dataverse: FakeDataverse) -> None:
        await scanned(client)
        assert {request.method for request in dataverse.requests} == {"GET"}

    async def test_an_empty_page_with_a_link_is_not_the_end(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(lambda request: json({"value": [], "@odata.nextLink": link(request, 0)}))
        assert await scanned(client) == everybody(dataverse)

    async def test_the_next_page_is_on_its_way_while_this_one_is_worked_on(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        async with aclosing(client.scan(ALL, [PROFILE_ID], nothing)) as pages:
            await anext(pages)
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(dataverse.requests) == 2

    async def test_leaving_in_the_middle_leaves_no_request_behind(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        tasks = asyncio.all_tasks()
        async with aclosing(client.scan(ALL, [PROFILE_ID], nothing)) as pages:
            await anext(pages)
        assert not asyncio.all_tasks() - tasks
        assert len(dataverse.requests) <= 2

    @pytest.mark.parametrize(
        "foreign",
        [
            "https://evil.example/api/data/v9.2/x?$skiptoken=1",
            f"https://{HOST}.evil.example/x",
            f"https://{HOST}@evil.example/x",
            f"http://{HOST}/api/data/v9.2/x",
            f"https://{HOST}:8443/api/data/v9.2/x",
            f"https://{HOST}\\@evil.example/x",
            f"https://evil.example\n.{HOST}/x",
            "https://[",
            "/api/data/v9.2/x",
            7,
        ],
    )
    async def test_a_link_to_another_host_never_gets_the_token(
        self, client: DataverseClient, dataverse: FakeDataverse, foreign: object
    ) -> None:
        dataverse.trouble(json({"value": [], "@odata.nextLink": foreign}))
        with pytest.raises(ForeignLink):
            await scanned(client)
        assert len(dataverse.requests) == 1

    async def test_a_link_that_leads_back_to_its_own_page_does_not_go_on_for_ever(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(*[json({"value": [], "@odata.nextLink": ROOT + ALL})] * (RESTARTS + 1))
        with pytest.raises(Interrupted):
            await scanned(client)

    async def test_pages_that_lead_in_a_circle_do_not_go_on_for_ever(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        there = json({"value": [], "@odata.nextLink": f"{ROOT}{ALL}&$skiptoken=a"})
        back = json({"value": [], "@odata.nextLink": ROOT + ALL})
        dataverse.trouble(*[there, back] * (RESTARTS + 1))
        with pytest.raises(Interrupted):
            await scanned(client)


class TestExpiredLinks:
    async def test_a_refused_link_starts_the_scan_again(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(400, "0x80060888", "The skip token has expired."), at=SECOND_PAGE)
        assert await scanned(client) == everybody(dataverse)

    async def test_a_link_refused_again_and_again_ends_the_reading(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(*[error(400)] * (RESTARTS + 1), at=SECOND_PAGE)
        with pytest.raises(Interrupted, match=f"{RESTARTS + 1} times"):
            await scanned(client)

    async def test_a_refused_first_page_is_no_expired_link(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(400, "0x80060888", "Syntax error"))
        with pytest.raises(QueryRefused):
            await scanned(client)
        assert len(dataverse.requests) == 1


class TestErrors:
    """The rows of §12.7."""

    async def test_400_for_an_unknown_column_names_the_field(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        message = "Could not find a property named 'msdynci_email' on type 'Microsoft.Dynamics.CRM.msdynci_x'."
        for code in ("0x0", "0x80060888"):
            dataverse.trouble(error(400, code, message))
            with pytest.raises(FieldMissing, match="msdynci_email"):
                await scanned(client)

    async def test_400_for_a_column_that_goes_in_mid_read_names_the_field_too(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(400, "0x0", "Could not find a property named 'msdynci_city' on type 'x'."), at="skip")
        with pytest.raises(FieldMissing, match="msdynci_city"):
            await scanned(client)

    async def test_401_gets_another_token_once_and_repeats_once(
        self, client: DataverseClient, dataverse: FakeDataverse, tokens: Tokens
    ) -> None:
        dataverse.token = "token-1"
        assert await scanned(client) == everybody(dataverse)
        assert tokens.refreshed == 1

    async def test_401_for_the_new_token_too_is_the_end(
        self, client: DataverseClient, dataverse: FakeDataverse, tokens: Tokens
    ) -> None:
        dataverse.token = "never"
        with pytest.raises(TokenRefused, match="tenant belong together"):
            await scanned(client)
        assert (tokens.refreshed, len(dataverse.requests)) == (1, 2)

    async def test_401_in_each_hour_of_a_long_scan_is_renewed_each_time(
        self, client: DataverseClient, dataverse: FakeDataverse, tokens: Tokens
    ) -> None:
        for at in ("3c3", "3c6", "3c9"):
            dataverse.troubles.append((at.replace("3c", "<"), lambda _: error(401)))
        assert await scanned(client) == everybody(dataverse)
        assert tokens.refreshed == 3

    async def test_401_for_several_at_once_renews_the_token_once(
        self, client: DataverseClient, dataverse: FakeDataverse, tokens: Tokens
    ) -> None:
        dataverse.token = "token-1"
        await asyncio.gather(*(client.get(ALL) for _ in range(3)))
        assert tokens.refreshed == 1

    async def test_a_token_that_can_not_be_renewed_stops_the_reading_with_its_own_reason(
        self, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        class SignInEnded(SourceError):
            pass

        class Revoked(Tokens):
            async def refresh(self) -> str:
                raise SignInEnded

        dataverse.trouble(error(401), at=SECOND_PAGE)
        with pytest.raises(SignInEnded):
            await scanned(client_of(dataverse, clockwork, Revoked()))

    async def test_403_names_the_role_and_the_privilege(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        message = "Principal user (Id=7) is missing prvReadmsdynci_customerprofile privilege on OTC=1"
        dataverse.trouble(error(403, "0x80040220", message))
        with pytest.raises(RoleMissing, match=r"prvReadmsdynci_customerprofile\).*Viewer.*Data Read Access"):
            await scanned(client)

    async def test_403_for_who_is_no_user_there_says_so(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(403, "0x80072560", "The user is not a member of the organization."))
        with pytest.raises(NotAMember, match="application user"):
            await scanned(client)

    async def test_404_asks_whether_data_is_shared(self, client: DataverseClient, dataverse: FakeDataverse) -> None:
        dataverse.trouble(error(404, "0x8006088a", "Resource not found for the segment 'msdynci_customerprofiles'."))
        with pytest.raises(DataSharingOff, match="turn on data sharing"):
            await scanned(client)

    @pytest.mark.parametrize("status", [405, 412, 413, 414, 302])
    async def test_what_no_get_should_meet_stops_at_once(
        self, client: DataverseClient, dataverse: FakeDataverse, status: int
    ) -> None:
        dataverse.trouble(httpx.Response(status, headers={"location": "https://evil.example/"}))
        with pytest.raises(QueryRefused, match=f"status {status}"):
            await scanned(client)
        assert len(dataverse.requests) == 1

    async def test_501_says_that_there_is_a_plainer_way_to_be_found(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(501))
        with pytest.raises(NotSupported):
            await scanned(client)

    @pytest.mark.parametrize(
        "failure",
        [
            error(500, "0x80040216"),
            httpx.Response(502, text="<html>Bad Gateway</html>"),
            httpx.Response(503, text="The service is unavailable."),
            httpx.Response(504),
            httpx.Response(408),
            httpx.ReadTimeout("slow"),
            httpx.ConnectError("refused"),
            httpx.ReadError("reset"),
            httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
            ConnectionResetError(),
            httpx.Response(200, text='{"value":[{"msdynci_customerid":"ce75'),
            httpx.Response(200, text='{"value":null}'),
            httpx.Response(200, text='{"value":["x"]}'),
            httpx.Response(200, text="[]"),
            httpx.DecodingError("no gzip"),
            HTML,
        ],
        ids=str,
    )
    async def test_passing_trouble_is_tried_through_on_the_same_link(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork, failure: Reply
    ) -> None:
        dataverse.trouble(*[failure] * (TRIES - 1), at="<6")
        assert await scanned(client) == everybody(dataverse)
        assert len({request.url for request in dataverse.requests}) == 4
        assert len(dataverse.requests) == 4 + TRIES - 1
        for pause, seconds in zip(clockwork.pauses, (1, 4, 16, 32), strict=True):
            assert 0.5 * seconds <= pause <= 1.5 * seconds

    @pytest.mark.parametrize("failure", [error(500), httpx.ReadError("reset"), HTML], ids=str)
    async def test_lasting_trouble_ends_the_reading(
        self, client: DataverseClient, dataverse: FakeDataverse, failure: Reply
    ) -> None:
        dataverse.trouble(*[failure] * TRIES)
        with pytest.raises(Unavailable, match=f"{TRIES} tries"):
            await scanned(client)

    @pytest.mark.parametrize(
        ("failure", "reason"),
        [
            (httpx.ConnectError("x"), "no connection comes about"),
            (httpx.ConnectTimeout("x"), "does not answer"),
            (caused_by(httpx.ConnectError("x"), socket.gaierror()), "no host of this name"),
            (caused_by(httpx.ConnectError("x"), ConnectionRefusedError()), "refuses connections"),
            (caused_by(httpx.ConnectError("x"), ssl.SSLCertVerificationError()), "not to be trusted"),
            (caused_by(httpx.ConnectError("x"), ssl.SSLError()), "does not speak TLS"),
        ],
        ids=str,
    )
    async def test_an_address_that_can_not_be_reached_is_named_with_the_reason(
        self, client: DataverseClient, dataverse: FakeDataverse, failure: Exception, reason: str
    ) -> None:
        dataverse.trouble(*[failure] * TRIES)
        with pytest.raises(Unreachable, match=f"{HOST}.*{reason}"):
            await scanned(client)

    async def test_a_filtered_query_that_takes_too_long_is_given_up_for_a_plainer_one(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(500, "0x80044151", "SQL timeout expired."))
        with pytest.raises(TooSlow):
            await scanned(client, FILTERED)
        dataverse.trouble(httpx.ReadTimeout("slow"), httpx.ReadTimeout("slow"))
        with pytest.raises(TooSlow):
            await scanned(client, FILTERED)

    async def test_a_plain_scan_that_takes_too_long_is_tried_again(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(500, "0x80044151", "SQL timeout expired."), httpx.ReadTimeout("slow"))
        assert await scanned(client) == everybody(dataverse)

    async def test_half_a_surrogate_pair_in_a_value_costs_the_character_and_not_the_page(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(httpx.Response(200, content=rb'{"value":[{"msdynci_customerid":"a\ud83d"}]}'))
        assert await scanned(client) == ["a?"]

    async def test_errors_tell_nothing_of_the_query_nor_of_the_token(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(error(400, "0x0", "Syntax error in msdynci_customerid eq 'secret-customer'"))
        with pytest.raises(QueryRefused) as refused:
            await client.get(f"{PROFILES}?$filter=msdynci_customerid eq 'secret-customer'")
        shown = str(refused.value) + repr(refused.value.facts)
        assert "secret-customer" not in shown
        assert "token-0" not in shown


class TestThrottling:
    @pytest.mark.parametrize(
        ("code", "limit"),
        [
            ("0x80072322", "too many requests"),
            ("0x80072321", "too much execution time"),
            ("0x80072326", "too many requests at once"),
        ],
    )
    async def test_each_of_the_three_limits_is_waited_out_as_told_and_named_if_it_lasts(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork, code: str, limit: str
    ) -> None:
        dataverse.trouble(error(429, code, Retry_After="37"), at=SECOND_PAGE)
        assert await scanned(client) == everybody(dataverse)
        assert clockwork.pauses == [37]
        dataverse.trouble(*[error(429, code, Retry_After="300")] * 4)
        with pytest.raises(Throttled, match=rf"more than 15 minutes in all \({limit}\)"):
            await scanned(client)

    async def test_a_wait_longer_than_our_patience_is_not_begun(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        dataverse.trouble(error(429, Retry_After=str(PATIENCE + 1)))
        with pytest.raises(Throttled):
            await scanned(client)
        assert clockwork.pauses == []

    @pytest.mark.parametrize("told", ["inf", "1e400", "-1", "nan"])
    async def test_no_wait_is_so_odd_that_it_breaks_anything(
        self, client: DataverseClient, dataverse: FakeDataverse, told: str
    ) -> None:
        dataverse.trouble(error(429, Retry_After=told))
        with contextlib.suppress(Throttled):
            assert await scanned(client) == everybody(dataverse)

    async def test_waiting_for_minutes_in_all_uses_up_no_try(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        dataverse.trouble(*[error(429, Retry_After="20")] * 3 * TRIES)
        assert await scanned(client) == everybody(dataverse)

    async def test_the_wait_may_be_a_time_of_day_or_missing_or_nonsense(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        past = "Wed, 21 Oct 2015 07:28:00 GMT"
        dataverse.trouble(error(429, Retry_After=past), error(429), error(429, Retry_After="soon"))
        assert await scanned(client) == everybody(dataverse)
        assert clockwork.pauses == [0.5, 32, 32]

    async def test_told_to_wait_nobody_else_goes_either(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        sent: list[float] = []
        others: list[asyncio.Task[Json]] = []

        def throttled(request: httpx.Request) -> Reply:
            others.extend(asyncio.create_task(client.get(ALL)) for _ in range(2))
            return error(429, Retry_After="60")

        def answered(request: httpx.Request) -> Reply:
            sent.append(clockwork.time)
            return json({"value": []})

        dataverse.trouble(throttled, at="WhoAmI")
        dataverse.trouble(answered, answered, at=PROFILES)
        await client.get("WhoAmI")
        await asyncio.gather(*others)
        assert len(sent) == 2
        assert min(sent) >= 1_060

    async def test_requests_slow_down_before_a_limit_is_reached(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        for left, pause in [("6000", 0), ("601", 0), ("300", 7.5), ("0", 15)]:
            dataverse.headers = {"x-ms-ratelimit-burst-remaining-xrm-requests": left}
            await client.get("WhoAmI")
            clockwork.pauses.clear()
            await client.get("WhoAmI")
            assert sum(clockwork.pauses) == pytest.approx(pause), left

    async def test_the_time_left_counts_too_with_its_thousands_commas(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        dataverse.headers = {
            "x-ms-ratelimit-burst-remaining-xrm-requests": "5,999",
            "x-ms-ratelimit-time-remaining-xrm-requests": "60,000",
        }
        await client.get("WhoAmI")
        await client.get("WhoAmI")
        assert clockwork.pauses == [pytest.approx(7.5)]

    async def test_nonsense_in_these_headers_slows_nothing_down(
        self, client: DataverseClient, dataverse: FakeDataverse, clockwork: Clockwork
    ) -> None:
        dataverse.headers = {"x-ms-ratelimit-burst-remaining-xrm-requests": "plenty"}
        await client.get("WhoAmI")
        await client.get("WhoAmI")
        assert clockwork.pauses == []

    async def test_no_more_than_four_requests_are_under_way(
        self, client: DataverseClient, dataverse: FakeDataverse
    ) -> None:
        await asyncio.gather(*(client.get("WhoAmI") for _ in range(20)))
        assert dataverse.most_at_once == 4


class TestProxies:
    @pytest.fixture
    async def proxy(self) -> AsyncIterator[tuple[str, list[bytes]]]:
        """A proxy that writes down what it is asked for and lets nobody through."""
        asked: list[bytes] = []

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            yield f"127.0.0.1:{port}", asked

    @pytest.mark.parametrize("written", ["http://{}", "{}"])
    async def test_dataverse_is_asked_through_the_proxy_of_the_environment(
        self, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, clockwork: Clockwork, written: str
    ) -> None:
        address, asked = proxy
        monkeypatch.setenv("HTTPS_PROXY", written.format(address))
        monkeypatch.delenv("https_proxy", raising=False)
        monkeypatch.setenv("NO_PROXY", "")
        client = DataverseClient(URL, Tokens(), transport=default_transport(url=URL), pause=clockwork.pause)
        with pytest.raises(Unavailable, match="ProxyError"):
            await client.get("WhoAmI", tries=1)
        await client.close()
        assert asked == [f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode()]

    async def test_but_this_machine_is_asked_without_it(
        self, proxy: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, clockwork: Clockwork
    ) -> None:
        address, asked = proxy
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        monkeypatch.setenv("NO_PROXY", "elsewhere.example")
        monkeypatch.delenv("no_proxy", raising=False)
        transport = default_transport(url="https://127.0.0.1:1")
        client = DataverseClient("https://127.0.0.1:1", Tokens(), transport=transport, pause=clockwork.pause)
        with pytest.raises(Unreachable, match="refuses connections"):
            await client.get("WhoAmI", tries=1)
        await client.close()
        assert asked == []
