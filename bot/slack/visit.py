"""One act of a person in Slack (a command, a click, a submitted modal), and the ways to answer it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.i18n import Translator
from bot.services.actor import Actor
from bot.slack.directory import Directory
from bot.slack.errors import SlackError, ViewGone
from bot.slack.form import Form
from bot.slack.gateway import Gateway
from bot.slack.views import common, kit
from bot.slack.views.kit import Json
from storage.errors import FerryError, mark

DEEPEST = 3  # modals on top of each other (Slack docs, Modals)
_ID = re.compile(r"[0-9]{1,18}")  # as the database counts


class OutOfDate(FerryError):
    """A button or window of another version of this program, or one that nobody but us should have filled in."""

    code = "out-of-date"
    what = mark("This has changed since it was shown, and can't be used any more.")
    consequence = mark("Nothing was changed.")
    remedy = mark("Open it again to see how it stands; /ferry shows the way.")


def read_id(text: str) -> int:
    """The id that a button, a menu or a window carries. Raises `OutOfDate`."""
    if not _ID.fullmatch(text):
        raise OutOfDate
    return int(text)


@dataclass(slots=True)
class Visit:
    """Who acted, where, on what; and how to answer there.

    `say` answers where the person is: in the modal that was opened for it, else beside the message or command, else in
    their direct messages. `value` is the opaque id that the used button or menu carried.
    """

    gateway: Gateway
    directory: Directory
    team_id: str
    user_id: str
    trigger_id: str = ""
    channel_id: str = ""
    response_url: str = ""
    value: str = ""
    text: str = ""
    view: Json | None = None
    message: Json | None = None
    selected: Any = None
    """What was chosen in the select that was used: a value, or a list of them."""
    _modal: str = field(default="")
    """Id of the modal in which answers appear."""
    _opened: bool = field(default=False)
    """Whether that modal was opened by this visit."""

    @classmethod
    def of_command(cls, gateway: Gateway, directory: Directory, body: Json) -> "Visit":
        return cls(
            gateway,
            directory,
            body["team_id"],
            body["user_id"],
            trigger_id=body.get("trigger_id", ""),
            channel_id=body.get("channel_id", ""),
            response_url=body.get("response_url", ""),
            text=body.get("text") or "",
        )

    @classmethod
    def of_interaction(cls, gateway: Gateway, directory: Directory, body: Json) -> "Visit":
        """From `block_actions`, `view_submission`, `view_closed` and `block_suggestion` payloads."""
        view = body.get("view")
        action = (body.get("actions") or [{}])[0]
        visit = cls(
            gateway,
            directory,
            (body.get("team") or {}).get("id") or body["user"].get("team_id", ""),
            body["user"]["id"],
            trigger_id=body.get("trigger_id", ""),
            channel_id=(body.get("channel") or {}).get("id", ""),
            response_url=body.get("response_url", ""),
            value=str(action.get("value") or ""),
            text=str(body.get("value") or ""),
            view=view,
            message=body.get("message"),
            selected=_selected(action),
        )
        if view and view.get("type") == "modal":
            visit._modal = view["id"]
        return visit

    @property
    def t(self) -> Translator:
        """Texts in the person's language, as far as it is known yet."""
        return self.directory.translator(self.team_id, self.user_id)

    @property
    def form(self) -> Form:
        return Form(self.view or {})

    @property
    def metadata(self) -> str:
        return str((self.view or {}).get("private_metadata") or "")

    @property
    def in_home(self) -> bool:
        return (self.view or {}).get("type") == "home"

    async def actor(self, *, fresh: bool = False) -> Actor:
        """Who acts, with their rights. `fresh`: as Slack says now; for whatever changes something."""
        return await self.directory.actor(self.team_id, self.user_id, fresh=fresh)

    # --- answering

    async def open(self, title: str) -> None:
        """Show at once that something is coming, in a modal (a trigger lives three seconds); answers appear in it.

        Does nothing if this visit has opened one already.
        """
        if self._opened:
            return
        self._opened = True  # even if it fails: a trigger can be used once
        loading = common.loading(self.t, title)
        if self._modal and self._depth() >= DEEPEST:
            await self.show(loading)
            return
        way = self.gateway.push_view if self._modal else self.gateway.open_view
        self._modal = (await way(self.trigger_id, loading)).id

    def _depth(self) -> int:
        """How many modals lie on top of each other, as far as the payload tells."""
        view = self.view or {}
        if view.get("root_view_id") in (None, view.get("id")):
            return 1
        return 2 if view.get("previous_view_id") == view.get("root_view_id") else DEEPEST

    async def prepare(self, title: str) -> None:
        """Where there is no other place for an answer (Home), open a modal for it."""
        if self.in_home and not self._modal:
            await self.open(title)

    async def show(self, view: Json) -> None:
        """Put a view into the modal of this visit. Raises `ViewGone` if it was closed."""
        if not self._modal:
            raise ViewGone(method="views.update", error="no modal")
        await self.gateway.update_view(self._modal, view)

    async def update_below(self, view: Json) -> None:
        """Change the modal under the one that was submitted."""
        if self.view is not None and (below := self.view.get("previous_view_id") or self.view.get("root_view_id")):
            await self.gateway.update_view(below, view)

    async def say(self, message: Json, *, title: str = "", replace: bool = False) -> None:
        """Answer with a message, for this person alone. `replace`: in place of the message that was used."""
        if self._modal:
            await self.show(common.as_modal(self.t, title or self.t.gettext("Segment Ferry"), message))
        elif self.response_url:
            await self.gateway.respond(self.response_url, message, replace=replace)
        else:
            await self.gateway.post(self.user_id, message)

    async def fail(self, text: str) -> None:
        """Answer with an error, where the person is, without losing what they have typed."""
        for way in (self._fail_in_modal, self._fail_beside, self._fail_directly):
            try:
                if await way(text):
                    return
            except SlackError:
                continue

    async def _fail_in_modal(self, text: str) -> bool:
        if not self._modal:
            return False
        view = common.error_view(self.t, text)
        on_form = self.view is not None and self._modal == self.view.get("id")
        if on_form and self.trigger_id and self.view.get("submit"):  # type: ignore[union-attr]
            try:
                await self.gateway.push_view(self.trigger_id, view)
                return True
            except SlackError:
                pass
        await self.gateway.update_view(self._modal, view)
        return True

    async def _fail_beside(self, text: str) -> bool:
        if self.response_url:
            await self.gateway.respond(self.response_url, common.error_message(self.t, text))
        return bool(self.response_url)

    async def _fail_directly(self, text: str) -> bool:
        if self.in_home and not self._opened:
            await self.gateway.open_view(self.trigger_id, common.error_view(self.t, text))
        else:
            await self.gateway.post(self.user_id, common.error_message(self.t, text))
        return True


Flow = Callable[[Visit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a submitted modal, given within three seconds; `then` is what takes longer."""

    action: Json | None = None
    then: Flow | None = None

    @classmethod
    def close(cls, then: Flow | None = None) -> "Reply":
        """Close this modal; the one below shows again."""
        return cls(None, then)

    @classmethod
    def clear(cls, then: Flow | None = None) -> "Reply":
        return cls({"response_action": "clear"}, then)

    @classmethod
    def refuse(cls, errors: dict[str, str]) -> "Reply":
        """Say at each field what is wrong with it."""
        cut = {block: kit.cut(text, 1_000) for block, text in errors.items()}
        return cls({"response_action": "errors", "errors": cut})

    @classmethod
    def show(cls, view: Json, then: Flow | None = None) -> "Reply":
        return cls({"response_action": "update", "view": view}, then)


def _selected(action: Json) -> Any:
    if option := action.get("selected_option"):
        return option["value"]
    if "selected_options" in action:
        return [option["value"] for option in action["selected_options"]]
    for kind in ("user", "users", "conversation", "conversations", "date", "time"):
        if f"selected_{kind}" in action:
            return action[f"selected_{kind}"]
    return None
