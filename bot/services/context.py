"""All use cases together, as the face and the command line get them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot.pipeline.engine import Engine
from bot.services.connections import Connections
from bot.services.export_users import ExportUsers
from bot.services.exports import Exports
from bot.services.hooks import Hooks
from bot.services.people import People
from bot.services.requests import Requests
from bot.services.runs import Runs
from bot.services.schedules import Schedules
from bot.settings import Settings
from storage.database import Database
from storage.secrets import Keys


async def _nothing() -> None:
    """Another process runs the schedule: it reads the database again every few seconds."""


@dataclass(frozen=True, slots=True)
class Services:
    database: Database
    keys: Keys
    settings: Settings
    engine: Engine
    people: People
    connections: Connections
    export_users: ExportUsers
    requests: Requests
    exports: Exports
    runs: Runs
    schedules: Schedules
    hooks: Hooks

    @classmethod
    def compose(
        cls,
        database: Database,
        keys: Keys,
        settings: Settings,
        engine: Engine,
        *,
        nudge: Callable[[], None] = lambda: None,
        reload: Callable[[], Awaitable[None]] = _nothing,
    ) -> "Services":
        """`nudge`: the dispatcher's, called when the queue has changed; `reload`: the scheduler's, for schedules."""
        export_users = ExportUsers(database, keys, engine.sources)
        return cls(
            database=database,
            keys=keys,
            settings=settings,
            engine=engine,
            people=People(database),
            connections=Connections(database, keys, engine, export_users, nudge=nudge),
            export_users=export_users,
            requests=Requests(database),
            exports=Exports(database, engine, reload=reload),
            runs=Runs(database, keys, engine, nudge=nudge),
            schedules=Schedules(database, reload=reload),
            hooks=Hooks(database, nudge=nudge),
        )
