"""Who there is in the tenant: people, apps, and what each may do in the Dataverse environment."""

import random
from dataclasses import dataclass, field
from uuid import UUID

READABLE = frozenset({"msdynci_customerprofile", "msdynci_segmentmembership", "mscipriv_segmentmetadata"})
"""Tables that the role of a Customer Insights Viewer lets one read."""

GRAPH = "https://graph.microsoft.com"
DOMAIN = "contoso.example"


@dataclass
class Principal:
    """A person, or an app acting for itself (an application user).

    `member`: has an account in the environment. `readable`: tables its roles let it read. `consented`: has agreed (or
    an admin has) that the app acts for it. `needs_interaction`: a silent sign-in is not enough any more.
    """

    id: str
    name: str
    tenant: str
    member: bool = True
    readable: set[str] = field(default_factory=lambda: set(READABLE))
    consented: bool = True
    needs_interaction: bool = False


@dataclass
class Registration:
    """An app registration: public (signs people in by device code) or confidential (proves itself)."""

    client_id: str
    public: bool
    secret: str = ""
    secret_expired: bool = False


@dataclass
class Directory:
    """One tenant. Ids and secrets follow from the seed, so that they are the same at each start."""

    seed: int
    environments: list[str]
    tenant: str = field(init=False)
    organization_id: str = field(init=False)
    business_unit_id: str = field(init=False)
    app_user: Principal = field(init=False)
    app: Registration = field(init=False)
    device_app: Registration = field(init=False)
    people: dict[str, Principal] = field(init=False)

    def __post_init__(self) -> None:
        dice = random.Random(f"directory/{self.seed}")  # noqa: S311 (a sandbox's ids)

        def guid() -> str:
            return str(UUID(int=dice.getrandbits(128), version=4))

        self.tenant, self.organization_id, self.business_unit_id = guid(), guid(), guid()
        self.app_user = Principal(guid(), "# Segment Ferry", self.tenant)
        self.app = Registration(guid(), public=False, secret=f"sandbox~{dice.getrandbits(128):032x}")
        self.device_app = Registration(guid(), public=True)
        names = [f"{name}@{DOMAIN}" for name in ("ada.export", "ben.export")]
        self.people = {name: Principal(guid(), name, self.tenant) for name in names}

    def registration(self, client_id: str) -> Registration | None:
        return next((app for app in (self.app, self.device_app) if app.client_id == client_id), None)

    def find(self, name: str) -> Principal:
        """The person of this sign-in name, or the app's own user for `app`. Raises `KeyError`."""
        return self.app_user if name == "app" else self.people[name]

    def is_environment(self, resource: str) -> bool:
        return resource in self.environments
