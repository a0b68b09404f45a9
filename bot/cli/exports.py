"""`ferry export`: add, list, run, preview, rejects, remove."""

import sys
from codecs import BOM_UTF8
from typing import Annotated

import orjson
import typer
from rich.table import Table

from bot.cli.report import how_to_accept, print_preview, print_report, rejection_reasons
from bot.cli.running import execute
from bot.cli.session import find_connection, parse_line, session
from bot.cli.terminal import err, out, read_settings, run, say
from bot.cli.words import plain
from bot.i18n import translator
from bot.pipeline.mapping import Line
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.exports import ExportDraft
from bot.slack.drafts import Draft
from bot.slack.segments import look_at_segments
from storage.models import Leavers, RunStatus, Trigger, When, id_of

RESYNC_WARNING = (
    "A full resync sends every contact again. Contacts that were deleted by hand in Omnisend would be created again."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the export.")]

exports = typer.Typer(help="Exports: what goes through a connection.", no_args_is_help=True)


@exports.command("add")
def add(
    name: Name,
    connection: Annotated[str, typer.Option(help="Name of the connection.")],
    segment: Annotated[list[str], typer.Option(help="A segment of the source; may be repeated.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="ATTRIBUTE=FIELD, ATTRIBUTE='{Field} text' or ATTRIBUTE='\"constant\"'; may be repeated. Attributes: "
            "email, firstName, lastName, address, country, state, city, postalCode, custom:NAME, or optInStatus with "
            "optInDate (both or neither; without them new contacts arrive as non-subscribed). Without any: what is "
            "suggested.",
        ),
    ] = None,
    keep_leavers: Annotated[
        bool, typer.Option("--keep-leavers", help="Leave contacts that left the segments as they are.")
    ] = False,
    with_refresh: Annotated[
        bool, typer.Option("--with-refresh", help="Run with each refresh of the workspace.")
    ] = False,
    channel: Annotated[str, typer.Option(help="Slack channel id that hears of results.")] = "",
) -> None:
    """Set up an export. Saving never runs it."""
    settings = read_settings()

    async def work() -> None:
        lines = [parse_line(text) for text in mapping or []]
        async with session(settings) as (services, actor):
            chosen = id_of(await find_connection(services, actor, connection))
            draft = ExportDraft(
                name=name,
                connection_id=chosen,
                segments=tuple(segment),
                lines=tuple(lines or await _suggested(services, actor, chosen)),
                when=When.REFRESH if with_refresh else When.MANUAL,
                channel=channel,
                leavers=Leavers.KEEP if keep_leavers else Leavers.FLAG_FALSE,
            )
            export = await services.exports.save(actor, draft)
            for line in draft.lines:
                say(f"  {line.label} ← {line.value}")
            for remark in await services.exports.remarks(actor, id_of(export)):
                say(f"  {plain(remark.explain())}")
            form = Draft("", actor.user_id, id_of(export), connection_id=chosen, segments=segment)
            for warning in await look_at_segments(services, translator(), actor, form):
                say(f"  {plain(warning)}", style="yellow")
            say(f"Saved {export.name}. It has not run: ferry export run '{export.name}'")

    run(work())


async def _suggested(services: Services, actor: Actor, connection_id: int) -> list[Line]:
    suggestions = (await services.exports.choices(actor, connection_id)).suggestions
    return [Line(attribute, field) for attribute, field in suggestions.items()]


@exports.command("list")
def show() -> None:
    """The exports there are, with their last runs."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            views = await services.exports.visible(actor)
            if not views:
                say("There are no exports yet: ferry export add NAME makes one.")
                return
            table = Table("Name", "Connection", "Segments", "Runs", "Last run")
            for view in views:
                last = view.last_run
                when = f"{last.status}, {last.created_at:%Y-%m-%d %H:%M} UTC" if last else "never"
                segments = ", ".join(segment.name for segment in view.segments)
                table.add_row(
                    view.export.name, view.connection_name or "No connection", segments, view.export.when, when
                )
            out.print(table)

    run(work())


@exports.command("run")
def run_export(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
    accept_guard: Annotated[bool, typer.Option("--accept-guard", help="Send even where the guard would ask.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="First rebuild a lost ledger from Omnisend's segments.")
    ] = False,
    resync: Annotated[
        bool,
        typer.Option(
            "--resync",
            help="Send everything again, whatever the ledger says. Contacts deleted by hand in Omnisend would be "
            "created again.",
        ),
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try rows again that Omnisend rejected before.")] = False,
) -> None:
    """Run an export now. Ctrl-C cancels it and keeps what is settled.

    Exit status: 0 done, 1 failed or refused, 3 the guard asks and nothing was sent, 130 cancelled.
    """
    trigger = Trigger.RESYNC if resync else Trigger.RETRY if retry else Trigger.MANUAL
    settings = read_settings()
    if resync:
        say(RESYNC_WARNING, err, style="yellow")

    async def work() -> int:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            if adopt:
                adopted = await services.runs.rebuild_ledger(actor, id_of(export))
                say(f"Took over {adopted:,} contacts from Omnisend's segments.", err)
            result = await execute(services, actor, export, trigger, accept_guard=accept_guard, console=err)
            if as_json:
                sys.stdout.buffer.write(orjson.dumps(result.as_json()) + b"\n")
                if result.run.status is RunStatus.ASKING:
                    say(f"The guard asks; nothing was sent. {how_to_accept(result.run)}", err)
            else:
                print_report(result, await rejection_reasons(services, actor, result.run))
            return result.exit_status

    run(work())


@exports.command("preview")
def preview(name: Name) -> None:
    """What a run would do now. Nothing is sent."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            print_preview(export.name, await services.runs.preview(actor, id_of(export)))

    run(work())


@exports.command("rejects")
def rejects(name: Name) -> None:
    """The rejected rows of the last run as CSV: customer id, masked email, reason."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            runs = await services.runs.history(actor, id_of(export), limit=1)
            if not runs:
                say(f"{export.name} has not run yet.", err)
                return
            table = await services.runs.rejects_csv(actor, id_of(runs[0]))
            sys.stdout.buffer.write(table.removeprefix(BOM_UTF8) if sys.stdout.isatty() else table)

    run(work())


@exports.command("remove")
def remove(name: Name) -> None:
    """Remove an export and its ledger. What was sent stays at Omnisend."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            await services.exports.remove(actor, id_of(export))
            say(f"Removed {export.name}. Its contacts and segments at Omnisend are as they were.")

    run(work())
