"""Signing in on the command line: the code and the link are printed, and the command waits for the person."""

from bot.cli.terminal import err, say
from bot.cli.words import explained
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.export_users import Outcome
from bot.sources.entra import SignInState
from storage.errors import FerryError, mark


class NotSignedInHere(FerryError):
    code = "sign-in-not-finished"
    what = mark("Nobody has signed in: {why}.")
    consequence = mark("Nothing was saved.")
    remedy = mark("Start the command again for a new code.")


WHY = {
    SignInState.DECLINED: "the sign-in was declined on Microsoft's page",
    SignInState.EXPIRED: "the code was not used in time",
    SignInState.CANCELLED: "somebody began another sign-in",
}


async def sign_in(services: Services, actor: Actor, connection_id: int | None = None) -> Outcome:
    """Have a person sign in as export user, and see that they can read.

    Raises `NotSignedInHere`, or what keeps the account from reading: the connection is as before then.
    """
    begun = await services.export_users.begin(actor, connection_id)
    say("Profiles are read in the name of an account that may see Customer Insights.", err)
    say(f"Open {begun.link} in a browser, enter the code {begun.code}, and sign in.", err, style="bold")
    say(f"The code is good until {begun.expires_at:%H:%M} UTC. Waiting…", err)
    outcome = await services.export_users.wait(begun)
    if outcome.state is SignInState.SIGNED_IN:
        outcome = await services.export_users.complete(actor, outcome.user_id, connection_id)
    if outcome.problem is not None:
        raise outcome.problem
    if not outcome.done:
        raise NotSignedInHere(why=WHY.get(outcome.state, "it failed"))
    say(f"Signed in as {outcome.account}, who can read profiles and segments.", err)
    return outcome


async def finished_before(services: Services, actor: Actor) -> bool:
    """Whether a sign-in of an earlier command waits to be saved and still reads; if not, why is said."""
    if (waiting := await services.export_users.waiting(actor)) is None:
        return False
    try:
        await services.export_users.ready(actor)
    except FerryError as error:
        say(explained(error), err)
        return False
    say(f"{waiting.account} has signed in already.", err)
    return True
