"""What a person at the command line learns when Omnisend, or the way to it, makes trouble.

Holds the program against the issue's list "Bad input, each with a clear answer and nothing lost": wrong and revoked
keys, missing consent, a segment's name that is taken, 429, 500, HTML, dropped connections, batches that stop or never
finish.
"""

import httpx
import pytest

from tests.system.command_line_world import Shop, answer_of, in_this_process, terminal
from tests.system.omnisend_emulator_client import bool_rule, headers

MANY = 500  # contacts: a canary and four more batches
REVOKED = "Omnisend does not accept the API key: it is wrong or was revoked."


def many_people(shop: Shop) -> None:
    shop.tables.profiles(shop.tables.people(MANY))
    shop.tables.members("VIP", [f"p{n}" for n in range(1, MANY + 1)])


# --- keys and consent


async def test_a_wrong_key_is_typed_unseen_and_refused(shop: Shop) -> None:
    async with terminal(shop.ferry, "connection", "add", "Second") as person:
        await person.until("I agree (y/n)")
        person.type("y")
        await person.until("Omnisend API key")
        person.type("s3cret-but-wrong")
        ended = await person.end()
    told = answer_of(ended, 1)
    assert REVOKED in told.replace("this API key", "the API key")
    assert "Copy the whole key from Omnisend" in told
    assert "s3cret" not in told
    assert "Second" not in (await in_this_process(shop.ferry, "connection", "list")).stdout


@pytest.mark.parametrize(("answer", "why"), [("n\n", "said no"), ("", "nobody there to answer")])
async def test_without_agreement_no_connection_is_made_and_no_key_is_asked_for(
    shop: Shop, answer: str, why: str
) -> None:
    ended = await shop.ferry("connection", "add", "Second", answer=answer)
    told = answer_of(ended, 1)
    assert "Without an agreement to the privacy text no data may leave." in told, why
    assert "give --agree" in told
    assert "API key:" not in told


async def test_a_key_that_is_missing_is_said_to_be(shop: Shop) -> None:
    told = answer_of(await in_this_process(shop.ferry, "connection", "add", "Second", "--agree"), 1)
    assert "The API key is missing." in told
    assert "Set FERRY_API_KEY, or type the key when asked." in told


async def test_a_key_without_a_permission_is_told_which(shop: Shop) -> None:
    narrow = (await shop.post("keys", scopes=["contacts.read", "brands.read"]))["key"]
    ferry = shop.with_settings(FERRY_API_KEY=narrow)
    told = answer_of(await in_this_process(ferry, "connection", "add", "Second", "--agree"), 1)
    assert "This API key lacks a permission: contacts.write." in told


async def test_a_revoked_key_is_told_even_when_there_is_nothing_to_send(shop: Shop) -> None:
    await shop.ferry("export", "run", "Spring")
    await shop.post("keys/revoke")
    told = answer_of(await in_this_process(shop.ferry, "export", "preview", "Spring"), 1)
    assert REVOKED in told
    assert "ferry connection key NAME" in told


async def test_a_key_revoked_in_mid_run_stops_it_and_a_new_key_ends_it_with_nothing_lost(shop: Shop) -> None:
    many_people(shop)
    await shop.post("keys", key=shop.key, revoke_after=6)
    stopped = await shop.ferry("export", "run", "Spring")
    told = answer_of(stopped, 1)
    assert f"{REVOKED} Nothing more was sent; what Omnisend had accepted before stays there." in told
    assert "Here: ferry connection key NAME" in told
    assert len(await shop.emails()) < MANY

    fresh = (await shop.post("keys"))["key"]
    replaced = await in_this_process(shop.with_settings(FERRY_API_KEY=fresh), "connection", "key", "Shop")
    assert "Shop has a new key of the same brand. Nothing else changes." in answer_of(replaced, 0)
    again = await shop.ferry("export", "run", "Spring", "--json")
    assert (again.status, again.json["status"], again.json["in_doubt"]) == (0, "done", 0)
    assert len(await shop.emails()) == MANY


# --- segments


async def test_an_omnisend_segment_of_the_name_is_left_alone_and_the_report_names_ours(shop: Shop) -> None:
    async with httpx.AsyncClient(trust_env=False, headers=headers(shop.key)) as client:
        theirs = {"name": "VIP", "conditionGroups": bool_rule("loyal")}
        made = await client.post(f"{shop.omnisend['url']}/segments", json=theirs)
    assert made.status_code == 201, made.text

    told = answer_of(await shop.ferry("export", "run", "Spring"), 0)
    words = "Omnisend has a segment named 'VIP' with another rule. It was left alone; ours is 'VIP (Segment Ferry)'."
    assert words in told
    assert '"name":"loyal"' in (await shop.get("segments")).replace(" ", "")


async def test_without_the_permission_for_segments_the_report_says_how_to_make_them_by_hand(shop: Shop) -> None:
    narrow = (await shop.post("keys", scopes=["contacts.read", "contacts.write", "brands.read"]))["key"]
    await in_this_process(shop.with_settings(FERRY_API_KEY=narrow), "connection", "key", "Shop")
    told = answer_of(await shop.ferry("export", "run", "Spring"), 0)
    assert "The API key may not make segments" in told
    assert "Make 'VIP' in Omnisend by hand: custom property `segment_vip_" in told
    assert "6 added" in told


# --- batches and the way to them


async def test_a_run_comes_through_429_500_html_and_dropped_connections_with_nothing_lost(shop: Shop) -> None:
    many_people(shop)
    kinds = ("429", "500", "html", "drop-before", "drop-after")
    await shop.faults(*({"kind": kind, "rate": 1, "times": 1, "path": "/batches", "method": "POST"} for kind in kinds))
    ended = await shop.ferry("export", "run", "Spring", "--json")
    answer_of(ended, 0)
    assert (ended.json["status"], ended.json["in_doubt"], ended.json["rejected"]) == ("done", 0, 0)
    assert ended.json["added"] + ended.json["changed"] == MANY
    assert len(await shop.emails()) == MANY


async def test_a_batch_that_stops_half_way_is_ended_by_the_same_run(shop: Shop) -> None:
    await shop.faults({"kind": "stopped", "rate": 1, "times": 1})
    ended = await shop.ferry("export", "run", "Spring", "--json")
    assert (ended.status, ended.json["status"], ended.json["in_doubt"]) == (0, "done", 0)
    assert len(await shop.emails()) == 6


async def test_a_batch_that_never_ends_is_in_doubt_in_the_report_and_settled_by_the_next_run(shop: Shop) -> None:
    await shop.faults({"kind": "stuck", "rate": 1, "times": 1})
    impatient = shop.with_settings(FERRY_SETTLE_PATIENCE="0.5", FERRY_DRAIN_PATIENCE="0.5")
    told = answer_of(await impatient("export", "run", "Spring"), 0)
    assert "0 added, 0 changed, 0 removed, 0 unchanged, 0 rejected, 6 in doubt" in told
    assert "The next run looks it up and, if need be, sends it again." in told

    await shop.post("batches/release")
    settled = await shop.ferry("export", "run", "Spring", "--json")
    assert (settled.status, settled.json["unchanged"], settled.json["in_doubt"]) == (0, 6, 0)
    assert len(await shop.emails()) == 6


async def test_an_omnisend_that_stays_away_fails_the_run_and_says_what_to_do(shop: Shop) -> None:
    nobody = shop.with_settings(FERRY_OMNISEND_URL="http://127.0.0.1:9/api", FERRY_OUTAGE_PATIENCE="0")
    ended = await nobody("export", "run", "Spring")
    told = answer_of(ended, 1)
    assert "Omnisend could not be reached for " in told
    assert "See https://status.omnisend.com, then run the export again: it goes on where it stopped." in told


async def test_single_contacts_that_omnisend_rejects_are_counted_with_its_reason(shop: Shop) -> None:
    await shop.faults({"kind": "item-error", "rate": 1, "times": 2})
    told = answer_of(await shop.ferry("export", "run", "Spring"), 0)
    assert "4 added, 0 changed, 0 removed, 0 unchanged, 2 rejected, 0 in doubt" in told
    assert "Rejected: 2 refused by Omnisend" in told

    again = answer_of(await shop.ferry("export", "run", "Spring", "--retry"), 0)
    assert "2 added" in again
    assert len(await shop.emails()) == 6
