"""What the commands share: the services, as whom they act, and what people write as arguments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlmodel import select

from bot.app import App, build
from bot.pipeline.mapping import Line
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.names import fold
from bot.settings import Settings
from storage.errors import FerryError, mark
from storage.models import Connection, MappingKind, Workspace


class BadMapping(FerryError):
    code = "bad-mapping"
    what = mark("{text} is no mapping.")
    consequence = mark("Nothing was saved.")
    remedy = mark("Write ATTRIBUTE=FIELD, for example email=Email, or custom:Name='{{First}} {{Last}}'.")


class NoSuchConnection(FerryError):
    code = "no-such-connection"
    what = mark("There is no connection named *{name}*.")
    consequence = mark("Nothing was changed.")
    remedy = mark("ferry connection list shows those that there are; ferry connection add makes one.")


@asynccontextmanager
async def session(settings: Settings) -> AsyncIterator[tuple[Services, Actor]]:
    """The services, and an actor who may do everything: whoever reads the data folder holds its keys."""
    async with build(settings) as app:
        yield app.services, Actor.command_line(await _team(app))


async def _team(app: App) -> str:
    """The one workspace that the bot has met; without any, or with several, the one that the settings name."""
    async with app.database.read() as database:
        teams = (await database.exec(select(Workspace.team_id))).all()
    return teams[0] if len(teams) == 1 else app.settings.team_id


async def find_connection(services: Services, actor: Actor, name: str) -> Connection:
    """The connection of that name, whatever its case, blanks and quotes. Raises `NoSuchConnection`."""
    for connection in await services.connections.visible(actor):
        if fold(connection.name) == fold(name):
            return connection
    raise NoSuchConnection(name=name)


def parse_line(text: str) -> Line:
    """`ATTRIBUTE=FIELD`, a template if the right has braces, a constant if it has double quotes around it.

    Raises `BadMapping`.
    """
    attribute, separator, value = (part.strip() for part in text.partition("="))
    if not separator or not attribute or not value:
        raise BadMapping(text=text)
    if len(value) > 2 and value[0] == value[-1] == '"':
        return Line(attribute, value[1:-1], MappingKind.TEMPLATE)
    return Line(attribute, value, MappingKind.TEMPLATE if {*"{}"} & {*value} else MappingKind.FIELD)
