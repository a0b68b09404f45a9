"""`python -m bot.sandbox.omnisend`: the emulator as a process."""

import typer

from bot.sandbox.omnisend.command import omnisend

if __name__ == "__main__":
    typer.run(omnisend)
