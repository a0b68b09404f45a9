"""The flow of the refresh webhook: its state, a token that is shown once, and its end."""

from bot.access import Action as Right
from bot.access import require
from bot.slack.desk import Desk
from bot.slack.ids import Action
from bot.slack.router import Router
from bot.slack.views import webhook as views
from bot.slack.views.webhook import Webhook
from bot.slack.visit import Visit


class Hooking:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._hooks = desk.services.hooks
        self._settings = desk.services.settings
        router.click(Action.WEBHOOK, self._show)
        router.click(Action.WEBHOOK_TOKEN, self._make)
        router.click(Action.WEBHOOK_REMOVE, self._remove)

    async def _show(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Refresh webhook"))
        await self._show_state(visit)

    async def _show_state(self, visit: Visit) -> None:
        actor = await visit.actor()
        require(actor, Right.SET_REFRESH)
        state, listening = await self._hooks.find(actor), self._settings.hook_port is not None
        webhook = Webhook(listening)
        if state is not None:
            webhook = Webhook(listening, state.created_by, state.created_at, state.refreshed_at)
        await visit.show(views.webhook_view(visit.t, webhook))

    async def _make(self, visit: Visit) -> None:
        """A first token, or (value `again`) one in the place of the last."""
        actor = await visit.actor(fresh=True)
        made = await (self._hooks.rotate(actor) if visit.value == "again" else self._hooks.issue(actor))
        settings = self._settings
        base = settings.hook_url or f"http://{settings.hook_host}:{settings.hook_port or 'PORT'}"
        await visit.show(views.token_view(visit.t, base + made.path, complete=bool(settings.hook_url)))

    async def _remove(self, visit: Visit) -> None:
        await self._hooks.revoke(await visit.actor(fresh=True))
        await self._show_state(visit)
