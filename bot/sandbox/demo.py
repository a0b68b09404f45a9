"""`ferry demo`: the main job from a typed `/ferry` to contacts in Omnisend, played through Slack alone.

The stand-ins and the bot run as processes of their own. An admin connects and agrees (and signs in, where Customer
Insights is the source), a contributor sets up an export, previews and runs it; then the data changes, and a second run
sends only the difference. At the end a query over the source, not the pipeline, says what should be in Omnisend, and it
is compared with what is.
"""

import asyncio
import contextlib
import json
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from bot.sandbox.customers import Customers, InsightsCustomers, insights_customers, tables_customers
from bot.sandbox.proof import Verdict
from bot.sandbox.slack.client import Message, Modal, NotSeen, Person, Screen, SlackWorld
from bot.sandbox.workspace import DidNotStart, bot, bot_settings, emulator, free_port

INSIGHTS = "dataverse"  # the source that is a stand-in of Customer Insights
TIME_SCALE = 20  # an Omnisend minute lasts three seconds
BATCH_DELAY = 80  # seconds of Omnisend's time that it takes over a batch, more or less: there is something to watch
RATE = "400/3"  # so that 400 requests a minute are these
WAIT = 90.0  # seconds for a run of the demo to end
EXPORT, CONNECTION, CHANNEL = "Spring campaign", "Demo shop", "marketing"
MAPPED = {"email": "Email", "firstName": "First name", "lastName": "Last name", "address": "Address",
          "city": "City", "state": "State", "postalCode": "Postal code"}  # fmt: skip


@dataclass(slots=True)
class Demo:
    """What the demo holds on to while it plays."""

    slack: SlackWorld
    omnisend: dict[str, Any]
    customers: Customers
    data: Path
    hook: str  # where the bot's webhook listens
    stage: Console
    mapping: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)  # of people and channels, by id

    @property
    def admin(self) -> Person:
        return self.slack.person("ada")

    @property
    def contributor(self) -> Person:
        return self.slack.person("carl")

    def tell(self, text: str) -> None:
        self.stage.print(f"\n[bold cyan]▶[/] {text}")


async def play(source: Path | str | None, *, as_json: bool = False, omnisend_options: Sequence[str] = ()) -> int:
    """Play the demo; exit status 0 if every contact is as the source says, 1 if not.

    `source`: a folder of tables, `dataverse` for a stand-in of Customer Insights, or None for made-up tables.
    `omnisend_options`: more options of the Omnisend stand-in, such as `--assume NAME=VALUE`.
    """
    began = time.monotonic()
    stage = Console(stderr=as_json, highlight=False, width=100)
    log_name = ""
    try:
        async with _world(source, stage, omnisend_options) as demo:
            log_name = str(demo.data.parent / "bot.log")
            await _connect(demo)
            await _set_up(demo)
            await _preview(demo)
            first = await _run_by_hand(demo)
            await _change(demo)
            second = await (_run_by_webhook(demo) if source == INSIGHTS else _run_scheduled(demo))
            verdicts = await _proof(demo)
    except (NotSeen, DidNotStart, AssertionError) as error:
        stage.print(f"\n[bold red]The demo did not end well:[/] {error}", markup=True)
        stage.print(_last_lines(log_name), markup=False)
        return 1
    ok = all(verdict.holds for verdict in verdicts) and second["added"] + second["changed"] < first["added"]
    _conclude(stage, verdicts, ok=ok, seconds=time.monotonic() - began)
    if as_json:
        result = {
            "ok": ok,
            "runs": [first, second],
            "segments": [
                {"name": v.segment, "expected": v.expected, "found": v.found, "ok": v.holds} for v in verdicts
            ],
            "seconds": round(time.monotonic() - began, 1),
        }
        sys.stdout.write(orjson.dumps(result).decode() + "\n")
    return 0 if ok else 1


@asynccontextmanager
async def _world(source: Path | str | None, stage: Console, options: Sequence[str]) -> AsyncIterator[Demo]:
    """The stand-ins and the bot, in a folder of their own that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="ferry-demo-") as name:
        folder = Path(name)
        usual = ["--batch-delay", str(BATCH_DELAY), "--assume", "execution=shuffled"]  # so that the bar moves
        if any("batch-delay" in option or "execution" in option for option in options):
            usual = []
        manifest = Path(__file__).parents[2] / "manifest.yml"  # beside the package in a checkout
        scopes = ("--manifest", str(manifest)) if manifest.exists() else ()
        async with (
            emulator("omnisend", "--port", "0", "--time-scale", str(TIME_SCALE), *usual, *options) as omnisend,
            emulator("slack", "--port", "0", *scopes) as slack,
            SlackWorld(slack["url"]) as world,
            _customers(source, folder) as customers,
        ):
            stage.print(customers.introduction)
            settings = bot_settings(folder / "data", slack, omnisend) | dict(customers.settings)
            port = free_port()
            settings |= {"FERRY_HOOK_PORT": str(port)}
            settings |= {"FERRY_OMNISEND_RATE": RATE, "FERRY_SWEEP_SECONDS": "[0.3, 2]", "FERRY_LOOKUP_GRACE": "5"}
            with (folder / "bot.log").open("wb") as log:
                async with bot(settings, log):
                    await world.connected(seconds=30)
                    stage.print(
                        "The bot is connected to a Slack stand-in; Omnisend is a stand-in, too. No account is used."
                    )
                    state = await world.state()
                    names = {one["id"]: one["name"] for one in [*state["people"], *state["channels"]]}
                    hook = f"http://127.0.0.1:{port}"
                    yield Demo(world, omnisend, customers, folder / "data", hook, stage, names=names)


@asynccontextmanager
async def _customers(source: Path | str | None, folder: Path) -> AsyncIterator[Customers]:
    if source == INSIGHTS:
        async with insights_customers() as customers:
            yield customers
    else:
        yield await tables_customers(Path(source) if source else None, folder)


# --- the story


async def _connect(demo: Demo) -> None:
    demo.tell(f"Ada, an admin, types [bold]/ferry connect[/] in #{CHANNEL}, reads the privacy text and agrees.")
    ada = demo.admin
    await ada.command("/ferry connect", channel=CHANNEL)
    await _modal_with(ada, "Display name")
    form = await ada.modal()
    await form.fill(
        {
            "Display name": CONNECTION,
            "Omnisend API key": demo.omnisend["key"],
            "Who may use it": "Everyone in this workspace",
            "I agree": True,
        }
    )
    if isinstance(demo.customers, InsightsCustomers):
        await _sign_in(demo, demo.customers)
    await (await ada.modal()).submit()
    await _modal_with(ada, "Emulated Shop")
    demo.stage.print("  Omnisend knows the key: the brand is [bold]Emulated Shop[/]. Ada saves.")
    await (await ada.modal()).submit()
    screen = await ada.wait_for(lambda one: one.modal is not None and "Display name" not in one.modal_text)
    _show_modal(demo, "Ada's screen", screen)
    await ada.close(everything=True)


async def _sign_in(demo: Demo, customers: InsightsCustomers) -> None:
    """Ada becomes export user: the code of the window goes into Microsoft's page, and the window changes by itself."""
    ada = demo.admin
    demo.tell("Profiles are read in somebody's name: Ada adds herself as export user.")
    await ada.click("Add yourself as export user")
    window = await _screen_with(ada, "Enter the code")
    _show_modal(demo, "Ada's screen", window)
    code = re.search(r"Enter the code \*?`?(\w{9})", window.modal_text)
    assert code, "there is no code in the window"
    demo.stage.print(f"  In her browser Ada enters {code[1]} and signs in as [bold]{customers.account}[/].")
    await customers.enter_code(code[1])
    _show_modal(demo, "Ada's screen", await _screen_with(ada, "who can read profiles"))
    await ada.close()


async def _set_up(demo: Demo) -> None:
    names = list(demo.customers.segments)
    demo.tell(f"Carl, a contributor, types [bold]/ferry export[/] and chooses {', '.join(names)}.")
    carl = demo.contributor
    await carl.command("/ferry export", channel=CHANNEL)
    await _modal_with(carl, "Email field")
    form = await carl.modal()
    await form.fill({"Name": EXPORT, "Segments": names, "Report to channel": CHANNEL})
    demo.mapping = _suggested(await _modal_with(carl, "Add the"))
    await carl.click(_button(await carl.modal(), "Add the"))
    await _modal_with(carl, "←")
    await carl.choose("When it runs", "With each refresh of the workspace")
    demo.stage.print(f"  Mapped as suggested: {', '.join(f'{a} ← {f}' for a, f in demo.mapping.items())}.")
    await (await carl.modal("New export")).submit()
    _show_modal(demo, "Carl's screen", await _screen_with(carl, "is saved"))
    await carl.close(everything=True)


async def _preview(demo: Demo) -> None:
    demo.tell("Before anything is sent, Carl looks at what would be: [bold]/ferry preview[/].")
    carl = demo.contributor
    await carl.command(f"/ferry preview {EXPORT}", channel=CHANNEL)
    _show_modal(demo, "Carl's screen", await _screen_with(carl, "Would be added", WAIT))
    await carl.close(everything=True)


async def _run_by_hand(demo: Demo) -> dict[str, Any]:
    demo.tell(f"Carl types [bold]/ferry run {EXPORT}[/]. The channel watches.")
    await demo.contributor.command(f"/ferry run {EXPORT}", channel=CHANNEL)
    return await _watch_run(demo)


async def _change(demo: Demo) -> None:
    demo.tell("Some days later the data has changed: some customers joined, some left, some have another first name.")
    await demo.customers.change(demo.mapping)


async def _run_by_webhook(demo: Demo) -> dict[str, Any]:
    """Customer Insights has refreshed: a flow in Power Automate calls the webhook, whose token Ada has put into it."""
    demo.tell("Ada makes a token for the refresh webhook: [bold]/ferry refresh[/], then the button.")
    ada = demo.admin
    await ada.command("/ferry refresh", channel=CHANNEL)
    await _modal_with(ada, "The refresh is")
    await ada.click("Refresh webhook")
    await _modal_with(ada, "There is no token yet")
    await ada.click("Make a token")
    path = re.search(r"/hooks/refresh/[\w-]+", await _modal_with(ada, "It is shown only now"))
    assert path, "there is no token in the window"
    await ada.close(everything=True)
    demo.stage.print(
        "  Customer Insights has refreshed its data, and the flow tells Segment Ferry: POST /hooks/refresh/…"
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(demo.hook + path[0])).raise_for_status()
    return await _watch_run(demo)


async def _run_scheduled(demo: Demo) -> dict[str, Any]:
    demo.tell("Ada switches the workspace's refresh on: [bold]/ferry refresh[/].")
    ada = demo.admin
    await ada.command("/ferry refresh", channel=CHANNEL)
    await _modal_with(ada, "The refresh is")
    form = await ada.modal()
    await form.fill({"The refresh is": "On"})
    await form.submit()
    _show_modal(demo, "Ada's screen", await _screen_with(ada, "The refresh runs"))
    await ada.close(everything=True)
    demo.stage.print(
        "  The demo does not wait for that hour: it moves the due time to now. The schedule does the rest."
    )
    await asyncio.to_thread(_make_due, demo.data)
    return await _watch_run(demo)


def _make_due(data: Path) -> None:
    """Let the refresh be due now, as if its hour had come. The bot reads schedules again every so often."""
    with sqlite3.connect(data / "ferry.sqlite3", timeout=30) as database:
        due = datetime.now(UTC).replace(tzinfo=None).isoformat(" ")
        changed = database.execute("UPDATE schedule SET next_due = ? WHERE export_id IS NULL AND active", (due,))
        assert changed.rowcount == 1, "the refresh was not saved"


# --- watching


async def _watch_run(demo: Demo) -> dict[str, Any]:
    """Show the channel as Carl sees it until the report has followed the live message; the run's counts."""
    carl, before = demo.contributor, set(demo.seen)
    with Live(console=demo.stage, transient=True, auto_refresh=False) as live:
        shown = ""
        while True:

            def changed(messages: list[Message], shown: str = shown) -> bool:
                return "\n".join(one.shown for one in _public(messages, before)) != shown

            messages = _public(await carl.wait_for_messages(CHANNEL, changed, WAIT), before)
            shown = "\n".join(one.shown for one in messages)
            if len(messages) >= 2:
                break
            live.update(_panel(f"#{CHANNEL}", "\n".join(_readable(demo, one) for one in messages)))
            live.refresh()
            if not demo.stage.is_terminal and "%" in shown:
                demo.stage.print("  " + next(line for line in shown.splitlines() if "%" in line), style="dim")
    for message in messages:
        demo.seen.add(message.ts)
        _show(demo, f"#{CHANNEL}", _readable(demo, message))
    run = await asyncio.to_thread(_last_run, demo.data)
    assert run["status"] == "done", f"the run ended as {run['status']}"
    return run


def _readable(demo: Demo, message: Message) -> str:
    """A message as it reads on a screen: names for ids, a count beside what it counts, buttons in a row."""
    return _as_read(demo, message.shown, message.buttons)


def _as_read(demo: Demo, shown: str, buttons: Sequence[str]) -> str:
    joined: list[str] = []
    for line in (line for line in shown.splitlines() if line not in buttons):
        if joined and re.fullmatch(r"[\d,.]+", line):
            joined[-1] += f" {line}"
        else:
            joined.append(line)
    text = "\n".join(joined) + ("\n" + "  ".join(f"[ {name} ]" for name in buttons) if buttons else "")
    return re.sub(r"<([@#])(\w+)>", lambda found: found[1] + demo.names.get(found[2], found[2]), text)


def _public(messages: list[Message], before: set[str]) -> list[Message]:
    """What the bot has posted for everyone since: live messages, reports."""
    return [one for one in messages if one.ts not in before and not one.ephemeral and one.thread_ts is None]


def _last_run(data: Path) -> dict[str, Any]:
    """The counts of the newest run, for the JSON result."""
    columns = ("trigger", "status", "profiles", "added", "changed", "removed", "unchanged", "rejected", "in_doubt",
               "batches", "requests")  # fmt: skip
    with contextlib.closing(sqlite3.connect(data / "ferry.sqlite3", timeout=30)) as database:
        row = database.execute(f"SELECT {', '.join(columns)} FROM run ORDER BY id DESC LIMIT 1").fetchone()
    return dict(zip(columns, row, strict=True))


async def _modal_with(person: Person, text: str) -> str:
    """Wait until the open modal says this; all it says."""
    return (await _screen_with(person, text)).modal_text


async def _screen_with(person: Person, text: str, seconds: float = 30) -> Screen:
    return await person.wait_for(lambda one: one.modal is not None and text in one.modal_text, seconds)


def _button(modal: Modal, beginning: str) -> str:
    return next(label for label in modal.labels if label.startswith(beginning))


def _suggested(text: str) -> dict[str, str]:
    """The mapping that the form suggests, read off the screen: attribute → field, the email field among them."""
    line = next(line for line in text.splitlines() if line.startswith("Suggested:"))
    pairs = dict(pair.split(" ← ") for pair in line.removeprefix("Suggested: ").split(", "))
    lines = text.splitlines()
    email = lines[lines.index("Email field") + 2]
    named = {attribute: pairs[label] for attribute, label in MAPPED.items() if label in pairs}
    return {"email": email} | named


def _show(demo: Demo, title: str, text: str) -> None:
    demo.stage.print(_panel(title, text))


def _show_modal(demo: Demo, title: str, screen: Screen) -> None:
    _show(demo, title, _as_read(demo, screen.modal_text, screen.modal_buttons))


def _panel(title: str, text: str) -> Panel:
    return Panel(Text(text.replace("*", "")), title=title, title_align="left", border_style="dim", width=100)


# --- the end


async def _proof(demo: Demo) -> list[Verdict]:
    demo.tell("Is Omnisend as the source says? A query over the source, not the pipeline, answers.")
    async with httpx.AsyncClient(timeout=60) as client:
        lines = (await client.get(f"{demo.omnisend['control']}/contacts")).text.splitlines()
    return await demo.customers.prove(demo.mapping, [json.loads(line) for line in lines])


def _conclude(stage: Console, verdicts: list[Verdict], *, ok: bool, seconds: float) -> None:
    for verdict in verdicts:
        sign = "[green]✓[/]" if verdict.holds else "[red]✗[/]"
        stage.print(f"  {sign} {verdict.segment}: {verdict.found:,} contacts, {verdict.expected:,} expected")
        for line in verdict.wrong[:5]:
            stage.print(f"      {line}", markup=False)
    said = "[bold green]Every contact is as the source says.[/]" if ok else "[bold red]Something differs.[/]"
    stage.print(f"\n{said} The demo took {seconds:.0f} s.")


def _last_lines(path: str, most: int = 20) -> str:
    """The end of the bot's log, for whoever has to find out."""
    if not path or not Path(path).exists():
        return ""
    return "\n".join(Path(path).read_text(errors="replace").splitlines()[-most:])
