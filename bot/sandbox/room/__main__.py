"""`python -m bot.sandbox.room`: the same as `ferry sandbox`."""

import typer

from bot.sandbox.room.command import sandbox

typer.run(sandbox)
