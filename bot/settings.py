"""Every setting with its default and its meaning. Read from the environment and from a `.env` file."""

import logging
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in any window of so many seconds; 0 requests means no limit."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate":
        match = re.fullmatch(r"(\d+)/(\d+(?:\.\d+)?)", text.strip())
        if match is None or float(match[2]) <= 0:
            raise ValueError(f"a rate looks like 400/60 (requests/seconds), not {text!r}")
        return cls(int(match[1]), float(match[2]))

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds:g}"


class Settings(BaseSettings):
    """What an installation may set; each field is the variable `FERRY_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="FERRY_", env_file=".env", extra="ignore", populate_by_name=True)

    data_dir: Path = Path("data")
    """Where state is kept: database, key file, and the folder that staging may spill (encrypted) into."""

    database_url: str = ""
    """An SQLAlchemy URL; empty: `ferry.sqlite3` in the data folder."""

    secret_keys: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)
    """Fernet keys, newest first, comma-separated. Empty: a key file in the data folder, made if missing."""

    dataverse_hosts: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Hosts, comma-separated, that an environment may have although they are not Dynamics 365's (an emulator's)."""

    source: str = ""
    """Where profiles come from: a folder of tables, or the address of a Dataverse environment (https://…)."""

    dataverse_url: str = ""
    """The Dataverse environment of Customer Insights, where FERRY_SOURCE is a folder: both are then on offer."""

    dataverse_ca: Path | None = None
    """A certificate to trust for Dataverse and Entra, and no other (an emulator's). Empty: the usual ones."""

    entra_tenant: str = Field(default="", validate_default=True)
    """The Entra tenant of the environment: its id or a domain."""

    entra_client_id: str = Field(default="", validate_default=True)
    """The app registration that people sign in with: public client flows on, Dynamics CRM user_impersonation."""

    entra_app_id: str = ""
    """The app registration that reads in its own name; empty: the same one."""

    entra_app_secret: SecretStr = SecretStr("")
    """Its client secret (the value). With it, or with a certificate, an admin may choose the app as export user."""

    entra_app_certificate: Path | None = None
    """Its certificate instead: a PEM file with the private key (RSA) and the certificate."""

    entra_authority: str = ""
    """Entra's address; empty: that of the environment's cloud (public, US government, China)."""

    refresh_minutes: float = Field(default=90, ge=0)
    """How long a refresh of Customer Insights is taken to run after each refresh time; 0: exports never wait for it."""

    hook_port: int | None = Field(default=None, ge=0, le=65_535)
    """The port of the refresh webhook; empty: there is none. 0 takes any free one."""

    hook_host: str = "127.0.0.1"
    """Where it listens. It speaks plain HTTP: open it to the network only behind a proxy with TLS."""

    hook_url: str = ""
    """The webhook's address as others reach it, such as https://ferry.example.com; shown with its token."""

    omnisend_url: str = "https://api.omnisend.com/api"
    """Base of the Omnisend API; an emulator's in tests and demo."""

    omnisend_rate: Annotated[Rate, NoDecode] = Rate(400, 60)
    """What Omnisend allows a brand, as requests/seconds (Omnisend docs, Rate limits)."""

    omnisend_share: float = Field(default=0.9, gt=0, le=1)
    """The part of that rate which Segment Ferry may use; the rest is for the shop's other apps."""

    slack_bot_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("FERRY_SLACK_BOT_TOKEN", "SLACK_BOT_TOKEN")
    )
    slack_app_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("FERRY_SLACK_APP_TOKEN", "SLACK_APP_TOKEN")
    )
    """The bot's token (`xoxb-`) and the app-level token for Socket Mode (`xapp-`)."""

    slack_url: str = "https://slack.com/api/"
    """Base of the Slack Web API; an emulator's in tests and demo."""

    team_id: str = "T0LOCAL"
    """The workspace that the command line acts for when no Slack workspace has been seen yet."""

    max_profiles: int = Field(default=1_000_000, gt=0)
    """The most profiles one export may have (the product's limit)."""

    run_hours: float = Field(default=4, gt=0)
    """How long a run may take, from its turn at the brand, before it stops, keeps its state and offers the rest."""

    settle_patience: float = Field(default=600, ge=0)
    """Seconds without any batch settling after which a run reports and leaves the rest in doubt."""

    canary_patience: float = Field(default=600, ge=0)
    """Seconds that a run waits for its first batch before it sends the others all the same."""

    drain_patience: float = Field(default=30, ge=0)
    """Seconds that a run waits for batches left open by earlier runs before it works around their contacts."""

    lookup_grace: float = Field(default=90, ge=0)
    """Seconds for which a batch whose answer was lost may still turn up at Omnisend."""

    outage_patience: float = Field(default=900, ge=0)
    """Seconds that a run waits for an Omnisend that can't be reached before it fails; what it sent is kept."""

    sweep_seconds: tuple[float, float] = (5, 60)
    """Shortest and longest pause between two looks at the list of open batches."""

    recount_seconds: tuple[float, ...] = (30, 120, 300, 900, 3_600)
    """Seconds after a run's end at which Omnisend's own counts are asked for again while they lag behind."""

    open_batches: int = Field(default=2_000, gt=0)
    """The most batches of a run that may be under way at Omnisend at once."""

    memory_mb: int = Field(default=128, ge=64)
    """What DuckDB may use for staging before it spills, in megabytes."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING, ERROR or CRITICAL."""

    @field_validator("omnisend_rate", mode="before")
    @classmethod
    def _parse_rate(cls, value: object) -> object:
        return Rate.parse(value) if isinstance(value, str) else value

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return [key.strip() for key in value.split(",") if key.strip()] if isinstance(value, str) else value

    @field_validator("secret_keys")
    @classmethod
    def _check_keys(cls, keys: list[SecretStr]) -> list[SecretStr]:
        for key in keys:
            try:
                Fernet(key.get_secret_value())
            except ValueError:
                raise ValueError(
                    "each key is 32 bytes in URL-safe base64, as Fernet.generate_key() makes them"
                ) from None
        return keys

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        try:
            known = not url or make_url(url).drivername == "sqlite+aiosqlite"
        except ArgumentError:
            known = False
        if not known:
            raise ValueError("it looks like sqlite+aiosqlite:////folder/ferry.sqlite3")
        return url

    @field_validator("dataverse_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return [host.strip().lower() for host in value.split(",") if host.strip()] if isinstance(value, str) else value

    @field_validator("source", "dataverse_url")
    @classmethod
    def _check_environment(cls, url: str, info: ValidationInfo) -> str:
        """Whether the host is one of Dynamics 365 is looked at where the source is opened."""
        url = url.strip()
        if url and (info.field_name == "dataverse_url" or "://" in url) and not re.match(r"https://[^/\s]+", url):
            raise ValueError("an environment's address begins with https://, as in https://contoso.crm4.dynamics.com")
        if info.field_name == "dataverse_url" and url and "://" in info.data.get("source", ""):
            raise ValueError("FERRY_SOURCE names an environment already; there can be one")
        return url

    @field_validator("entra_tenant", "entra_client_id")
    @classmethod
    def _check_sign_in(cls, value: str, info: ValidationInfo) -> str:
        """An environment can't be read without these; a field that failed by itself says so alone."""
        named = "://" in info.data.get("source", "") or info.data.get("dataverse_url")
        if named and not value.strip():
            raise ValueError("a Dataverse environment is configured, and nobody can sign in to it without this")
        if "/" in value:
            raise ValueError("it is an id such as 72f988bf-86f1-41af-91ab-2d7cd011db47, or a domain for the tenant")
        return value.strip()

    @field_validator("dataverse_ca", "entra_app_certificate", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("dataverse_ca", "entra_app_certificate")
    @classmethod
    def _check_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("there is no such file")
        return path

    @field_validator("dataverse_ca")
    @classmethod
    def _check_certificate(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.create_default_context(cafile=path)
            except OSError:  # also SSLError
                raise ValueError("it is no PEM file with a certificate that can be read") from None
        return path

    @field_validator("hook_port", mode="before")
    @classmethod
    def _no_port(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("entra_authority", "hook_url")
    @classmethod
    def _check_optional_address(cls, url: str, info: ValidationInfo) -> str:
        if url and not re.match(
            r"https://[^/\s]+" if info.field_name == "entra_authority" else r"https?://[^/\s]+", url
        ):
            raise ValueError("a web address begins with https://")
        return url.rstrip("/")

    @field_validator("omnisend_url", "slack_url")
    @classmethod
    def _check_web_address(cls, url: str) -> str:
        if not re.match(r"https?://[^/\s]+", url):
            raise ValueError("a web address begins with https://")
        return url

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        if level.upper() not in logging.getLevelNamesMapping():
            raise ValueError("choose DEBUG, INFO, WARNING, ERROR or CRITICAL")
        return level.upper()

    @property
    def tables_folder(self) -> Path | None:
        """The folder of tables; None where there is none."""
        return Path(self.source) if self.source and "://" not in self.source else None

    @property
    def environment(self) -> str:
        """The address of the Dataverse environment as it was given; empty where there is none."""
        return self.dataverse_url or (self.source if "://" in self.source else "")

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'ferry.sqlite3'}"
