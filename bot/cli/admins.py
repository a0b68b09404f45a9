"""`ferry admins`: who decides in the workspace, and the way back where nobody is left who could say so in Slack."""

from typing import Annotated

import typer

from bot.cli.session import session
from bot.cli.terminal import read_settings, run, say


def admins(
    leave_to_slack: Annotated[
        bool, typer.Option("--leave-to-slack", help="Slack's own admins and owners are the admins again.")
    ] = False,
) -> None:
    """Show who the admins are. Where all of those named by `/ferry admins` have left, `--leave-to-slack` helps."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            if leave_to_slack:
                await services.people.set_admins(actor, None)
            named = await services.people.named_admins(actor.team_id)
            if named is None:
                say("The admins are Slack's own admins and owners.")
            else:
                say(f"The admins are those named in Slack, by user id: {', '.join(named)}.")

    run(work())
