"""`ferry connection`: add, list, key, agree, remove."""

import os
from typing import Annotated

import typer
from rich.table import Table

from bot.cli.session import find_connection, session
from bot.cli.sign_in import finished_before, sign_in
from bot.cli.terminal import ask, fail, out, read_settings, run, say
from bot.cli.words import unmarked
from bot.pipeline.insights import Insights
from bot.services.connections import BRAND_UNREADABLE, ConnectionDetails, ConnectionDraft
from bot.services.consent import consent_text
from bot.services.errors import NotAgreed, SourceNotOffered
from bot.settings import Settings
from storage.models import Audience, Connection, id_of

KEY_VARIABLE = "FERRY_API_KEY"
LANGUAGE = "en-US"  # of the privacy text as it is shown here
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the connection.")]
Agree = Annotated[bool, typer.Option("--agree", help="Agree to the privacy text, which is printed.")]
App = Annotated[
    bool, typer.Option("--app-identity", help="Let the app registration read in its own name; nobody signs in.")
]
FullValues = Annotated[
    bool, typer.Option("--full-values-in-slack", help="Show full emails of samples and rejects in Slack.")
]

connections = typer.Typer(help="Connections: an Omnisend brand, its key, and the consent.", no_args_is_help=True)


@connections.command("add")
def add(
    name: Name,
    agree: Agree = False,
    everyone: Annotated[bool, typer.Option("--everyone", help="Everyone may use it; otherwise admins only.")] = False,
    full_values: FullValues = False,
    source: Annotated[
        str, typer.Option(help="tables or dataverse (Customer Insights); without it the first that is configured.")
    ] = "",
    app_identity: App = False,
) -> None:
    """Connect an Omnisend brand. The API key comes from FERRY_API_KEY or is asked for, never from an argument.

    For Customer Insights somebody signs in with a code, unless the app registration reads in its own name.
    """
    settings = read_settings()
    if source and source not in _configured(settings):  # before anybody reads and types
        fail(SourceNotOffered(source=source))
    text = _agreed(agree)
    key = _asked_key()

    async def work() -> None:
        async with session(settings) as (services, actor):
            offers = {offer.kind: offer for offer in services.engine.sources.offers}
            kind = source or next(iter(offers), "tables")
            if (offer := offers.get(kind)) is not None and offer.needs_export_user:
                await services.connections.check_key(actor, key)  # before anybody takes the trouble to sign in
                if not app_identity and not await finished_before(services, actor):
                    await sign_in(services, actor)
            draft = ConnectionDraft(
                name=name,
                api_key=key,
                audience=Audience.EVERYONE if everyone else Audience.ADMINS,
                agreed=True,
                full_values_in_slack=full_values,
                language=LANGUAGE,
                source=kind,
                app_identity=app_identity,
                text_shown=text,
            )
            connection = await services.connections.connect(actor, draft)
            say(f"Connected {connection.name} to {_brand(connection)}.")
            details = await services.connections.details(actor, id_of(connection))
            if not details.brand_readable:
                say(BRAND_UNREADABLE)

    run(work())


@connections.command("list")
def show() -> None:
    """The connections there are."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            found = await services.connections.visible(actor)
            if not found:
                say("There are no connections yet: ferry connection add NAME makes one.")
                return
            table = Table("Name", "Brand", "Who may use it", "Key", "Profiles from", "Read as", "State")
            for row in found:
                details = await services.connections.details(actor, id_of(row))
                origin, reader = details.source or f"{row.source} (not configured)", _reader(details)
                table.add_row(row.name, _brand(row), row.audience, _key(row), origin, reader, row.state)
            out.print(table)

    run(work())


@connections.command("key")
def replace_key(name: Name) -> None:
    """Replace the API key of a connection, as after it was revoked. It comes from FERRY_API_KEY or is asked for."""
    settings = read_settings()
    key = _asked_key()

    async def work() -> None:
        async with session(settings) as (services, actor):
            connection = await find_connection(services, actor, name)
            replaced = await services.connections.replace_key(actor, id_of(connection), key)
            if replaced.same_brand:
                say(f"{connection.name} has a new key of the same brand. Nothing else changes.")
            else:
                say(f"The new key of {connection.name} belongs to another brand: its exports begin anew there.")
            if replaced.consent_needed:
                say(f"Before the next run somebody has to agree again: ferry connection agree '{connection.name}'")

    run(work())


@connections.command("sign-in")
def renew_sign_in(name: Name, app_identity: App = False) -> None:
    """Sign in again, or as somebody else, as the export user of a connection to Customer Insights."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            connection = await find_connection(services, actor, name)
            if app_identity:
                await services.export_users.use_app(actor, id_of(connection))
                say(f"{connection.name} reads profiles in the app's own name now.")
            else:
                outcome = await sign_in(services, actor, id_of(connection))
                say(f"{connection.name} reads profiles as {outcome.account} now.")

    run(work())


@connections.command("agree")
def agree_again(name: Name, agree: Agree = False, full_values: FullValues = False) -> None:
    """Agree to the present privacy text for a connection, as after the text or the brand has changed."""
    settings = read_settings()
    text = _agreed(agree)

    async def work() -> None:
        async with session(settings) as (services, actor):
            connection = await find_connection(services, actor, name)
            await services.connections.agree_again(
                actor, id_of(connection), language=LANGUAGE, text_shown=text, full_values_in_slack=full_values
            )
            say(f"Agreed for {connection.name}: its exports can run.")

    run(work())


@connections.command("remove")
def remove(name: Name) -> None:
    """Remove a connection that no export uses. What was sent stays at Omnisend."""
    settings = read_settings()

    async def work() -> None:
        async with session(settings) as (services, actor):
            connection = await find_connection(services, actor, name)
            await services.connections.remove(actor, id_of(connection))
            say(f"Removed {connection.name} and its key. What was sent stays at Omnisend.")

    run(work())


def _configured(settings: Settings) -> set[str]:
    """The kinds of sources that the settings name."""
    named = {"tables": settings.tables_folder, Insights.kind: settings.environment}
    return {kind for kind, where in named.items() if where}


def _agreed(beforehand: bool) -> str:
    """Show the privacy text and have somebody agree to it; the text as it was shown. Ends the program if not."""
    text = unmarked(consent_text())
    say(f"{text}\n")
    if not (beforehand or ask("I agree (y/n)").casefold() in ("y", "yes")):
        fail(NotAgreed())
    return text


def _asked_key() -> str:
    return os.environ.get(KEY_VARIABLE) or ask("Omnisend API key", secret=True)


def _brand(connection: Connection) -> str:
    return connection.brand_name or f"brand {connection.brand_id}"


def _reader(details: ConnectionDetails) -> str:
    """In whose name profiles are read, where the source wants to know."""
    user = details.export_user
    if user is None:
        return ""
    name = user.account or "the app"
    return f"{name}, until {user.good_until:%Y-%m-%d}" if user.good_until else name


def _key(connection: Connection) -> str:
    """Never more than its last characters."""
    return f"…{connection.key_hint}" if connection.api_key else "erased"
