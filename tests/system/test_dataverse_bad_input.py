"""Bad input to the Customer Insights source, one line of issue 4 after the other, through the engine.

Each names its cause and the person who can mend it, and nothing is sent in doubt: the engine runs between two emulators
as processes, Dataverse with Entra on one side and Omnisend on the other, which counts what it was sent.

reference: customer-insights.md §8, §12.1, §12.5 to §12.9, §16.
"""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from bot.duck import SpillFolders
from bot.i18n import translator
from bot.pipeline.engine import Engine
from bot.pipeline.sources import Sources
from bot.slack.views.words import note_words
from bot.sources.dataverse import DataverseSource, RefreshClock, TokenProvider, environment_url
from bot.sources.dataverse.client import default_transport
from bot.sources.dataverse.faults import AddressRefused
from bot.sources.entra import AppIdentity, AppSecret, Registration, SignInState, UserIdentity
from storage.models import Run, RunStatus
from tests.engine_world import World, agreed, fast_emulator, kinds, outcome, world
from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, fresh_api, running
from tests.system.omnisend_emulator_client import Omnisend
from tests.system.test_dataverse_source import MemoryStore, soon

CUSTOMERS = 2_000
SEGMENT = "VIP"
MAPPING = {
    "email": "msdynci_email",
    "firstName": "msdynci_firstname",
    "lastName": "msdynci_lastname",
    "custom:Notes": "msdynci_notes",
}
MOST_CHARACTERS = {"firstName": 255, "lastName": 255, "Notes": 2_048}


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", str(CUSTOMERS), "--assume", "page-cap=100") as announced:
        yield announced


@pytest.fixture(scope="module")
async def omnisend_process() -> AsyncIterator[Omnisend]:
    async with fast_emulator() as omnisend:
        yield omnisend


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


class Interfering(httpx.AsyncBaseTransport):
    """The way to Dataverse, where something happens just before the nth request for a table."""

    def __init__(self, ca: Path) -> None:
        self._inner = default_transport(ca)
        self._seen: dict[str, int] = {}
        self.before: dict[tuple[str, int], Callable[[], Awaitable[object]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        table = request.url.path.rpartition("/")[2]
        self._seen[table] = self._seen.get(table, 0) + 1
        if (happens := self.before.pop((table, self._seen[table]), None)) is not None:
            await happens()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Shop:
    """One export of a segment of Customer Insights, and what its source is made of."""

    env: Json
    api: Api
    world: World
    transport: Interfering
    tokens: TokenProvider | None = None
    refresh: RefreshClock | None = None
    url: str = ""
    registration: dict[str, Any] = field(default_factory=dict)
    secret: str = ""
    pause: Callable[[float], Awaitable[None]] = soon

    def registered(self, client: str = "client_id") -> Registration:
        env = self.env
        facts = {"environment": env["url"], "tenant": env["tenant"], "client_id": env[client]}
        return Registration(**facts | self.registration, authority=env["authority"], ca_file=Path(env["ca"]))

    async def sign_in(self) -> str:
        """A person becomes the export user; their name."""
        user = UserIdentity(self.registered("device_client_id"), MemoryStore(), pause=soon)
        sign_in = await user.begin_sign_in()
        person: str = self.env["people"][0]
        await self.api.control("device", user_code=sign_in.code, action="approve", user=person)
        assert await sign_in.wait() is SignInState.SIGNED_IN
        self.tokens = user
        return person

    async def run(self, *, accept: bool = False) -> Run:
        """Run the export to its end, whatever end that is, with what the source is made of now."""
        installed = self.world
        app = AppIdentity(self.registered(), AppSecret(self.secret or self.env["client_secret"]), pause=soon)
        source = DataverseSource(
            environment_url(self.url or self.env["url"], any_host=True),
            self.tokens or app,
            transport=self.transport,
            refresh=self.refresh,
            pause=self.pause,
            random=Random(7),
            page_rows=100,
            most_members=installed.settings.max_profiles,
        )
        spill = SpillFolders(installed.folder / "spill")
        engine = Engine(
            installed.database,
            installed.keys,
            installed.settings,
            Sources({"dataverse": source}),
            spill,
            consent_obstacle=agreed,
            pause=soon,
        )
        return await engine.execute(await installed.queue(accept=accept))

    async def nothing_was_sent(self, since: int = 0) -> None:
        assert await self.world.posted(since) == 0
        assert not [entry for entry in await self.world.asked(since) if entry["method"] in ("PATCH", "PUT", "DELETE")]
        if not since:
            assert await self.world.ledger() == []

    async def is_exact(self) -> None:
        """Omnisend has the members with a good address, and nobody else."""
        profiles = [profile for profile in (await self.api.truth(SEGMENT)).values() if profile is not None]
        emails = {str(profile["msdynci_email"] or "").strip().lower() for profile in profiles}
        assert await self.world.members(SEGMENT) == set(filter(GOOD_ADDRESS.fullmatch, emails))


GOOD_ADDRESS = re.compile(r"[a-zë0-9.'+-]{1,64}@[a-zü0-9-]+(\.[a-zü0-9-]+)*\.[a-z]{2,}")


@pytest.fixture
async def shop(env: Json, api: Api, omnisend_process: Omnisend, tmp_path: Path) -> AsyncIterator[Shop]:
    await omnisend_process.set("/reset")
    async with world(tmp_path, omnisend_process) as installed:
        connection = await installed.make_connection()
        await installed.change(connection, source="dataverse")
        await installed.make_export(SEGMENT, mapping=MAPPING, connection=connection)
        transport = Interfering(Path(env["ca"]))
        yield Shop(env, api, installed, transport)
        await transport.aclose()


def says(run: Run, code: str, *words: str) -> None:
    """The run failed for this reason, and its words name all of this."""
    assert run.status is RunStatus.FAILED, run.status
    assert run.error_code == code, run.error_text
    for word in words:
        assert word in (run.error_text or "")


# --- wrong environment, tenant, client, secret


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://contoso.crm4.dynamics.com", "https://"),
        ("https://contoso.example", "not one of Dynamics 365"),
        ("https://contoso.crm4.dynamics.com.example", "not one of Dynamics 365"),
        ("contoso", "https://"),
    ],
)
def test_a_wrong_environment_address_is_refused_before_any_token_goes_there(url: str, cause: str) -> None:
    with pytest.raises(AddressRefused, match=cause) as refused:
        environment_url(url)
    assert "Power Platform admin centre" in str(refused.value)
    assert "whoever runs Segment Ferry" in str(refused.value)


WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "environment of nobody": (
        {"registration": {"environment": "https://fabrikam.crm4.dynamics.com"}},
        "sign-in-environment",
        ("knows no environment https://fabrikam.crm4.dynamics.com", "AADSTS500011", "Whoever runs Segment Ferry"),
    ),
    "environment where nothing answers": (
        {"url": "https://127.0.0.1:1"},
        "dataverse-unreachable",
        ("127.0.0.1:1", "refuses connections", "whoever runs Segment Ferry"),
    ),
    "tenant": (
        {"registration": {"tenant": "00000000-0000-0000-0000-00000000dead"}},
        "sign-in-tenant",
        ("knows no tenant 00000000-0000-0000-0000-00000000dead", "Whoever runs Segment Ferry"),
    ),
    "client": (
        {"registration": {"client_id": "00000000-0000-0000-0000-00000000beef"}},
        "sign-in-app",
        ("00000000-0000-0000-0000-00000000beef", "AADSTS700016", "an Entra admin"),
    ),
    "secret": (
        {"secret": "the-id-of-the-secret"},
        "sign-in-secret",
        ("does not accept the secret", "AADSTS7000215", "an Entra admin can make a new one"),
    ),
}


@pytest.mark.parametrize("name", WRONG_SETTINGS)
async def test_a_wrong_setting_is_named_with_who_can_correct_it(shop: Shop, name: str) -> None:
    wrong, code, words = WRONG_SETTINGS[name]
    for attribute, value in wrong.items():
        setattr(shop, attribute, value)
    says(run := await shop.run(), code, *words)
    assert "the-id-of-the-secret" not in (run.error_text or "")
    await shop.nothing_was_sent()


async def test_a_secret_that_has_expired_is_told_from_a_wrong_one(shop: Shop) -> None:
    await shop.api.control("apps", secret_expired=True)
    says(await shop.run(), "sign-in-secret-expired", "has expired", "An Entra admin can make a new one")
    await shop.nothing_was_sent()


# --- rights that are missing


async def test_consent_missing_in_entra_names_the_admin_who_can_grant_it(shop: Shop) -> None:
    person = await shop.sign_in()
    await shop.api.control("principals", name=person, consent=False)
    await shop.api.control("tokens", expire_access=True)
    says(await shop.run(), "sign-in-consent", "AADSTS65001", "An Entra admin can grant it", "user_impersonation")
    await shop.nothing_was_sent()


async def test_a_missing_role_is_named_with_the_admin_who_can_give_it(shop: Shop) -> None:
    await shop.api.control("principals", name="app", role=False)
    run = await shop.run()
    says(run, "dataverse-role-missing", "not allowed to read", "prvRead", "An admin of Customer Insights", "Viewer")
    await shop.nothing_was_sent()


async def test_a_role_for_memberships_alone_is_not_enough(shop: Shop) -> None:
    await shop.api.control("principals", name="app", readable=["msdynci_segmentmembership"])
    says(await shop.run(), "dataverse-role-missing", PROFILES, "Customer Insights Data Read Access")
    await shop.nothing_was_sent()


async def test_somebody_who_is_no_user_of_the_environment_is_named_as_such(shop: Shop) -> None:
    await shop.api.control("principals", name="app", member=False)
    says(await shop.run(), "dataverse-not-a-member", "not a user of the environment", "A Power Platform admin")
    await shop.nothing_was_sent()


async def test_data_sharing_that_is_off_names_the_admin_who_can_turn_it_on(shop: Shop) -> None:
    await shop.api.control("changes", op="share-data", on=False)
    run = await shop.run()
    says(run, "dataverse-no-tables", "does not share its data", "An admin of Customer Insights can turn on")
    await shop.nothing_was_sent()


# --- segments that are not what they were


async def test_a_renamed_segment_is_missing_and_the_new_name_offered(shop: Shop) -> None:
    await shop.api.control("changes", op="rename-segment", segment=SEGMENT, to="VIP1")
    run = await shop.run()
    says(run, "segment-missing", "*VIP* is not in the source", "Did you mean *VIP1*?", "ask whoever", "edit the export")
    await shop.nothing_was_sent()


async def test_a_deleted_segment_is_said_to_be_deleted(shop: Shop) -> None:
    await shop.api.control("changes", op="delete-segment", segment=SEGMENT)
    says(await shop.run(), "segment-missing", "It was deleted in Customer Insights.", "edit the export")
    await shop.nothing_was_sent()


async def test_a_near_miss_in_case_is_no_empty_segment(shop: Shop) -> None:
    await shop.api.control("changes", op="rename-segment", segment=SEGMENT, to="Vip")
    says(await shop.run(), "segment-missing", "Did you mean *Vip*?")
    await shop.api.assume(metadata_table=False)  # by the memberships alone it is found too
    says(await shop.run(), "segment-missing", "Did you mean *Vip*?")
    await shop.nothing_was_sent()


async def test_a_deactivated_segment_is_exported_with_a_note(shop: Shop) -> None:
    await shop.api.control("changes", op="deactivate-segment", segment=SEGMENT)
    run = await shop.run()
    assert run.status is RunStatus.DONE
    [note] = [note_words(translator(), note) for note in run.notes if "inactive" in str(note.get("text"))]
    assert note == "*VIP* is inactive in Customer Insights: its members are those of its last refresh."
    await shop.is_exact()


async def test_a_drop_to_no_members_asks_before_anybody_is_removed(shop: Shop) -> None:
    assert (await shop.run()).status is RunStatus.DONE
    since = await shop.world.asked_so_far()
    await shop.api.control("changes", op="empty-segment", segment=SEGMENT)
    run = await shop.run()
    assert run.status is RunStatus.ASKING
    assert kinds(run.findings) >= {"empty", "removals"}
    await shop.nothing_was_sent(since)
    assert await shop.world.members(SEGMENT)
    accepted = await shop.run(accept=True)
    assert accepted.status is RunStatus.DONE
    assert await shop.world.members(SEGMENT) == set()


async def test_memberships_that_are_not_synchronised_ask_too(shop: Shop) -> None:
    """Nobody can tell an empty segment from one that was not synchronised: it is asked, never taken as "remove all"."""
    await shop.api.control("changes", op="empty-segment", segment=SEGMENT)
    await shop.api.assume(metadata_table=False)
    run = await shop.run()
    assert run.status is RunStatus.ASKING
    assert kinds(run.findings) == {"empty"}
    assert any("it may be empty, renamed or deleted" in str(note.get("text")) for note in run.notes)
    await shop.nothing_was_sent()


# --- fields


async def test_a_column_that_is_gone_names_the_field_and_what_it_is_used_for(shop: Shop) -> None:
    await shop.api.control("changes", op="remove-column", column="msdynci_notes")
    run = await shop.run()
    says(run, "field-missing", "no field named msdynci_notes", "Edit the export's mapping", "another field for Notes")
    await shop.nothing_was_sent()


@pytest.mark.parametrize(("table", "pages"), [(MEMBERSHIPS, 1), (PROFILES, 3)])
async def test_a_column_that_goes_in_mid_read_stops_the_run(shop: Shop, table: str, pages: int) -> None:
    change = {"op": "remove-column", "column": "msdynci_notes", "after_pages": pages, "table": table}
    await shop.api.control("changes", **change)
    says(await shop.run(), "field-missing", "no field named msdynci_notes", "Edit the export's mapping")
    await shop.nothing_was_sent()


# --- pages


@pytest.mark.parametrize("table", [MEMBERSHIPS, PROFILES])
async def test_a_page_link_that_expires_costs_a_scan_and_doubles_nobody(shop: Shop, table: str) -> None:
    await shop.api.control("faults", next=[{"kind": "expired-link", "path": table, "skip": 2}])
    run = await shop.run()
    assert run.status is RunStatus.DONE
    assert run.added == len(await shop.world.members(SEGMENT))
    await shop.is_exact()


async def test_page_links_that_expire_again_and_again_stop_the_run(shop: Shop) -> None:
    await shop.api.control("faults", next=[{"kind": "expired-link", "path": PROFILES, "times": 99, "skip": 2}])
    says(await shop.run(), "dataverse-interrupted", "refused 4 times to go on", "whoever looks after Segment Ferry")
    await shop.nothing_was_sent()


@pytest.mark.parametrize("lie", ["lying-length", "cut-json", "cut", "lying-count", "empty-page", "repeated-rows"])
async def test_a_page_that_lies_about_its_length_is_asked_for_again(shop: Shop, lie: str) -> None:
    await shop.api.control(
        "faults", next=[{"kind": lie, "path": table, "skip": 2} for table in (MEMBERSHIPS, PROFILES)]
    )
    run = await shop.run()
    assert run.status is RunStatus.DONE
    await shop.is_exact()


@pytest.mark.parametrize("lie", ["lying-length", "cut-json"])
async def test_pages_that_go_on_lying_are_never_taken_for_the_whole(shop: Shop, lie: str) -> None:
    await shop.api.control("faults", next=[{"kind": lie, "path": PROFILES, "times": 99, "skip": 2}])
    says(await shop.run(), "dataverse-unavailable", "5 tries", "service health", "Power Platform admin centre")
    await shop.nothing_was_sent()


# --- a refresh of Customer Insights


class RefreshesAt:
    """Refreshes that begin in the midst of the first so many readings, and are over when the next one begins."""

    def __init__(self, times: int) -> None:
        self._looks = itertools.count()
        self._times = times

    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        if since == until or self._times <= 0:  # before a reading
            return None
        if next(self._looks) % 5 < 4:
            return None
        self._times -= 1
        return datetime(2026, 5, 4, 3, 30, tzinfo=UTC)


async def test_a_refresh_in_mid_read_makes_the_run_begin_again_when_it_is_over(shop: Shop) -> None:
    shop.refresh = RefreshesAt(1)
    run = await shop.run()
    assert run.status is RunStatus.DONE
    await shop.is_exact()


async def test_a_refresh_in_mid_read_again_and_again_stops_the_run_with_its_end(shop: Shop) -> None:
    shop.refresh = RefreshesAt(99)
    run = await shop.run()
    says(run, "dataverse-refresh-began", "until about 03:30 UTC", "half old and half new", "An admin can correct")
    await shop.nothing_was_sent()


class RefreshesNow:
    def refreshing(self, since: datetime, until: datetime) -> datetime | None:
        return until + timedelta(minutes=30)


async def test_nothing_is_read_in_the_midst_of_a_refresh(shop: Shop) -> None:
    shop.refresh = RefreshesNow()
    says(await shop.run(), "dataverse-refresh", "is being refreshed until about")
    assert not (await shop.api.look("stats"))["pages"].get(MEMBERSHIPS)
    await shop.nothing_was_sent()


# --- trouble while it runs


async def test_a_sign_in_that_is_revoked_in_mid_run_names_who_has_to_sign_in_again(shop: Shop) -> None:
    await shop.sign_in()

    async def revoke() -> None:
        await shop.api.control("tokens", expire_access=True, revoke_refresh=True)

    shop.transport.before[PROFILES, 5] = revoke
    says(await shop.run(), "sign-in-again", "The sign-in of the export user has ended", "The export user, or an admin")
    await shop.nothing_was_sent()
    await shop.sign_in()
    assert (await shop.run()).status is RunStatus.DONE
    await shop.is_exact()


async def test_throttling_for_minutes_is_waited_out(shop: Shop) -> None:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await shop.api.control("clock", advance=seconds)

    shop.pause = pause
    await shop.api.assume(request_limit=15)
    run = await shop.run()
    assert run.status is RunStatus.DONE
    assert sum(waited) > 120
    assert sum((await shop.api.look("stats"))["throttled"].values())
    await shop.is_exact()


async def test_throttling_without_end_stops_the_run_and_names_the_limit(shop: Shop) -> None:
    await shop.api.control("faults", next=[{"kind": "429", "path": PROFILES, "times": 999, "skip": 2}])
    run = await shop.run()
    says(run, "dataverse-throttled", "more than 15 minutes", "too many requests", "an account of its own")
    await shop.nothing_was_sent()


# --- values that do harm


async def test_nuls_bidi_marks_and_very_long_values_reach_nobody(shop: Shop) -> None:
    members = [id_ for id_, profile in (await shop.api.truth(SEGMENT)).items() if profile is not None]
    harmful: dict[str, Json] = {
        members[0]: {"msdynci_email": "nul@example.com", "msdynci_firstname": "An\x00na\x00"},
        members[1]: {"msdynci_email": "bidi@example.com", "msdynci_lastname": "\u202eekorB\u202c \u2066X\u2069"},
        members[2]: {
            "msdynci_email": "long@example.com",
            "msdynci_notes": "ä" * 10_000,
            "msdynci_firstname": "x" * 10_000,
        },
        members[3]: {"msdynci_email": "nul\x00hidden@example.com"},
        members[4]: {"msdynci_email": "\u202emoc.elpmaxe@ollah"},
        members[5]: {"msdynci_email": f"{'y' * 10_000}@example.com"},
    }
    for customer, values in harmful.items():
        await shop.api.control("changes", op="edit", customers=[customer], set=values)
    run = await shop.run()
    assert run.status is RunStatus.DONE
    stored = await shop.world.stored()
    assert stored["nul@example.com"]["firstName"] == "An na"
    assert stored["bidi@example.com"]["lastName"] == "ekorB X"
    assert len(stored["long@example.com"]["firstName"]) <= MOST_CHARACTERS["firstName"]
    assert len(stored["long@example.com"]["customProperties"]["Notes"]) <= MOST_CHARACTERS["Notes"]
    shown = re.compile(r"[\x00-\x1f\u202a-\u202e\u2066-\u2069]")
    assert not [email for email, contact in stored.items() if shown.search(email + str(contact.get("lastName")))]
    rejected = {each.customer_id: each.reason for each in await shop.world.rejections()}
    assert {rejected[members[3]], rejected[members[4]]} == {"invalid_email"}
    assert rejected[members[5]] == "email_too_long"
    assert "cut" in kinds(run.notes)


async def test_rows_that_do_not_fit_together_are_counted_and_stop_nothing(shop: Shop) -> None:
    """Members without profile, profiles that share an address, memberships that are broken or repeat a customer."""
    members = [id_ for id_, profile in (await shop.api.truth(SEGMENT)).items() if profile is not None]
    await shop.api.control("changes", op="edit", customers=members[:3], set={"msdynci_email": "Family@example.com"})
    await shop.api.control("changes", op="delete-profiles", customers=members[3:7])
    run = await shop.run()
    assert run.status is RunStatus.DONE
    counts = {note["kind"]: note.get("count") for note in run.notes}
    assert (counts["duplicates"] or 0) >= 2
    assert (counts["without_profile"] or 0) >= 4
    texts = [str(note["text"]) for note in run.notes if note["kind"] == "source"]
    assert any(text.startswith("Memberships that could not be read") for text in texts)
    assert any(text.startswith("Further memberships of customers who had one already") for text in texts)
    assert outcome(run)["added"] == len(await shop.world.members(SEGMENT))
    await shop.is_exact()


async def test_more_members_than_an_export_may_have_are_named_before_profiles_are_read(shop: Shop) -> None:
    shop.world.configure(max_profiles=50)
    run = await shop.run()
    says(run, "dataverse-too-many-members", "more than 50 members", "smaller segments")
    assert not (await shop.api.look("stats"))["pages"].get(PROFILES)
    await shop.nothing_was_sent()
