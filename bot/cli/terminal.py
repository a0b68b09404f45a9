"""The terminal: where results and complaints go, how settings are read, and how a command ends."""

import asyncio
import contextlib
import getpass
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Coroutine
from io import TextIOWrapper
from typing import Any, NoReturn, TextIO

import structlog
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from bot import logs
from bot.cli.exits import Exit
from bot.cli.words import explained
from bot.pipeline.errors import Unexpected
from bot.settings import Settings
from storage.errors import FerryError

PIPE_WIDTH = 240  # columns of a table that no terminal shows: nothing is cut off

log = structlog.get_logger(__name__)


def _console(stream: TextIO, *, stderr: bool = False) -> Console:
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")  # a name that the terminal can't show must not end a run
    known = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if known else PIPE_WIDTH)


out = _console(sys.stdout)
err = _console(sys.stderr, stderr=True)


def say(text: str, console: Console = out, *, style: str = "") -> None:
    """Print a text as it stands: no markup in it, and lines only broken where a terminal needs it."""
    console.print(text, style=style, markup=False, soft_wrap=not console.is_terminal)


def read_settings() -> Settings:
    """The settings, with logging set up. Ends the program, with what to correct, where one can't be taken."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"][:1]).upper()
            _refuse_setting(name, problem["msg"].removeprefix("Value error, "))
        raise typer.Exit(Exit.USAGE) from None
    except SettingsError as error:  # a list that is no JSON
        found = re.search(r'field "(\w+)"', str(error))
        _refuse_setting(found[1].upper() if found else "", "it should be a list such as [5, 60]")
        raise typer.Exit(Exit.USAGE) from None
    except UnicodeDecodeError:
        say("The file .env is not UTF-8 text: save it as UTF-8.", err, style="red")
        raise typer.Exit(Exit.USAGE) from None
    logs.configure(settings.log_level)
    return settings


def _refuse_setting(name: str, why: str) -> None:
    """The value itself is not shown: it may be a secret."""
    name = f"FERRY_{name.removeprefix('FERRY_')}"
    say(
        f"{name} can't be used: {why}. Nothing was started. Correct it in the environment or in .env.", err, style="red"
    )


def run(work: Coroutine[Any, Any, int | None]) -> NoReturn:
    """Run a command to its end. Errors of ours become their own words; of others the log has more."""
    try:
        status = asyncio.run(work) or 0
    except FerryError as error:
        fail(error)
    except KeyboardInterrupt:
        say("Stopped.", err)
        raise typer.Exit(Exit.CANCELLED) from None
    except BrokenPipeError:
        raise
    except Exception:
        reference = f"F-{secrets.token_hex(3).upper()}"
        log.exception("a command failed unexpectedly", reference=reference)
        fail(Unexpected(reference=reference))
    raise typer.Exit(status)


def stop_when_input_ends() -> None:
    """Let the end of standard input be a SIGTERM. Whatever is read before is thrown away."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=read, name="waiting for the input's end", daemon=True).start()


def fail(error: FerryError) -> NoReturn:
    """Say what is wrong and end with the status of a failure."""
    say(explained(error), err, style="red")
    raise typer.Exit(Exit.FAILED) from None


def ask(question: str, *, secret: bool = False) -> str:
    """What a person types, or a line of piped input; a secret is not shown. Empty where nobody can answer."""
    try:
        if secret and sys.stdin.isatty():
            return getpass.getpass(f"{question}: ")
        err.print(f"{question}: ", end="", markup=False)
        return sys.stdin.readline().strip()
    except EOFError:
        return ""
    except KeyboardInterrupt:
        err.print()
        raise typer.Exit(Exit.CANCELLED) from None
