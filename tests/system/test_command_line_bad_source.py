"""Bad input from the source and in what people type, met from the command line.

Holds the program against the issue's list "Bad input, each with a clear answer and nothing lost": what happened, what
it means for the data, what to do next; nothing is sent; no traceback.
"""

import shutil
from collections.abc import Callable

import pytest

from tests.ferry import Ended
from tests.system.command_line_world import Shop, Tables, answer_of, in_this_process
from tests.system.conftest import Prepared, installation

NOTHING_SENT = "Nothing was sent."


def _segment_gone(tables: Tables) -> None:
    (tables.folder / "segments" / "VIP.csv").rename(tables.folder / "segments" / "VIPs.csv")


def _damaged(tables: Tables) -> None:
    (tables.folder / "profiles.csv").unlink()
    (tables.folder / "profiles.parquet").write_bytes(b"this was a Parquet file once")


def _broken_line(tables: Tables) -> None:
    tables.profiles([*tables.people(6), ("p7", "eve@example.com", "Eve", "one too many")])


BAD_SOURCES: dict[str, tuple[Callable[[Tables], None], str]] = {
    "segment missing": (
        _segment_gone,
        "The segment 'VIP' is not in the source (source). Did you mean 'VIPs'? Nothing was sent. Bring it back, "
        "or ask whoever looks after the source to; or edit the export and choose another segment. ferry doctor shows "
        "what the source offers.",
    ),
    "segment's SQL fails": (
        lambda tables: tables.sql("VIP", "SELECT CustomerId FROM profiles WHERE Loyalty > 3"),
        "The segment 'VIP' can't be computed: Referenced column \"Loyalty\" not found",
    ),
    "segment reads a file": (
        lambda tables: tables.sql("VIP", "SELECT column0 AS CustomerId FROM read_csv('/etc/passwd')"),
        "The segment 'VIP' can't be computed: it reaches for something other than profiles (a file, the network, an "
        "extension). Nothing was sent. Whoever wrote its SQL can mend it",
    ),
    "profiles damaged": (
        _damaged,
        "The profiles can't be read: profiles.parquet is damaged or is not a Parquet file. Nothing was sent. Check the "
        "source (source)",
    ),
    "profiles with a broken line": (
        _broken_line,
        "The profiles can't be read: profiles.csv, line 8: 4 columns where the header has 3. Nothing was sent.",
    ),
    "profiles without CustomerId": (
        lambda tables: tables.profiles(tables.people(6), ("Id", "Email", "First")),
        "The profiles can't be read: profiles.csv has no column named CustomerId (the first is Id). Nothing was sent.",
    ),
    "mapped column gone": (
        lambda tables: tables.profiles(tables.people(6), ("CustomerId", "Email", "GivenName")),
        "The profile has no field named First any more. Nothing was sent. Edit the export's mapping and choose another "
        "field for First name.",
    ),
    "source gone": (
        lambda tables: shutil.rmtree(tables.folder),
        "The profiles can't be read: the folder source is not there. Nothing was sent.",
    ),
}


@pytest.mark.parametrize("case", BAD_SOURCES)
async def test_a_bad_source_is_answered_with_what_is_wrong_and_what_to_do(shop: Shop, case: str) -> None:
    spoil, words = BAD_SOURCES[case]
    spoil(shop.tables)
    told = answer_of(await in_this_process(shop.ferry, "export", "preview", "Spring"), 1)
    assert words in told
    assert NOTHING_SENT in told
    assert "example.com" not in told, "errors quote no profile"
    assert str(shop.tables.folder.parent) not in told, "nor a path"


async def test_a_run_on_a_bad_source_fails_with_the_same_words_and_sends_nothing(shop: Shop) -> None:
    shop.tables.sql("VIP", "SELECT CustomerId FROM profiles UNION SELECT content FROM read_text('/etc/passwd')")
    failed = await shop.ferry("export", "run", "Spring")
    told = answer_of(failed, 1)
    assert told.startswith("Spring: failed after ")
    assert BAD_SOURCES["segment reads a file"][1] in told
    assert "0 added" not in told, "no counts of a run that did not get so far"
    assert (await shop.batches_posted(), await shop.emails()) == (0, set())


async def test_an_empty_segment_makes_the_guard_ask_in_words_that_say_how_to_accept(shop: Shop) -> None:
    shop.tables.members("VIP", [])
    told = answer_of(await shop.ferry("export", "run", "Spring"), 3)
    assert "Nothing was sent. Please look first: - 'VIP' has no members." in told
    assert "If this is right, send it with: ferry export run 'Spring' --accept-guard" in told
    assert "removed" not in told, "nothing that reads as if it had been done"
    assert await shop.batches_posted() == 0


async def test_the_guard_asks_in_the_json_as_well_until_it_is_accepted(shop: Shop) -> None:
    await shop.ferry("export", "run", "Spring")
    shop.tables.members("VIP", [])
    asked = await shop.ferry("export", "run", "Spring", "--json")
    answer_of(asked, 3)
    assert (asked.json["status"], asked.json["batches"]) == ("asking", 0)
    assert asked.json["findings"] == [{"kind": "empty", "segment": "VIP", "before": 6}]
    assert "send it with: ferry export run 'Spring' --accept-guard" in asked.stderr

    accepted = await shop.ferry("export", "run", "Spring", "--json", "--accept-guard")
    assert (accepted.status, accepted.json["status"], accepted.json["removed"]) == (0, "done", 6)


async def test_a_full_resync_says_first_what_it_would_create_again(shop: Shop) -> None:
    await shop.ferry("export", "run", "Spring")
    await shop.post("contacts/delete", email="ann1@example.com")
    again = await shop.ferry("export", "run", "Spring", "--resync", "--json")
    first, *_ = again.stderr.splitlines()
    assert "Contacts that were deleted by hand in Omnisend would be created again." in first
    assert again.json["changed"] == 6
    assert "ann1@example.com" in await shop.emails()


# --- what people type

MAP = ("--map", "email=Email")
BAD_ARGUMENTS = {
    "no email": (
        ("--connection", "Shop", "--segment", "客戶細分", "--map", "firstName=First"),
        "An export needs the Email field: Omnisend knows contacts by it. Nothing was saved. Choose the profile field "
        "that holds the email address. Name it with --map email=FIELD.",
    ),
    "unknown segment": (
        ("--connection", "Shop", "--segment", "Nobody", *MAP),
        "The segment 'Nobody' is not in the source (source). Choose one of those on offer. ferry doctor shows",
    ),
    "a segment of another export": (
        ("--connection", "Shop", "--segment", "VIP", *MAP),
        "The segment 'VIP' goes to this brand through the export 'Spring' already.",
    ),
    "unknown field": (
        ("--connection", "Shop", "--segment", "客戶細分", "--map", "email=E-Mail"),
        "The profile has no field named E-Mail. Did you mean Email? Nothing was saved. Choose another field for email.",
    ),
    "unknown attribute": (
        ("--connection", "Shop", "--segment", "客戶細分", *MAP, "--map", "phone=First"),
        "Omnisend has no attribute named phone. Nothing was saved.",
    ),
    "no mapping at all": (
        ("--connection", "Shop", "--segment", "客戶細分", "--map", "Email"),
        "Email is no mapping. Nothing was saved. Write ATTRIBUTE=FIELD, for example email=Email, or "
        "custom:Name='{First} {Last}'.",
    ),
    "unknown connection": (
        ("--connection", "Shoop", "--segment", "客戶細分", *MAP),
        "There is no connection named 'Shoop'. Nothing was changed. ferry connection list shows those",
    ),
}


@pytest.fixture(scope="module")
async def mistyped(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    folder = tmp_path_factory.mktemp("mistyped")
    shutil.copytree(prepared.folder, folder, dirs_exist_ok=True)
    shop = installation(folder, prepared.omnisend)
    shop.tables.members("客戶細分", ["p1"])
    answers = {
        case: await in_this_process(shop.ferry, "export", "add", "Second", *arguments)
        for case, (arguments, _) in BAD_ARGUMENTS.items()
    }
    assert "Second" not in (await in_this_process(shop.ferry, "export", "list")).stdout
    return answers


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_a_mistyped_export_is_not_saved_and_the_answer_says_what_to_write(
    mistyped: dict[str, Ended], case: str
) -> None:
    assert BAD_ARGUMENTS[case][1] in answer_of(mistyped[case], 1)


async def test_an_export_is_saved_with_a_word_about_segments_that_are_empty_or_fail(shop: Shop) -> None:
    shop.tables.members("Nobody", [])
    shop.tables.sql("Loyal", "SELECT CustomerId FROM profiles WHERE Loyalty > 3")
    segments = ("--segment", "Nobody", "--segment", "Loyal")
    told = answer_of(await in_this_process(shop.ferry, "export", "add", "Second", "--connection", "Shop", *segments), 0)
    assert "Nobody has no members now." in told
    assert "The segment 'Loyal' can't be computed" in told
    assert "Saved Second. It has not run" in told


async def test_an_unknown_export_is_answered_with_those_that_were_perhaps_meant(shop: Shop) -> None:
    told = answer_of(await in_this_process(shop.ferry, "export", "preview", "Sprint"), 1)
    assert "There is no export named 'Sprint'. Did you mean 'Spring'? Nothing was changed. ferry export list" in told


async def test_a_source_that_is_not_set_is_said_to_be_missing(shop: Shop) -> None:
    told = answer_of(await in_this_process(shop.with_settings(FERRY_SOURCE=""), "export", "preview", "Spring"), 1)
    assert (
        "No source is configured, so there are no profiles to read. Nothing was read or sent. Set FERRY_SOURCE" in told
    )
