"""What the commands share: the services, as whom they act, and what people write as arguments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlmodel import select

from bot.app import App, build
from bot.pipeline.mapping import Line
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.errors import ConnectionMissing
from bot.settings import Settings
from storage.errors import FerryError, mark
from storage.models import Connection, MappingKind, Workspace


class BadMapping(FerryError):
    code = "bad-mapping"
    what = mark("{text} is no mapping.")
    consequence = mark("Nothing was saved.")
    remedy = mark("Write ATTRIBUTE=FIELD, for example email=Email, or custom:Name='{{First}} {{Last}}'.")


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
    """Raises `ConnectionMissing`."""
    for connection in await services.connections.visible(actor):
        if connection.name.casefold() == name.strip().casefold():
            return connection
    raise ConnectionMissing(name=name)


def parse_line(text: str) -> Line:
    """`ATTRIBUTE=FIELD`, or a template where braces stand on the right. Raises `BadMapping`."""
    attribute, separator, value = text.partition("=")
    if not separator or not attribute.strip() or not value.strip():
        raise BadMapping(text=text)
    kind = MappingKind.TEMPLATE if "{" in value or "}" in value else MappingKind.FIELD
    return Line(attribute.strip(), value if kind is MappingKind.TEMPLATE else value.strip(), kind)
