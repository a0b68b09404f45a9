"""What `ferry` can be asked for."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.admins import admins
from bot.cli.connections import connections
from bot.cli.exports import exports
from bot.cli.terminal import out, read_settings, run, stop_when_input_ends

EPILOG = (
    "Settings come from environment variables or a .env file: FERRY_SOURCE (a folder of tables), FERRY_DATA_DIR, "
    "FERRY_API_KEY (for connection add), FERRY_SLACK_BOT_TOKEN, FERRY_SLACK_APP_TOKEN, FERRY_LOG_LEVEL and more; the "
    "README has them all. Results go to standard output, progress and logs to standard error. Exit status: 0 done, "
    "1 failed, 2 a wrong argument or setting, 3 the guard asks, 130 cancelled."
)

SANDBOX_STATE = Path("data/sandbox")

app = typer.Typer(
    help="Export customer segments to Omnisend.", epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False
)
emulators = typer.Typer(help="Local stand-ins of the services around, for trying and testing.", no_args_is_help=True)
app.add_typer(connections, name="connection")
app.add_typer(exports, name="export")
app.add_typer(emulators, name="emulate")
app.command()(admins)


@app.command()
def serve(
    until_input_ends: Annotated[
        bool,
        typer.Option(
            "--until-input-ends", help="Stop also when standard input ends: with the program that started this one."
        ),
    ] = False,
) -> None:
    """Run the bot: Slack over Socket Mode, schedules, and the exports themselves. Ctrl-C stops it."""
    from bot.app import serve as serve_bot

    if until_input_ends:
        stop_when_input_ends()
    run(serve_bot(read_settings()))


@app.command()
def sandbox(
    source: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|dataverse",
            help="A folder of tables, which is copied, or a stand-in of Dataverse; without it tables are made up.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port on loopback; without it 8642 or any free one.", min=0, max=65_535)
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier sandbox kept.")] = False,
    state: Annotated[Path, typer.Option(help="Folder in which it keeps its state.", file_okay=False)] = SANDBOX_STATE,
    profiles: Annotated[int, typer.Option(help="How many profiles are made up.", min=1)] = 20_000,
) -> None:
    """Try everything in a browser: stand-ins of Slack and Omnisend, and the bot. No account is needed.

    What happened is kept between starts: the workspace, Omnisend's contacts and segments, the source and the bot's
    database. Not kept: open forms, the switches for trouble, and batches that are under way, which are carried out.
    """
    from bot.sandbox.room.command import play
    from bot.sandbox.room.house import Plan

    folder = Path(source).absolute() if source and source != "dataverse" else None
    plan = Plan(state.absolute(), folder, profiles, dataverse=source == "dataverse")
    run(play(plan, port=port, fresh=fresh, open_browser=not no_browser))


@app.command()
def demo(
    source: Annotated[
        str,
        typer.Option(
            help="A folder of tables, or dataverse: Customer Insights as a stand-in. Without it made-up tables."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")] = False,
    assume: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for a switch of the Omnisend stand-in; may be repeated.")
    ] = None,
) -> None:
    """Play the main job through local stand-ins of Slack, Omnisend and Customer Insights, and check the result."""
    from bot.sandbox.demo import play

    options = [part for switch in assume or [] for part in ("--assume", switch)]
    run(play(_demo_source(source), as_json=as_json, omnisend_options=options))


def _demo_source(given: str) -> Path | str | None:
    """What to play on; ends the program for a folder that is not there."""
    if given in ("", "dataverse"):
        return given or None
    if not Path(given).is_dir():
        raise typer.BadParameter(f"{given} is no folder; give one, or dataverse", param_hint="--source")
    return Path(given)


@app.command()
def doctor() -> None:
    """Say what is configured, what can be reached, and what is missing. Exit status 1: something is broken."""
    from bot.cli.doctor import examine

    run(examine(read_settings(), out))


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
