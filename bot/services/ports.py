"""What the use cases need of the engine, so that they can be tried without it."""

from collections.abc import Mapping
from typing import Protocol

from bot.omnisend.models import Brand
from bot.pipeline.preview import Preview
from bot.sources.base import Source


class Sources(Protocol):
    @property
    def sources(self) -> Mapping[str, Source]:
        """The configured sources by kind."""
        ...

    def source(self, kind: str) -> Source:
        """Raises `SourceUnknown`."""
        ...


class Omnisend(Protocol):
    @property
    def sources(self) -> Mapping[str, Source]: ...

    async def check_key(self, key: str) -> Brand:
        """Whose key it is. Raises an `OmnisendError` unless it may read and write contacts."""
        ...


class Previews(Protocol):
    async def preview(self, export_id: int) -> Preview:
        """What a run would do now. Raises a `FerryError`."""
        ...
