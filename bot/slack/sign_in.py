"""The flow of adding an export user: a code in a window that changes by itself, and what came of it.

Waiting for somebody to sign in belongs to no window. If it is closed meanwhile, the person hears in a message; if
nobody signs in, the code's own end is the end of waiting.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from bot.services.export_users import Outcome, SignIn, SignInState
from bot.slack.boundary import guarded
from bot.slack.desk import Desk
from bot.slack.errors import SlackError, ViewChanged, ViewGone
from bot.slack.ids import Action, Modal
from bot.slack.router import Router
from bot.slack.tasks import Tasks
from bot.slack.views import sign_in as views
from bot.slack.views.kit import Json
from bot.slack.views.words import explained
from bot.slack.visit import Visit, read_id

GOODBYE_SECONDS = 2.0  # for telling those who have a code that the bot stops

FormAfter = Callable[[Visit], Awaitable[Json]]
"""The form below, with what has changed since somebody left it to sign in."""


class SigningIn:
    def __init__(self, desk: Desk, router: Router, form_after: FormAfter) -> None:
        self._desk = desk
        self._users = desk.services.export_users
        self._form_after = form_after
        self._tasks = Tasks()
        self._waiting: dict[int, Visit] = {}  # who has a code on the screen, by sign-in
        router.click(Action.ADD_EXPORT_USER, self._add)
        router.click(Action.CHECK_EXPORT_USER, self._check)
        router.click(Action.EXPORT_USER, self._show)
        router.click(Action.USE_APP, self._use_app)
        router.click(Action.SIGN_IN_AGAIN, self._again)

    async def stop(self) -> None:
        """Wait for nobody any more, and say so where a code is still shown."""
        left = list(self._waiting.values())
        await self._tasks.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*map(self._say_goodbye, left))

    async def _say_goodbye(self, visit: Visit) -> None:
        text = visit.t.gettext("The bot is being restarted, so this code is of no use any more.")
        with contextlib.suppress(SlackError):
            await visit.show(views.ended_view(visit.t, text, again="again-"))

    # --- a code

    async def _add(self, visit: Visit) -> None:
        """From the connection's form (no value), or once more in the same window (`again-` and the connection)."""
        if visit.value.startswith("again-"):
            await self._begin(visit, _id(visit.value.removeprefix("again-")))
        else:
            form = visit.view if (visit.view or {}).get("callback_id") == Modal.CONNECT else None
            await visit.open(visit.t.gettext("Add export user"))
            await self._begin(visit, None, form)

    async def _again(self, visit: Visit) -> None:
        """From a message: the connection's id, or `export-N` for that of an export."""
        await visit.open(visit.t.gettext("Sign in again"))
        connection_id = _id(visit.value)
        if visit.value.startswith("export-"):
            view = await self._desk.services.exports.get(
                await visit.actor(), read_id(visit.value.removeprefix("export-"))
            )
            connection_id = view.export.connection_id
        if connection_id is not None:
            await self._begin(visit, connection_id)

    async def _show(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Export user"))
        details = await self._desk.services.connections.details(await visit.actor(), read_id(visit.value))
        offers = self._desk.services.engine.sources.offers
        offered = any(offer.app_identity for offer in offers if offer.kind == details.connection.source)
        user = details.export_user
        reads_as = (user.account or visit.t.gettext("the app of this installation")) if user else ""
        await visit.show(
            views.replace_view(visit.t, read_id(visit.value), details.connection.name, reads_as, app_offered=offered)
        )

    async def _begin(self, visit: Visit, connection_id: int | None, form: Json | None = None) -> None:
        actor = await visit.actor(fresh=True)
        sign_in = await self._users.begin(actor, connection_id)
        self._waiting[sign_in.user_id] = visit
        await visit.show(views.code_view(visit.t, sign_in.code, sign_in.link, sign_in.expires_at, actor.zone))

        async def follow(visit: Visit) -> None:
            await self._follow(visit, sign_in, form)

        self._tasks.spawn(guarded(visit, follow), "sign-in")

    async def _follow(self, visit: Visit, sign_in: SignIn, form: Json | None) -> None:
        try:
            outcome = await self._users.wait(sign_in)
        finally:
            self._waiting.pop(sign_in.user_id, None)
        if outcome.state is SignInState.SIGNED_IN:
            with contextlib.suppress(ViewGone):
                await visit.show(views.checking_view(visit.t))
            actor = await visit.actor(fresh=True)
            outcome = await self._users.complete(actor, outcome.user_id, outcome.connection_id)
        await self._tell(visit, outcome)
        if form is not None and outcome.state is SignInState.SIGNED_IN:
            await self._update_form(visit, form)

    # --- what came of it

    async def _check(self, visit: Visit) -> None:
        """Once more, after somebody has mended what was missing."""
        user_id, _, connection = visit.value.partition("-")
        if visit.view is None:
            await visit.open(visit.t.gettext("Add export user"))
        await visit.show(views.checking_view(visit.t))
        outcome = await self._users.complete(await visit.actor(fresh=True), read_id(user_id), _id(connection))
        await self._tell(visit, outcome)

    async def _use_app(self, visit: Visit) -> None:
        await visit.show(views.checking_view(visit.t))
        actor = await visit.actor(fresh=True)
        await self._tell(visit, await self._users.use_app(actor, read_id(visit.value)))

    async def _tell(self, visit: Visit, outcome: Outcome) -> None:
        """Where the person is: in the window, or in a message if it was closed."""
        t, again = visit.t, f"again-{outcome.connection_id or ''}"
        if outcome.state is SignInState.CANCELLED:  # another code has taken the place of this one
            return
        if outcome.state is not SignInState.SIGNED_IN:
            with contextlib.suppress(ViewGone):  # who has closed the window knows that nothing came of it
                await visit.show(views.ended_view(t, _why(visit, outcome), again=again))
            return
        name = await self._name_of(visit, outcome.connection_id)
        if outcome.problem is None:
            view = views.done_view(t, outcome.account, name)
            message = views.done_message(t, outcome.account, name)
        else:
            check, problem = f"{outcome.user_id}-{outcome.connection_id or ''}", explained(t, outcome.problem)
            view = views.unfit_view(t, outcome.account, problem, check=check, again=again)
            message = views.unfit_message(t, outcome.account, problem, check=check)
        try:
            await visit.show(view)
        except ViewGone:
            await visit.gateway.post(visit.user_id, message)
        self._desk.changed(visit.team_id)

    async def _name_of(self, visit: Visit, connection_id: int | None) -> str:
        if connection_id is None:
            return ""
        return (await self._desk.services.connections.get(await visit.actor(), connection_id)).name

    async def _update_form(self, visit: Visit, form: Json) -> None:
        """The form below shows who has signed in, unless it was closed or has changed meanwhile; saving looks again."""
        with contextlib.suppress(ViewGone, ViewChanged):
            view = await self._form_after(visit)
            await visit.gateway.update_view(form["id"], view, expected=form.get("hash", ""))


def _why(visit: Visit, outcome: Outcome) -> str:
    _ = visit.t.gettext
    if outcome.problem is not None:
        return explained(visit.t, outcome.problem)
    if outcome.state is SignInState.DECLINED:
        return _("The sign-in was declined on Microsoft's page. Nothing was changed.")
    return _("The code was not used in time. Nothing was changed.")


def _id(text: str) -> int | None:
    return int(text) if text.isdigit() else None
