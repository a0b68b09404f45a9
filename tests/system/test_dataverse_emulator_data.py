"""The Dataverse emulator's customers: what is wrong with some, who is in which segment, and how all that changes.

reference: customer-insights.md §8, §9, §12.3, §12.10 (lines six to eight), §16.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
import pytest

from tests.system.dataverse_emulator_api import MEMBERSHIPS, PROFILES, Api, Json, error, fresh_api, running, where

N = 4_000
MEMBERS = f"{MEMBERSHIPS}?$select=msdynci_customerid,msdynci_segments"
EMAILS = f"{PROFILES}?$select=msdynci_customerid,msdynci_email"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", str(N), "--seed", "3") as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


def names_in(text: str | None) -> set[str]:
    """The segments that a text in `msdynci_segments` names, in any of its forms; none if it says nothing."""
    try:
        value = orjson.loads(text or "")
        value = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return set()
    names = value.get("Segments") if isinstance(value, dict) else value
    return set(names) if isinstance(names, list) else set()


def members_in(rows: Iterable[Json], segment: str) -> set[str]:
    return {row["msdynci_customerid"] for row in rows if segment in names_in(row["msdynci_segments"])}


async def members(api: Api, segment: str) -> set[str]:
    return members_in(await api.rows(MEMBERS), segment)


async def emails(api: Api) -> dict[str, Any]:
    return {row["msdynci_customerid"]: row["msdynci_email"] for row in await api.rows(EMAILS)}


class TestMemberships:
    @pytest.mark.parametrize("form", ["object", "array", "string", "mixed"])
    async def test_the_truth_is_what_the_tables_say(self, api: Api, form: str) -> None:
        await api.assume(segments_form=form)
        rows = await api.rows(MEMBERS)
        counts = {s["name"]: s["members"] for s in (await api.look("segments"))["segments"]}
        for segment in api.env["segments"]:
            truth = await api.truth(segment)
            assert truth.keys() == members_in(rows, segment)
            assert len(truth) == counts[segment]

    async def test_the_forms_differ(self, api: Api) -> None:
        await api.assume(segments_form="mixed")
        starts = {row["msdynci_segments"][:10] for row in await api.rows(MEMBERS) if row["msdynci_segments"]}
        assert starts >= {'{"Segments', '["Newslett', '"{\\"Segmen', '{"Version"', '{\n  "Segme'}

    async def test_some_customers_have_several_rows_from_different_providers(self, api: Api) -> None:
        rows = await api.rows(f"{MEMBERSHIPS}?$select=msdynci_customerid,msdynci_segmentprovider,msdynci_segments")
        by_customer: dict[str, list[Json]] = {}
        for row in rows:
            by_customer.setdefault(row["msdynci_customerid"], []).append(row)
        twice = [both for both in by_customer.values() if len(both) == 2]
        assert len(twice) > N // 20
        assert all(a["msdynci_segmentprovider"] != b["msdynci_segmentprovider"] for a, b in twice)
        pairs = [(names_in(a["msdynci_segments"]), names_in(b["msdynci_segments"])) for a, b in twice]
        assert any(a - b and b - a for a, b in pairs)
        assert any(a & b for a, b in pairs)

    async def test_some_rows_say_nothing_though_they_may_hold_a_name(self, api: Api) -> None:
        texts = {row["msdynci_segments"] for row in await api.rows(MEMBERS)}
        broken = {text for text in texts if not names_in(text)}
        assert len(broken) >= 3
        assert len(broken) < 12

    async def test_one_name_is_part_of_another(self, api: Api) -> None:
        found = await api.rows_where(MEMBERSHIPS, "contains(msdynci_segments,'VIP')", "msdynci_segments")
        assert {"VIP", "VIP_2", "VIPx2"} <= set().union(*(names_in(row["msdynci_segments"]) for row in found))

    async def test_some_members_have_no_profile(self, api: Api) -> None:
        profiles = await emails(api)
        rows = await api.rows(MEMBERS)
        orphans = {row["msdynci_customerid"] for row in rows} - profiles.keys()
        assert 1 <= len(orphans) <= 4
        truth = await api.truth("Newsletter")
        assert {cid for cid, profile in truth.items() if profile is None} == orphans & truth.keys()

    async def test_a_segment_may_have_nobody(self, api: Api) -> None:
        assert await api.truth("Nobody") == {}

    async def test_unknown_segments_have_no_truth(self, api: Api) -> None:
        answer = await api.http.get(f"{api.env['url']}/_emulator/truth", params={"segment": "vip"})
        assert answer.status_code == 404


class TestProfiles:
    async def test_the_truth_has_the_profiles_as_the_table_shows_them(self, api: Api) -> None:
        shown = {row["msdynci_customerid"]: row for row in await api.rows(PROFILES)}
        truth = await api.truth("VIP")
        for customer_id, profile in truth.items():
            assert profile is None or profile.items() <= shown[customer_id].items()
        answer = await api.http.get(f"{api.env['url']}/_emulator/profiles")
        lines = [orjson.loads(line) for line in answer.content.splitlines()]
        assert {line["customer_id"] for line in lines} == shown.keys()

    async def test_addresses_have_the_usual_dirt(self, api: Api) -> None:
        found = [*(await emails(api)).values()]
        present = [email for email in found if email]
        assert found.count(None) > N * 0.01
        assert "" in found
        assert "not-an-email" in found
        assert any(email != email.lower() for email in present)
        assert any(email != email.strip() for email in present)
        assert any(not email.isascii() for email in present)
        assert any(len(email) > 254 for email in present)
        assert any("\x00" in email for email in present)
        assert any("\u202e" in email for email in present)
        shared = Counter(email.strip().lower() for email in present)
        assert 5 < sum(times > 1 for times in shared.values()) < N // 20
        good = re.compile(r"[a-z]+\.[a-z]+\.\d+@[a-z]+\.(com|org|net|example)")
        assert sum(bool(good.fullmatch(email)) for email in present) > N * 0.85

    async def test_other_values_can_be_long_foreign_or_harmful(self, api: Api) -> None:
        truth = await api.http.get(f"{api.env['url']}/_emulator/profiles")
        profiles = [orjson.loads(line)["profile"] for line in truth.content.splitlines()]
        values = [value for profile in profiles for value in profile.values() if isinstance(value, str)]
        assert any(len(value) > 10_000 for value in values)
        assert any("\x00" in value for value in values)
        assert any("小明" in value for value in values)
        assert {type(profiles[0][f"msdynci_{name}"]) for name in ("loyaltypoints", "lifetimevalue")} == {int, float}
        assert {profile["msdynci_marketingoptin"] for profile in profiles} == {True, False, None}

    async def test_the_same_seed_makes_the_same_customers(self, api: Api) -> None:
        async with (
            running("--profiles", str(N), "--seed", "3") as again,
            fresh_api(again) as same,
            running("--profiles", str(N), "--seed", "4") as different,
            fresh_api(different) as other,
        ):
            assert await emails(same) == await emails(api)
            assert (await emails(other)).keys() != (await emails(api)).keys()

    async def test_segments_can_be_chosen(self) -> None:
        arguments = ("--profiles", "500", "--segment", "Everyone:1", "--segment", "Half:0.5")
        async with running(*arguments) as env, fresh_api(env) as api:
            counts = {s["name"]: s["members"] for s in (await api.look("segments"))["segments"]}
            assert counts["Everyone"] > 495
            assert 200 < counts["Half"] < 300


class TestChanges:
    async def change(self, api: Api, op: str, **arguments: Any) -> list[str]:
        return list((await api.control("changes", op=op, **arguments))["customers"])

    async def test_people_join_and_leave(self, api: Api) -> None:
        before = await members(api, "VIP")
        joined = set(await self.change(api, "join", segment="VIP", count=20))
        left = set(await self.change(api, "leave", segment="VIP", count=5))
        after = await members(api, "VIP")
        assert len(joined - before) == 20
        assert after == (before | joined) - left
        assert after == (await api.truth("VIP")).keys()

    async def test_new_people_stand_anywhere_in_both_tables_with_a_good_address(self, api: Api) -> None:
        known = await emails(api)
        joined = await self.change(api, "join", segment="VIP", count=30, new=True)
        assert not set(joined) & known.keys()
        assert set(joined) <= await members(api, "VIP")
        for path, size in ((EMAILS, 101), (MEMBERS, 67)):
            ids = [row["msdynci_customerid"] for row in await api.rows(path, size)]
            places = sorted(ids.index(customer_id) / len(ids) for customer_id in joined)
            assert places[0] < 0.3
            assert places[-1] > 0.7
        now = await emails(api)
        assert len(now) == N + 30
        assert all(re.fullmatch(r"new\.\d+@example\.com", now[customer_id]) for customer_id in joined)
        found = await api.rows_where(MEMBERSHIPS, f"msdynci_customerid eq '{joined[0]}'")
        assert [row["msdynci_customerid"] for row in found] == [joined[0]]

    async def test_a_page_boundary_may_fall_on_somebody_new(self, api: Api) -> None:
        joined = await self.change(api, "join", segment="VIP", count=40, new=True)
        for path, key in ((EMAILS, "msdynci_customerprofileid"), (MEMBERS, "msdynci_segmentmembershipid")):
            whole = await api.rows(path, 5_000)
            keys = [row[key] for row in whole]
            assert keys == sorted(set(keys))
            places = [i for i, row in enumerate(whole) if row["msdynci_customerid"] in joined]
            place = next(place for place in places if place > 500)
            for size in (place, place + 1):
                assert await api.rows(path, size) == whole

    async def test_profiles_are_edited(self, api: Api) -> None:
        before = {row["msdynci_customerid"]: row for row in await api.rows(EMAILS)}
        [edited] = await self.change(
            api, "edit", customers=[next(iter(before))], set={"msdynci_email": "x@example.com", "msdynci_city": None}
        )
        path = where(PROFILES, f"msdynci_customerid eq '{edited}'", "msdynci_email,msdynci_city")
        [row] = await api.rows(path)
        assert (row["msdynci_email"], row["msdynci_city"]) == ("x@example.com", None)
        assert row["@odata.etag"] != before[edited]["@odata.etag"]

    async def test_addresses_change_or_break(self, api: Api) -> None:
        changed = await self.change(api, "change-emails", segment="VIP", count=3)
        broken = await self.change(api, "break-emails", segment="BigSpenders", count=2)
        now = await emails(api)
        assert all(now[customer_id].startswith("changed.") for customer_id in set(changed) - set(broken))
        assert all(now[customer_id].endswith("@") for customer_id in broken)

    async def test_a_profile_vanishes_and_leaves_a_membership(self, api: Api) -> None:
        gone = await self.change(api, "delete-profiles", segment="VIP", count=4)
        assert not set(gone) & (await emails(api)).keys()
        truth = await api.truth("VIP")
        assert [truth[customer_id] for customer_id in gone] == [None] * 4
        assert len(await api.rows(EMAILS, 100)) == N - 4

    async def test_segments_are_renamed_deleted_emptied_and_made(self, api: Api) -> None:
        vip, lapsed = await members(api, "VIP"), await members(api, "Lapsed_Customers")
        await self.change(api, "rename-segment", segment="VIP", to="vip")
        await self.change(api, "delete-segment", segment="Lapsed_Customers")
        await self.change(api, "empty-segment", segment="Newsletter")
        await self.change(api, "create-segment", segment="Fresh", part=0.2)
        rows = await api.rows(MEMBERS)
        assert vip
        assert lapsed
        assert members_in(rows, "vip") == vip
        assert not members_in(rows, "VIP") | members_in(rows, "Lapsed_Customers") | members_in(rows, "Newsletter")
        assert members_in(rows, "Fresh") == (await api.truth("Fresh")).keys() != set()
        names = {segment["name"] for segment in (await api.look("segments"))["segments"]}
        assert {"vip", "Newsletter", "Fresh"} <= names
        assert not {"VIP", "Lapsed_Customers"} & names

    async def test_a_column_disappears_or_changes_its_name(self, api: Api) -> None:
        await self.change(api, "remove-column", column="msdynci_city")
        await self.change(api, "rename-column", column="msdynci_lastname", to="msdynci_familyname")
        assert error(await api.get(f"{PROFILES}?$select=msdynci_city")) == (400, "0x80060888")
        assert error(await api.get(f"{PROFILES}?$select=msdynci_lastname")) == (400, "0x80060888")
        rows = await api.rows(f"{PROFILES}?$select=msdynci_familyname&$top=5")
        assert any(row["msdynci_familyname"] for row in rows)
        attributes = await api.json("EntityDefinitions(LogicalName='msdynci_customerprofile')/Attributes")
        names = {attribute["LogicalName"] for attribute in attributes["value"]}
        assert "msdynci_familyname" in names
        assert "msdynci_city" not in names

    async def test_something_changes_between_two_pages(self, api: Api) -> None:
        prefer = "odata.maxpagesize=1000"
        last = (await api.rows(EMAILS, 5_000))[-1]["msdynci_customerid"]
        values = {"msdynci_email": "later@example.com"}
        await api.control("changes", op="edit", customers=[last], set=values, after_pages=2, table=PROFILES)
        page = await api.json(EMAILS, prefer)
        page = await api.json(page["@odata.nextLink"], prefer)
        rows = []
        while link := page.get("@odata.nextLink"):
            page = await api.json(link, prefer)
            rows += page["value"]
        assert rows[-1]["msdynci_email"] == "later@example.com"

    async def test_a_list_of_changes_is_made_in_its_order(self, api: Api) -> None:
        changes = [{"op": "rename-segment", "segment": "VIP", "to": "Gold"}, {"op": "empty-segment", "segment": "Gold"}]
        answer = await api.http.post(f"{api.env['url']}/_emulator/changes", content=orjson.dumps(changes))
        assert answer.status_code == 200
        assert await api.truth("Gold") == {}

    @pytest.mark.parametrize(
        "change",
        [
            {"op": "explode"},
            {"op": "leave", "segment": "Vip", "count": 1},
            {"op": "leave", "count": 1},
            {"op": "edit", "customers": ["0" * 32]},
            {"op": "edit", "segment": "VIP", "set": {"msdynci_nothing": 1}},
            {"op": "create-segment", "segment": "VIP"},
        ],
    )
    async def test_a_change_that_makes_no_sense_is_refused(self, api: Api, change: Json) -> None:
        answer = await api.http.post(f"{api.env['url']}/_emulator/changes", content=orjson.dumps(change))
        assert answer.status_code == 400
        assert answer.json()["error"]

    async def test_reset_takes_everything_back(self, api: Api) -> None:
        before = await api.rows(PROFILES), await api.rows(MEMBERS)
        await self.change(api, "join", segment="VIP", count=10, new=True)
        await self.change(api, "delete-segment", segment="Newsletter")
        await self.change(api, "remove-column", column="msdynci_city")
        await api.control("reset")
        await api.use_app_token()
        assert (await api.rows(PROFILES), await api.rows(MEMBERS)) == before


async def test_the_log_names_requests_but_no_secrets(api: Api) -> None:
    await api.rows(EMAILS, 2_000)
    entries = (await api.look("requests"))["requests"]
    token_request, *data = entries
    assert token_request["path"].endswith("/oauth2/v2.0/token")
    assert [entry["rows"] for entry in data] == [2_000, 2_000]
    assert {entry["user"] for entry in data} == {"# Segment Ferry"}
    assert api.env["client_secret"] not in str(entries)
    assert api.token not in str(entries)


async def test_the_statistics_count_pages_and_rows(api: Api) -> None:
    await api.rows(EMAILS, 1_500)
    stats = await api.look("stats")
    assert stats["pages"][PROFILES] == 3
    assert stats["rows"][PROFILES] == stats["profiles"] == N
    assert stats["tokens_issued"] == {"client_credentials": 1}


async def test_the_switches_explain_themselves(api: Api) -> None:
    switches = await api.look("switches")
    assert switches["page-cap"]["default"] == switches["page-cap"]["value"] == 5_000
    assert all(switch["meaning"] for switch in switches.values())


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("clock", {"advance": -5}),
        ("clock", {"advance": "soon"}),
        ("faults", {"rates": {"earthquake": 1}}),
        ("faults", {"next": [{"times": 1}]}),
        ("assume", {"page-cap": 0}),
        ("assume", {"nonsense": True}),
        ("principals", {"name": "nobody"}),
        ("device", {"user_code": "AAAAAAAAA", "action": "approve"}),
        ("tokens", [1]),
    ],
)
async def test_control_refuses_what_makes_no_sense(api: Api, name: str, body: object) -> None:
    answer = await api.http.post(f"{api.env['url']}/_emulator/{name}", content=orjson.dumps(body))
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_there_may_be_no_profiles_at_all() -> None:
    async with running("--profiles", "0") as empty, fresh_api(empty) as api:
        assert await api.rows(PROFILES) == []
        assert set((await api.truth("Newsletter")).values()) <= {None}


async def test_a_million_and_a_half_profiles_need_little_memory() -> None:
    async with running("--profiles", "1500000") as large, fresh_api(large) as api:
        first = await api.json(EMAILS, "odata.maxpagesize=5000")
        assert len(first["value"]) == 5_000
        nobody = where(MEMBERSHIPS, "contains(msdynci_segments,'Nobody at all')")
        assert await api.rows(nobody, 5_000) == []  # every membership was looked at
        stats = await api.look("stats")
    assert stats["profiles"] == 1_500_000
    assert stats["rss_mb"] < 300
