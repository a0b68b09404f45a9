"""Every setting with its default and its meaning. Read from the environment and from a `.env` file."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AliasChoices, Field, SecretStr, field_validator
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

    source: str = ""
    """Where profiles come from: a folder of tables, or the URL of a Dataverse environment."""

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
    """How long a run may take before it stops, keeps its state and offers the rest."""

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
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'ferry.sqlite3'}"
