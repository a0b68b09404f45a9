"""Every command of `ferry` once, in the order in which people use them, as processes.

Holds the command line against the issue's paragraph "CLI" and the words of its report against the design's cases
(duplicate emails, Chinese segment names, rejects with reasons, leavers).
"""

import asyncio
import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli.commands import app
from tests.ferry import Ended, Ferry
from tests.system.command_line_world import JSON_KEYS, Shop, Tables, answer_of, in_this_process
from tests.system.conftest import Prepared, installation

GOOD = 30
LONG = "x" * 65 + "@example.com"  # the part before the @ may have 64 characters
DIRT = [
    ("none", "", "No address"),
    ("bad", "ann at example.com", "No at"),
    ("long", LONG, "Long"),
    ("twin", " ANN1@Example.com ", "Twin"),
]
MASKED = "a•••@e•••.com"


def write_source(tables: Tables, *, changed: bool = False) -> None:
    """30 good profiles and some dirt in 客戶細分, four ids in 重要客戶 of which one has no profile."""
    people = tables.people(GOOD)
    if changed:  # ann2 leaves, ann3 has a new name, ann31 joins
        people[1:3] = [("p3", "ann3@example.com", "Anna")]
        people += tables.people(1, first=GOOD + 1)
    tables.profiles([*people, *DIRT])
    tables.sql("客戶細分", "SELECT CustomerId FROM profiles -- everybody")
    tables.members("重要客戶", ["p1", "p3", "p4", "ghost"])


@dataclass
class Story:
    said: dict[str, Ended]
    shop: Shop
    contacts: list[dict[str, object]]
    segments: dict[str, str]  # Omnisend's segments → the property of their rule
    batches_before_the_first_run: int

    def stdout(self, chapter: str) -> str:
        return self.said[chapter].stdout


@pytest.fixture(scope="module")
async def story(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    shop = installation(folder, prepared.omnisend)
    await shop.post("reset")
    write_source(shop.tables)
    ferry, said = shop.ferry, {}
    said["connection add"] = await ferry("connection", "add", "Shop", "--everyone", answer=f"y\n{shop.key}\n")
    said["export add"] = await ferry(
        "export", "add", "Frühling", "--connection", "shop", "--segment", "客戶細分", "--segment", "重要客戶",
        "--map", "email=Email", "--map", "custom:Full_Name={First} Lee", "--map", 'custom:Origin="ferry"'
    )  # fmt: skip
    said["connection list"], said["preview"] = await asyncio.gather(
        ferry("connection", "list"), ferry("export", "preview", "frühling")
    )
    batches = await shop.batches_posted()
    said["run"] = await ferry("export", "run", "Frühling", "--json")
    contacts = [json.loads(line) for line in (await shop.get("contacts")).splitlines()]
    segments = json.loads(await shop.get("segments"))["segments"]
    rules = {one["name"]: one["conditionGroups"][0]["conditions"][0]["filters"][0]["name"] for one in segments}
    write_source(shop.tables, changed=True)
    said["second run"] = await ferry("export", "run", "Frühling")
    said["export list"], said["rejects"], said["connection in use"] = await asyncio.gather(
        ferry("export", "list"), ferry("export", "rejects", "Frühling"), ferry("connection", "remove", "Shop")
    )
    said["export remove"] = await ferry("export", "remove", "Frühling")
    said["connection remove"] = await ferry("connection", "remove", "Shop")
    return Story(said, shop, contacts, rules, batches)


CHAPTERS = [
    "connection add", "export add", "connection list", "preview", "run", "second run", "export list", "rejects",
    "export remove", "connection remove",
]  # fmt: skip


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_command_ends_well_and_without_a_traceback(story: Story, chapter: str) -> None:
    answer_of(story.said[chapter], 0)


def test_connecting_shows_the_privacy_text_and_names_the_brand(story: Story) -> None:
    shown = story.stdout("connection add")
    assert "What leaves, and where it goes." in shown
    assert "Text version" in shown
    assert shown.endswith("Connected Shop to Emulated Shop.\n")


def test_connections_are_listed_with_the_end_of_their_key_only(story: Story) -> None:
    listed = story.stdout("connection list")
    for word in ("Shop", "Emulated Shop", "everyone", f"…{story.shop.key[-4:]}", "active"):
        assert word in listed
    assert story.shop.key[-8:] not in listed


def test_saving_an_export_shows_its_mapping_and_what_it_means_and_never_runs_it(story: Story) -> None:
    saved = story.stdout("export add")
    for line in ("Email ← Email", "Full_Name ← {First} Lee", "Origin ← ferry"):
        assert line in saved
    assert "New contacts arrive at Omnisend as non-subscribed" in saved
    assert saved.endswith("It has not run: ferry export run 'Frühling'\n")
    assert story.batches_before_the_first_run == 0


def test_a_preview_tells_counts_reasons_and_masked_examples(story: Story) -> None:
    preview = story.stdout("preview")
    assert "34 profiles: 30 to add, 0 to change, 0 to remove, 0 unchanged, 3 rejected" in preview
    for reason in ("1 no email address", "1 email address not valid", "1 email address too long"):
        assert reason in preview
    assert MASKED in preview


def test_the_json_is_one_line_with_the_promised_keys(story: Story) -> None:
    run = story.said["run"]
    assert len(run.stdout.splitlines()) == 1
    assert run.json.keys() - {"notes"} == JSON_KEYS
    assert [segment.keys() for segment in run.json["segments"]] == [{"name", "members", "contacts_count"}] * 2


def test_the_json_counts_what_was_done(story: Story) -> None:
    told = story.said["run"].json
    counts = {"profiles": 34, "added": 30, "changed": 0, "removed": 0, "unchanged": 0, "rejected": 3, "in_doubt": 0}
    assert told.items() >= {"status": "done", "batches": 1, **counts}.items()
    assert {one["name"]: one["members"] for one in told["segments"]} == {"客戶細分": 34, "重要客戶": 4}
    assert told["seconds"] > 0
    assert told["cpu_seconds"] > 0
    assert 20 < told["peak_rss_mb"] < 600


def test_rows_unfit_to_be_sent_are_left_out_and_nobody_else(story: Story) -> None:
    assert {contact["email"] for contact in story.contacts} == {f"ann{n}@example.com" for n in range(1, GOOD + 1)}


def test_templates_and_constants_reach_omnisend(story: Story) -> None:
    custom = {str(contact["email"]): contact["customProperties"] for contact in story.contacts}["ann4@example.com"]
    assert isinstance(custom, dict)
    assert (custom["Full_Name"], custom["Origin"]) == ("Ann 4 Lee", "ferry")


def test_two_segments_with_chinese_names_are_two_at_omnisend(story: Story) -> None:
    assert story.segments.keys() == {"客戶細分", "重要客戶"}
    assert len(set(story.segments.values())) == 2
    important = story.segments["重要客戶"]
    members = {
        contact["email"]
        for contact in story.contacts
        if isinstance(contact["customProperties"], dict) and contact["customProperties"].get(important) is True
    }
    assert members == {f"ann{n}@example.com" for n in (1, 3, 4)}


def test_the_report_words_what_changed_and_what_was_noticed(story: Story) -> None:
    report = story.stdout("second run")
    assert report.startswith("Frühling: done after ")
    assert "34 profiles: 1 added, 1 changed, 1 removed, 28 unchanged, 3 rejected, 0 in doubt" in report
    assert "重要客戶: 4 members, 3 contacts; Omnisend's own count: " in report
    assert "1 profile shares its email with another" in report
    assert "1 member of the segments has no profile." in report
    assert "New contacts arrive as 'non-subscribed'" in report
    assert not {"*", "{", "_"} & set(report.replace("Full_Name", "")), "no markup, no placeholders, no codes"


def test_the_report_counts_rejected_rows_by_reason_and_says_where_they_are_listed(story: Story) -> None:
    (rejected,) = [line for line in story.stdout("second run").splitlines() if "Rejected:" in line]
    for reason in ("1 no email address", "1 not a valid email address", "1 the email address is too long"):
        assert reason in rejected
    assert "ferry export rejects 'Frühling' lists them" in rejected


def test_rejected_rows_are_listed_by_customer_with_masked_emails(story: Story) -> None:
    rows = list(csv.reader(io.StringIO(story.stdout("rejects").removeprefix("\ufeff"))))
    assert rows[0] == ["customer id", "email", "reason"]
    assert {row[0]: row[1] for row in rows[1:]} == {"none": "", "bad": "a•••", "long": "x•••@e•••.com"}


def test_exports_are_listed_with_their_last_run(story: Story) -> None:
    listed = story.stdout("export list")
    for word in ("Frühling", "Shop", "客戶細分, 重要客戶", "manual", "done, "):
        assert word in listed


def test_a_connection_in_use_is_not_removed_and_the_answer_names_the_export(story: Story) -> None:
    told = answer_of(story.said["connection in use"], 1)
    assert "The connection 'Shop' is used by 'Frühling'. It was not removed." in told
    assert "ferry export remove NAME" in told


def test_removing_says_what_stays_at_omnisend(story: Story) -> None:
    assert "Its contacts and segments at Omnisend are as they were." in story.stdout("export remove")
    assert "What was sent stays at Omnisend." in story.stdout("connection remove")


def test_neither_the_key_nor_an_email_is_shown_or_kept_in_clear(story: Story) -> None:
    said = "".join(ended.stdout + ended.stderr for ended in story.said.values())
    assert story.shop.key not in said
    assert "example.com" not in said
    kept = b"".join(path.read_bytes() for path in story.shop.ferry.data.rglob("*") if path.is_file())
    assert kept
    assert story.shop.key.encode() not in kept
    assert b"example.com" not in kept


def test_results_go_to_standard_output_and_logs_to_standard_error(story: Story) -> None:
    assert "level=" in story.said["connection add"].stderr, "the first start warns of the key file it made"
    assert not any("level=" in ended.stdout for ended in story.said.values())


# --- help


COMMANDS = {
    (): ("Export customer segments to Omnisend.", "FERRY_SOURCE", "Exit status"),
    ("serve",): ("Run the bot",),
    ("demo",): ("stand-ins", "--source"),
    ("doctor",): ("what is missing",),
    ("connection",): ("add", "list", "key", "agree", "remove"),
    ("connection", "add"): ("FERRY_API_KEY", "--agree", "--everyone", "--source", "--app-identity"),
    ("connection", "sign-in"): ("export user", "--app-identity"),
    ("connection", "key"): ("Replace the API key",),
    ("connection", "agree"): ("privacy text",),
    ("connection", "remove"): ("What was sent stays at Omnisend",),
    ("export",): ("add", "list", "run", "preview", "rejects", "remove"),
    ("export", "add"): ("Saving never runs it", "custom:NAME", "--connection", "--segment"),
    ("export", "run"): ("--json", "--accept-guard", "created again", "130 cancelled"),
    ("export", "preview"): ("Nothing is sent",),
    ("export", "rejects"): ("masked email",),
    ("export", "remove"): ("What was sent stays at Omnisend",),
    ("emulate",): ("omnisend", "slack", "dataverse"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert all(word in shown.output for word in COMMANDS[command]), shown.output
    assert "--no-" not in shown.output


@pytest.mark.parametrize("source", ["nonsense", "dataverse"])
async def test_a_source_that_is_not_configured_is_refused_before_anybody_reads_or_types(
    source: str, tmp_path: Path
) -> None:
    ferry = Ferry(tmp_path / "data", {"FERRY_SOURCE": str(tmp_path)})
    told = answer_of(await in_this_process(ferry, "connection", "add", "Shop", "--agree", "--source", source), 1)
    assert told.startswith(f"The source {source} is not configured here.")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("option", ["--api-key", "--key"])
def test_the_key_is_never_an_argument(option: str) -> None:
    refused = CliRunner().invoke(app, ["connection", "add", "Shop", "--agree", option, "s3cret"])
    assert refused.exit_code == 2
    assert "No such option" in refused.output


def test_the_data_folder_is_for_its_owner_alone(story: Story) -> None:
    def mode(path: Path) -> int:
        return path.stat().st_mode & 0o777

    assert (mode(story.shop.ferry.data), mode(story.shop.ferry.data / "secret.key")) == (0o700, 0o600)
