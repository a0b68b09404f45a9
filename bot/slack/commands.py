"""`/ferry` and its verbs: each leads to the flow that the button of the same meaning leads to."""

from bot.access import Action as Right
from bot.access import allowed
from bot.services.errors import ExportUnknown
from bot.slack.approve import Approving
from bot.slack.configure import Configuring
from bot.slack.connect import Connecting
from bot.slack.desk import Desk
from bot.slack.ids import Action
from bot.slack.operate import Operating, line_of
from bot.slack.parse import Request, Verb, parse
from bot.slack.router import Router
from bot.slack.views import common, exports
from bot.slack.visit import Flow, Visit, read_id
from bot.slack.workspace import Settling
from storage.models import ConnectionState

_IN_MODAL = (Verb.PREVIEW, Verb.EDIT, Verb.DUPLICATE, Verb.REMOVE)


class Commands:
    def __init__(
        self,
        desk: Desk,
        router: Router,
        *,
        connecting: Connecting,
        approving: Approving,
        configuring: Configuring,
        operating: Operating,
        settling: Settling,
    ) -> None:
        self._desk = desk
        self._services = desk.services
        self._configuring = configuring
        self._operating = operating
        self._flows: dict[Verb, Flow] = {
            Verb.HELP: self.help,
            Verb.CONNECT: connecting.open,
            Verb.CONNECTIONS: connecting.show_all,
            Verb.WITHDRAW: connecting.show_all,
            Verb.REQUEST: approving.ask,
            Verb.EXPORTS: operating.exports,
            Verb.RUN_ALL: operating.run_all,
            Verb.STATUS: operating.status,
            Verb.REFRESH: settling.refresh,
            Verb.ADMINS: settling.admins,
        }
        # Verbs that act on one export: the flow, the button it has where no name was given, and whether it edits.
        self._on_export: dict[Verb, tuple[Flow, Action, bool]] = {
            Verb.RUN: (operating.run, Action.RUN, False),
            Verb.PREVIEW: (operating.preview, Action.PREVIEW, False),
            Verb.HISTORY: (operating.history, Action.HISTORY, False),
            Verb.RESYNC: (operating.resync, Action.RESYNC, False),
            Verb.CANCEL: (self._cancel, Action.CANCEL, False),
            Verb.RETRY: (self._retry, Action.RETRY, False),
            Verb.EDIT: (configuring.edit, Action.EDIT_EXPORT, True),
            Verb.DUPLICATE: (configuring.duplicate, Action.DUPLICATE_EXPORT, True),
            Verb.PAUSE: (operating.pause, Action.PAUSE_EXPORT, True),
            Verb.RESUME: (operating.resume, Action.RESUME_EXPORT, True),
            Verb.DETACH: (operating.detach, Action.DETACH_EXPORT, True),
            Verb.REMOVE: (operating.remove, Action.REMOVE_EXPORT, True),
        }
        router.command(self.typed)
        router.click(Action.HELP, self.help)

    async def typed(self, visit: Visit) -> None:
        request = parse(visit.text)
        if request.verb is None:
            await self._unknown(visit, request)
        elif request.verb is Verb.EXPORT:
            await self._export(visit, request.rest)
        elif request.verb in self._flows:
            await self._flows[request.verb](visit)
        else:
            await self._act_on_export(visit, request)

    async def _unknown(self, visit: Visit, request: Request) -> None:
        """No verb: perhaps the name of an export alone, else the verb that was nearly typed."""
        actor = await visit.actor()
        try:
            export = await self._services.exports.find(actor, visit.text)
        except ExportUnknown:
            await visit.say(common.unknown_command(visit.t, visit.text, request.near, request.rest))
            return
        view = await self._services.exports.get(actor, export.id or 0)
        await visit.say(exports.one(visit.t, line_of(view), actor.zone))

    async def _export(self, visit: Visit, name: str) -> None:
        """`/ferry export [NAME]`: a new one, or the one that has this name already."""
        if not name:
            await self._configuring.new(visit)
            return
        await visit.open(visit.t.gettext("Export"))
        try:
            export = await self._services.exports.find(await visit.actor(), name)
        except ExportUnknown:
            await self._configuring.new(visit, name)
        else:
            visit.value = str(export.id)
            await self._configuring.edit(visit)

    async def _act_on_export(self, visit: Visit, request: Request) -> None:
        assert request.verb is not None
        flow, action, editing = self._on_export[request.verb]
        if not request.rest and request.verb not in (Verb.CANCEL, Verb.RETRY):
            await self._offer(visit, request.verb, action, editing=editing)
            return
        if request.verb in _IN_MODAL:  # a trigger lives three seconds: the search comes after
            await visit.open(visit.t.gettext("Segment Ferry"))
        if request.rest:
            export = await self._services.exports.find(await visit.actor(), request.rest)
            visit.value = str(export.id)
        await flow(visit)

    async def _offer(self, visit: Visit, verb: Verb, action: Action, *, editing: bool) -> None:
        _ = visit.t.gettext
        words = {
            Verb.RUN: (_("Run"), _("Which export shall run?")),
            Verb.PREVIEW: (_("Preview"), _("Which export do you want to look at? Nothing is sent.")),
            Verb.HISTORY: (_("History"), _("The history of which export?")),
            Verb.RESYNC: (_("Full resync"), _("Which export shall send everything again?")),
            Verb.EDIT: (_("Edit"), _("Which export do you want to change?")),
            Verb.DUPLICATE: (_("Duplicate"), _("Which export do you want to copy?")),
            Verb.PAUSE: (_("Pause"), _("Which export shall pause?")),
            Verb.RESUME: (_("Resume"), _("Which export shall go on?")),
            Verb.DETACH: (_("Detach"), _("Which export shall lose its connection? Its settings are kept.")),
            Verb.REMOVE: (_("Remove…"), _("Which export do you want to remove?")),
        }
        label, question = words[verb]
        await self._operating.offer(visit, action, label, question, editing=editing)

    async def help(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("Help"))
        actor = await visit.actor()
        usable = await self._services.connections.visible(actor)
        has_connection = any(each.state is ConnectionState.ACTIVE for each in usable)
        may_connect = allowed(actor, Right.ADD_CONNECTION)
        said = common.help_message(visit.t, is_admin=may_connect, has_connection=has_connection)
        await visit.say(said, title=visit.t.gettext("Help"))

    async def _cancel(self, visit: Visit) -> None:
        """`/ferry cancel [NAME]`: the run of that export, or the only one that is under way."""
        actor = await visit.actor()
        active = [*await self._services.runs.active(actor), *await self._services.runs.asking(actor)]
        wanted = [run for run in active if not visit.value or str(run.export_id) == visit.value]
        if len(wanted) == 1:
            visit.value = str(wanted[0].id)
            await self._operating.cancel(visit)
        else:
            await self._operating.status(visit)

    async def _retry(self, visit: Visit) -> None:
        """`/ferry retry [NAME]`: the rejected rows of its last run; without a name, whatever can be tried again."""
        if not visit.value:
            await self._operating.offer_retry(visit)
            return
        runs = await self._services.runs.history(await visit.actor(), read_id(visit.value), 1)
        if not runs:
            await visit.say(common.note(visit.t.gettext("This export has not run yet, so nothing was rejected.")))
            return
        visit.value = str(runs[0].id)
        await self._operating.retry(visit)
