"""What the use cases need of the engine, so that they can be tried without it."""

from collections.abc import Sequence
from typing import Protocol

from bot.omnisend.models import Brand
from bot.pipeline.preview import Preview
from bot.pipeline.sources import Offer
from bot.sources.base import Source
from storage.models import Connection


class Offers(Protocol):
    @property
    def offers(self) -> Sequence[Offer]:
        """The configured sources, in the order in which they are offered."""
        ...

    async def forget(self, connection_id: int) -> None:
        """The connection's export user has gone or been replaced."""
        ...


class Reads(Protocol):
    async def source_of(self, connection: Connection) -> Source:
        """The source that a connection reads from. Raises `SourceUnknown`, `NotSignedIn` or `EnvironmentChanged`."""
        ...


class Omnisend(Protocol):
    @property
    def sources(self) -> Offers: ...

    async def check_key(self, key: str) -> Brand:
        """Whose key it is. Raises an `OmnisendError` unless it may read and write contacts."""
        ...


class Looks(Protocol):
    async def preview(self, export_id: int) -> Preview:
        """What a run would do now. Raises a `FerryError`."""
        ...

    async def adopt(self, export_id: int) -> int:
        """Rebuild a lost ledger from the Omnisend segments; the contacts taken over. Raises a `FerryError`."""
        ...
