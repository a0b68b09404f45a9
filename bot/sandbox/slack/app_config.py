"""The app as its manifest describes it (Slack docs, App manifest)."""

from dataclasses import dataclass
from pathlib import Path

import orjson

from bot.sandbox.slack.errors import Json

ALL_SCOPES = frozenset(
    {
        "channels:join", "channels:read", "chat:write", "chat:write.public", "commands", "files:read", "files:write",
        "groups:read", "im:read", "im:write", "mpim:read", "mpim:write", "reactions:write", "team:read",
        "usergroups:read", "users:read", "users:read.email",
    }
)  # fmt: skip
DEFAULT_NAME = "ferry"
DEFAULT_EVENTS = frozenset({"app_home_opened"})


@dataclass(slots=True)
class AppConfig:
    """What the app's manifest says, as far as it changes what Slack does."""

    bot_name: str = DEFAULT_NAME
    scopes: frozenset[str] = ALL_SCOPES
    commands: dict[str, Json] | None = None
    """Slash commands by name; None: any command goes to the app."""
    events: frozenset[str] = DEFAULT_EVENTS
    home_enabled: bool = True
    messages_enabled: bool = True

    @classmethod
    def from_manifest(cls, path: Path) -> "AppConfig":
        """Read `manifest.yml` or `manifest.json` (Slack docs, App manifest)."""
        manifest = _parse(path)
        features = manifest.get("features", {})
        home = features.get("app_home", {})
        settings = manifest.get("settings", {})
        name = features.get("bot_user", {}).get("display_name") or manifest.get("display_information", {}).get("name")
        return cls(
            bot_name=str(name or DEFAULT_NAME).lower().replace(" ", "-"),
            scopes=frozenset(manifest.get("oauth_config", {}).get("scopes", {}).get("bot", ())),
            commands={one["command"]: one for one in features.get("slash_commands", ())},
            events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", ())),
            home_enabled=bool(home.get("home_tab_enabled")),
            messages_enabled=bool(home.get("messages_tab_enabled", True)),
        )


def _parse(path: Path) -> Json:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        manifest: Json = orjson.loads(text)
    else:
        try:
            import yaml  # only whoever gives a manifest in YAML needs it
        except ModuleNotFoundError:
            raise SystemExit("To read a manifest in YAML, install PyYAML; one in JSON needs nothing.") from None
        manifest = yaml.safe_load(text)
    return manifest
