"""`python -m bot.sandbox.slack`: run the Slack emulator."""

import typer

from bot.sandbox.slack.command import slack

if __name__ == "__main__":
    typer.run(slack)
