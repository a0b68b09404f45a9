"""Everything that the Web API, Socket Mode and the control API share."""

import random
import time
from dataclasses import dataclass, field

from bot.sandbox.slack.app_config import AppConfig
from bot.sandbox.slack.calls import Call, summary
from bot.sandbox.slack.clock import Clock
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.events import Events
from bot.sandbox.slack.faults import Faults
from bot.sandbox.slack.forms import Form
from bot.sandbox.slack.journal import Journal
from bot.sandbox.slack.limits import RateLimits
from bot.sandbox.slack.socket_mode import SocketMode
from bot.sandbox.slack.tickets import ResponseUrls, Triggers
from bot.sandbox.slack.views import Views
from bot.sandbox.slack.workspace import Message, Workspace


@dataclass(slots=True)
class Notice:
    """Something that the Slack client told a person by itself: an app that did not answer, an invalid answer."""

    person: str
    channel: str | None
    error: str
    text: str


@dataclass(slots=True)
class Options:
    """How the emulator was started."""

    seed: int = 1
    rate_limits: bool = True
    time_scale: float = 1.0
    trigger_seconds: float = 3.0
    config: AppConfig = field(default_factory=AppConfig)


class Emulator:
    """One workspace with one app. `reset` starts the day anew; tokens, ids and sockets outlive it."""

    url = "http://127.0.0.1"  # until it is served

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock(options.time_scale)
        self.journal = Journal()
        source = random.Random(f"tokens {options.seed}")  # noqa: S311  opens nothing but this emulator
        self.bot_token = f"xoxb-{source.randrange(10**12)}-{source.randrange(10**13)}-{source.getrandbits(96):024x}"
        self.app_token = f"xapp-1-A{source.getrandbits(40):X}-{source.randrange(10**13)}-{source.getrandbits(256):064x}"
        self._build()
        self.events = Events(self)
        self.sockets = SocketMode(self.clock, self.journal, source, self.workspace.app_id)

    def _build(self) -> None:
        options = self.options
        self.config = options.config
        self.scopes = set(options.config.scopes)
        self.source = random.Random(options.seed)  # noqa: S311
        self.workspace = Workspace(self.clock, self.journal, options.seed, options.config.bot_name)
        self.views = Views(self.workspace, self.clock, self.journal, self.source)
        self.triggers = Triggers(self.clock, self.source, options.trigger_seconds)
        self.response_urls = ResponseUrls(self.clock, self.source)
        self.limits = RateLimits(self.clock, enabled=options.rate_limits)
        self.faults = Faults()
        self.calls: list[Call] = []
        self.notices: list[Notice] = []
        self.upload_keys: dict[str, str] = {}
        self.revoked: set[str] = set()
        self.home_enabled = options.config.home_enabled
        self.at_home: set[str] = set()
        """Who looked at the app's Home last, rather than at a channel."""
        self._message_forms: dict[tuple[str, str, str], Form] = {}

    def reset(self) -> None:
        """Forget everything that was said and done."""
        self.events.stop()
        self.clock.reset()
        self._build()
        self.sockets.forget()
        self.journal.record("reset")

    async def stop(self) -> None:
        """End background work and connections."""
        self.events.stop()
        await self.sockets.shut_down()

    def announce(self, url: str) -> Json:
        """What the first line of output says."""
        self.url = url
        return {
            "url": url,
            "api_url": f"{url}/api/",
            "bot_token": self.bot_token,
            "app_token": self.app_token,
            "team_id": self.workspace.team_id,
            "bot_user_id": self.workspace.bot.id,
        }

    def message_form(self, person: str, message: Message) -> Form:
        """What stands in the inputs of a message, for one person."""
        key = (person, message.channel, message.ts)
        form = self._message_forms.get(key, Form()).carried_to(message.all_blocks, message.channel)
        self._message_forms[key] = form
        return form

    def command_response_url(self, person: str, channel: str) -> str:
        """Where the app may answer a command, some times and for a while."""
        return self._response_url("commands", person, channel, None)

    def action_response_url(self, person: str, channel: str, message_ts: str | None = None) -> str:
        """Where the app may answer an action, and replace or delete the message that it was on."""
        return self._response_url("actions", person, channel, message_ts)

    def _response_url(self, kind: str, person: str, channel: str, message_ts: str | None) -> str:
        key = self.response_urls.issue(person, channel, message_ts)
        return f"{self.url}/{kind}/{self.workspace.team_id}/1/{key}"

    def note(self, person: str, error: str, text: str, channel: str | None = None) -> Notice:
        """Tell a person something that the client says by itself."""
        notice = Notice(person, channel, error, text)
        self.notices.append(notice)
        self.journal.record("notice", person=person, error=error)
        return notice

    def log_call(self, method: str, arguments: Json) -> Call:
        call = Call(len(self.calls) + 1, time.time(), method, summary(arguments))
        self.calls.append(call)
        self.journal.record("call", seq=call.seq, method=method)
        return call
