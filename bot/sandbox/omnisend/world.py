"""Everything the emulator holds: brands with their keys, the clock, what is to come, and what was asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.sandbox.omnisend.agenda import Agenda
from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.batches import Batches
from bot.sandbox.omnisend.clock import VirtualClock
from bot.sandbox.omnisend.contacts import Contacts
from bot.sandbox.omnisend.faults import Fault, Faults
from bot.sandbox.omnisend.formats import ContactIds, hex_id, seeded
from bot.sandbox.omnisend.limits import Limiter
from bot.sandbox.omnisend.segments import Segments
from bot.sandbox.omnisend.store import Record
from bot.sandbox.omnisend.tags import Tags

FIRST_VERSION = "2026-03-15"
DEFAULT_BRAND = "Emulated Shop"

SCOPES = frozenset(
    f"{resource}.{action}"
    for resource in ("brands", "contacts", "segments", "products", "events", "categories")
    for action in ("read", "write")
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the emulator was started with."""

    rate_limit: int = 400  # requests a brand may make in 60 virtual seconds; 0 for no limit
    time_scale: float = 1.0  # virtual seconds in a real one
    batch_delay: float | None = None  # virtual seconds; None leaves it to the switch `batch-delay`
    faults: tuple[Fault, ...] = ()
    assumptions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    revoke_after: int | None = None  # requests after which the default key is revoked


@dataclass(slots=True)
class Key:
    """An API key. `requests_left` counts down to its revocation; None for never."""

    secret: str
    brand: "Brand"
    scopes: frozenset[str]
    requests_left: int | None = None
    revoked: bool = False


class Brand:
    """One shop: contacts, segments, batches and rate windows are its own."""

    def __init__(self, name: str, world: "World") -> None:
        dice = seeded(world.settings.seed, f"brand {name}")
        self.name = name
        self.id = hex_id(dice)
        self.limiter = Limiter(world.settings.rate_limit, world.assume)
        self.contacts = Contacts(ContactIds(dice, world.clock.now()), world.assume)
        self.segments = Segments(self.contacts.store, world.assume, world.agenda, dice)
        self.batches = Batches(self.contacts, world.assume, world.faults, world.agenda, dice)
        self.tags = Tags(self.contacts, self.segments, world.assume, world.agenda, dice)

    def segments_of(self, now: float) -> Callable[[Record], list[str]]:
        """For `contact_response`: the ids of the segments that cover a contact at this moment."""

        def segments_of(record: Record) -> list[str]:
            return self.segments.of_contact(record, now)

        return segments_of


class LoggedRequest(NamedTuple):
    """One request to the API; times in seconds since 1970."""

    method: str
    path: str
    status: int | None  # None where the connection was broken
    time: float  # virtual
    real_time: float
    seconds: float  # real, until the answer was ready
    key: str  # its last four characters
    fault: str | None


class World:
    """The state of the emulator. `reset` puts it back to how it was started, keeping the default key."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Drop brands, contacts, batches, segments, windows, the log, and what the controls have set."""
        settings = self.settings
        self.clock = VirtualClock(settings.time_scale)
        self.assume = Assumptions(settings.assumptions, settings.batch_delay)
        self.faults = Faults(settings.seed, list(settings.faults))
        self.agenda = Agenda()
        self.retired: set[str] = set()
        self.log: list[LoggedRequest] = []
        self.brands: dict[str, Brand] = {}
        self.keys: dict[str, Key] = {}
        self._key_dice = seeded(settings.seed, "keys")
        self.default_key = self.add_key(requests_left=settings.revoke_after)

    def catch_up(self) -> float:
        """Do what is due by now; gives the virtual time."""
        now = self.clock.now()
        self.agenda.run_until(now)
        return now

    def brand(self, name: str) -> Brand:
        """The brand of this name, made if need be."""
        if name not in self.brands:
            self.brands[name] = Brand(name, self)
        return self.brands[name]

    def add_key(
        self,
        secret: str | None = None,
        *,
        brand: str = DEFAULT_BRAND,
        scopes: frozenset[str] = SCOPES,
        requests_left: int | None = None,
    ) -> Key:
        """A new key, or an old one put back in force."""
        secret = secret or f"{hex_id(self._key_dice)}-{self._key_dice.getrandbits(192):048x}"
        self.keys[secret] = key = Key(secret, self.brand(brand), scopes, requests_left)
        return key
