"""What a source of the sandbox is to the page: what it holds, and what a visitor may do to it."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from bot.sandbox.room.bell import Bell

KEPT_CHANGES = 10


@dataclass(frozen=True, slots=True)
class Offer:
    """A change that a visitor may make, and the part of all profiles that it touches (at least one of them)."""

    name: str
    label: str
    meaning: str
    share: float

    def shown(self) -> dict[str, Any]:
        return asdict(self)


class NoSuchChange(ValueError):
    """A change that is not offered."""


class ChangeFailed(Exception):
    """The data could not be changed; says why."""


class ShownSource(Protocol):
    """A source as the page shows it. `bell` rings when `describe` would say something else."""

    @property
    def bell(self) -> Bell: ...

    async def describe(self) -> dict[str, Any]:
        """`profiles`, `segments` (name, members or None with a problem), `offers`, the last `changes` in words.

        Where nothing can be read, `profiles` is None and `problem` says why.
        `sign_in` is there for a source that people sign in to: the codes that wait, and who there is.
        """
        ...

    async def change(self, name: str) -> str:
        """Change the data; what happened, in words. Raises `NoSuchChange` or `ChangeFailed`."""
        ...

    async def sign_in(self, code: str, person: str, action: str) -> None:
        """Answer a sign-in that waits, as that person. Raises `ChangeFailed`, also where nobody signs in."""
        ...
