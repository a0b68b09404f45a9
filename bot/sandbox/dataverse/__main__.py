"""`python -m bot.sandbox.dataverse`: the emulator as a process of its own."""

import typer

from bot.sandbox.dataverse.command import dataverse

if __name__ == "__main__":
    typer.run(dataverse)
