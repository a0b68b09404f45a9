"""The `ferry` command: a thin skin over the services, beside the processes that it starts."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from bot import logs
from bot.cli.exits import Exit
from bot.cli.session import find_connection, parse_line, session
from bot.settings import Settings
from storage.errors import FerryError
from storage.models import id_of

app = typer.Typer(help="Export customer segments to Omnisend.", no_args_is_help=True, pretty_exceptions_enable=False)
connections = typer.Typer(help="Connections: an Omnisend brand, its key, and the consent.", no_args_is_help=True)
exports = typer.Typer(help="Exports: what goes through a connection.", no_args_is_help=True)
emulators = typer.Typer(help="Local stand-ins of the services around, for trying and testing.", no_args_is_help=True)
app.add_typer(connections, name="connection")
app.add_typer(exports, name="export")
app.add_typer(emulators, name="emulate")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run a command to its end; errors of ours become their own words."""
    try:
        raise typer.Exit(asyncio.run(work) or 0)
    except FerryError as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(Exit.FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(Exit.CANCELLED) from None


def _settings(**overrides: Any) -> Settings:
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            err.print(f"FERRY_{name.removeprefix('FERRY_')}: {problem['msg']}", style="red")
        raise typer.Exit(Exit.USAGE) from None
    logs.configure(settings.log_level)
    return settings


# --- processes


@app.command()
def serve() -> None:
    """Run the bot: Slack over Socket Mode, schedules, and the exports themselves."""
    from bot.app import serve as serve_bot

    _run(serve_bot(_settings()))


@app.command()
def demo(
    source: Annotated[Path | None, typer.Option(help="Folder of tables; without it 20,000 made-up profiles.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
    assume: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for a switch of the Omnisend stand-in; may be repeated.")
    ] = None,
) -> None:
    """Play the main job through local stand-ins of Slack and Omnisend, and check the result."""
    from bot.sandbox.demo import play

    options = [part for switch in assume or [] for part in ("--assume", switch)]
    _run(play(source, as_json=as_json, omnisend_options=options))


@app.command()
def doctor() -> None:
    """Say what is configured, what can be reached, and what is missing."""
    from bot.cli.doctor import examine

    _run(examine(_settings(), out))


def _mount_emulators() -> None:
    """Each emulator is its own program; here it gets a name. Imported late: each brings a web server along."""

    def late(module: str, name: str) -> None:
        @emulators.command(
            name,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
            help=f"A stand-in of {name.title()} on this machine (--help shows its options).",
        )
        def start(context: typer.Context) -> None:
            from importlib import import_module

            command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            command.command()(getattr(import_module(f"{module}.command"), name))
            command(context.args, prog_name=f"ferry emulate {name}")

    for name in ("omnisend", "slack", "dataverse"):
        late(f"bot.sandbox.{name}", name)


_mount_emulators()


# --- connections


@connections.command("add")
def add_connection(
    name: Annotated[str, typer.Argument(help="Display name.")],
    agree: Annotated[bool, typer.Option("--agree", help="Agree to the privacy text, which is printed.")] = False,
    everyone: Annotated[bool, typer.Option("--everyone", help="Everyone may use it; otherwise admins only.")] = False,
    full_values: Annotated[
        bool, typer.Option("--full-values-in-slack", help="Show full emails of samples and rejects in Slack.")
    ] = False,
) -> None:
    """Connect an Omnisend brand. The API key comes from FERRY_API_KEY or is asked for."""
    from bot.services.connections import ConnectionDraft
    from bot.services.consent import consent_text
    from storage.models import Audience

    text = consent_text()
    out.print(text, markup=False)
    agreed = agree or typer.confirm("\nI agree", default=False)
    key = os.environ.get("FERRY_API_KEY") or typer.prompt("Omnisend API key", hide_input=True)
    draft = ConnectionDraft(
        name=name,
        api_key=key,
        audience=Audience.EVERYONE if everyone else Audience.ADMINS,
        agreed=agreed,
        full_values_in_slack=full_values,
        text_shown=text,
    )

    settings = _settings()

    async def add() -> None:
        async with session(settings) as (services, actor):
            connection = await services.connections.connect(actor, draft)
            out.print(f"Connected {connection.name} to {connection.brand_name or connection.brand_id}.", markup=False)

    _run(add())


@connections.command("list")
def list_connections() -> None:
    """The connections there are."""

    settings = _settings()

    async def show() -> None:
        async with session(settings) as (services, actor):
            table = Table("Name", "Brand", "Who may use it", "Key", "State")
            for row in await services.connections.visible(actor):
                hint = f"…{row.key_hint}" if row.api_key else "erased"
                table.add_row(row.name, row.brand_name or row.brand_id, row.audience, hint, row.state)
            out.print(table)

    _run(show())


@connections.command("remove")
def remove_connection(name: str) -> None:
    """Remove a connection that no export uses. What was sent stays at Omnisend."""

    settings = _settings()

    async def remove() -> None:
        async with session(settings) as (services, actor):
            connection = await find_connection(services, actor, name)
            await services.connections.remove(actor, id_of(connection))
            out.print(f"Removed {connection.name}.", markup=False)

    _run(remove())


# --- exports


@exports.command("add")
def add_export(
    name: Annotated[str, typer.Argument(help="Name of the export.")],
    connection: Annotated[str, typer.Option(help="Name of the connection.")],
    segment: Annotated[list[str], typer.Option(help="A segment of the source; may be repeated.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="ATTRIBUTE=FIELD or ATTRIBUTE='{Field} text'; may be repeated. Attributes: email, firstName, "
            "lastName, address, country, state, city, postalCode, or custom:NAME. Without any: what is suggested.",
        ),
    ] = None,
    keep_leavers: Annotated[bool, typer.Option(help="Leave contacts that left the segments as they are.")] = False,
    with_refresh: Annotated[bool, typer.Option(help="Run with each refresh of the workspace.")] = False,
    channel: Annotated[str, typer.Option(help="Slack channel id that hears of results.")] = "",
) -> None:
    """Set up an export. Saving never runs it."""
    from bot.services.exports import ExportDraft
    from storage.models import Leavers, When

    settings = _settings()

    async def add() -> None:
        async with session(settings) as (services, actor):
            chosen = await find_connection(services, actor, connection)
            lines = [parse_line(text) for text in mapping or []]
            if not lines:
                suggestions = (await services.exports.choices(actor, id_of(chosen))).suggestions
                lines = [parse_line(f"{attribute}={field}") for attribute, field in suggestions.items()]
            draft = ExportDraft(
                name=name,
                connection_id=id_of(chosen),
                segments=tuple(segment),
                lines=tuple(lines),
                when=When.REFRESH if with_refresh else When.MANUAL,
                channel=channel,
                leavers=Leavers.KEEP if keep_leavers else Leavers.FLAG_FALSE,
            )
            export = await services.exports.save(actor, draft)
            for line in lines:
                out.print(f"  {line.label} ← {line.value}", markup=False)
            out.print(f"Saved {export.name}. It has not run: ferry export run '{export.name}'.", markup=False)

    _run(add())


@exports.command("list")
def list_exports() -> None:
    """The exports there are, with their last runs."""

    settings = _settings()

    async def show() -> None:
        async with session(settings) as (services, actor):
            table = Table("Name", "Connection", "Segments", "Runs", "Last run")
            for view in await services.exports.visible(actor):
                last = view.last_run
                when = f"{last.status}, {last.created_at:%Y-%m-%d %H:%M} UTC" if last else "never"
                segments = ", ".join(segment.name for segment in view.segments)
                table.add_row(
                    view.export.name, view.connection_name or "No connection", segments, view.export.when, when
                )
            out.print(table)

    _run(show())


@exports.command("run")
def run_export(
    name: Annotated[str, typer.Argument(help="Name of the export.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
    accept_guard: Annotated[bool, typer.Option(help="Send even where the guard would ask.")] = False,
    adopt: Annotated[bool, typer.Option(help="First rebuild a lost ledger from Omnisend's segments.")] = False,
    resync: Annotated[bool, typer.Option(help="Send everything again, whatever the ledger says.")] = False,
    retry: Annotated[bool, typer.Option(help="Try rows again that Omnisend rejected before.")] = False,
) -> None:
    """Run an export now. Exit status 3: the guard asks, and nothing was sent."""
    from bot.cli.running import run
    from storage.models import Trigger

    trigger = Trigger.RESYNC if resync else Trigger.RETRY if retry else Trigger.MANUAL

    settings = _settings()

    async def work() -> int:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            if adopt:
                adopted = await services.engine.adopt(id_of(export))
                err.print(f"Took over {adopted} contacts from Omnisend's segments.")
            result = await run(services, actor, export, trigger, accept_guard=accept_guard, console=err)
            if as_json:
                sys.stdout.write(orjson.dumps(result.as_json()).decode() + "\n")
            else:
                result.print(out)
            return result.exit_status

    _run(work())


@exports.command("preview")
def preview_export(name: str) -> None:
    """What a run would do now. Nothing is sent."""
    from bot.cli.running import print_preview

    settings = _settings()

    async def show() -> None:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            print_preview(await services.runs.preview(actor, id_of(export)), out)

    _run(show())


@exports.command("remove")
def remove_export(name: str) -> None:
    """Remove an export and its ledger. What was sent stays at Omnisend."""

    settings = _settings()

    async def remove() -> None:
        async with session(settings) as (services, actor):
            export = await services.exports.find(actor, name)
            await services.exports.remove(actor, id_of(export))
            out.print(f"Removed {export.name}. Its contacts and segments at Omnisend are as they were.", markup=False)

    _run(remove())
