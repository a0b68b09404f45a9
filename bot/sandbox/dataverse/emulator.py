"""The emulator as a whole: its parts, and how they start over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.certificate import Certificates
from bot.sandbox.dataverse.changes import Pending, apply_change
from bot.sandbox.dataverse.clock import Clock
from bot.sandbox.dataverse.directory import Directory
from bot.sandbox.dataverse.entra import Entra
from bot.sandbox.dataverse.faults import Faults, Kind
from bot.sandbox.dataverse.journal import Journal
from bot.sandbox.dataverse.memberships import Memberships
from bot.sandbox.dataverse.metadata import AnyTable
from bot.sandbox.dataverse.population import DEFAULT_SHARES, Population, Share
from bot.sandbox.dataverse.profiles import Profiles
from bot.sandbox.dataverse.segment_metadata import SegmentMetadata
from bot.sandbox.dataverse.throttle import ServiceProtection
from bot.sandbox.dataverse.world import World


@dataclass(frozen=True)
class Config:
    """What the command line says."""

    profiles: int = 20_000
    seed: int = 1
    shares: tuple[Share, ...] = DEFAULT_SHARES
    fault_rates: Mapping[Kind, float] = field(default_factory=dict)
    assumptions: Assumptions = field(default_factory=Assumptions)
    token_seconds: float = 3_599
    time_scale: float = 1
    environments: tuple[str, ...] = ()


class Emulator:
    """One environment of one tenant. `environments` are the addresses that it answers for as a resource."""

    def __init__(self, config: Config, certificates: Certificates) -> None:
        self.config = config
        self._certificates = certificates
        self._population = Population(config.profiles, config.seed, config.shares)
        self._environments = list(config.environments)
        self.reset()

    def answer_at(self, *addresses: str) -> None:
        """Take these addresses too as the environment's."""
        self._environments += addresses

    def reset(self) -> None:
        """Start over: data, people, tokens, faults, switches and time as at the start."""
        config = self.config
        self.clock = Clock(config.time_scale)
        self.assumptions = config.assumptions
        self.directory = Directory(config.seed, self._environments)
        self.entra = Entra(
            self.directory, self.clock, self.assumptions, self._certificates.app_public_key, config.token_seconds
        )
        self.protection = ServiceProtection(self.clock, self.assumptions)
        self.faults = Faults(dict(config.fault_rates), config.seed)
        self.journal = Journal()
        self.world = World(self._population)
        self.pending: list[Pending] = []
        self.assume({})

    def assume(self, settings: Mapping[str, Any]) -> None:
        """Set switches. Raises `ValueError` for one that is unknown or impossible."""
        self.assumptions = self.assumptions.changed(dict(settings))
        self.entra.assumptions = self.assumptions
        self.protection.assumptions = self.assumptions
        self.world.segments_form = self.assumptions.segments_form
        self._tables: list[AnyTable] = [
            Profiles(self.world),
            Memberships(self.world),
            SegmentMetadata(self.world, self.assumptions.metadata_payload),
        ]

    @property
    def tables(self) -> list[AnyTable]:
        """The tables that are there now: none of them without Customer Insights' data sharing."""
        if not self.world.ci_enabled:
            return []
        return [table for table in self._tables if table.elastic or self.assumptions.metadata_table]

    def change(self, change: Mapping[str, Any]) -> list[str]:
        """Change the data now, or with `after_pages` once so many more pages of `table` have been served.

        Returns the ids of the customers touched. Raises `ChangeRefused`.
        """
        if pages := int(change.get("after_pages", 0)):
            self.pending.append(Pending(change, str(change.get("table", Profiles.set_name)), pages))
            return []
        return apply_change(self.world, change)

    def page_served(self, set_name: str, rows: int) -> None:
        self.journal.page(set_name, rows)
        for waiting in [pending for pending in self.pending if pending.table == set_name]:
            waiting.pages -= 1
            if waiting.pages == 0:
                self.pending.remove(waiting)
                apply_change(self.world, waiting.change)
