"""The flows around runs: start, preview, status, history, cancel, answer, rejects; and pausing or ending an export."""

from collections.abc import Awaitable, Callable, Sequence

from bot.services.actor import Actor
from bot.services.errors import QuestionClosed
from bot.services.masking import mask_email, mask_id, mask_value
from bot.services.overview import ExportView
from bot.slack.desk import Desk
from bot.slack.ids import Action
from bot.slack.router import Router
from bot.slack.views import common, configure, exports, history, kit
from bot.slack.views.common import Choice
from bot.slack.views.exports import ExportLine
from bot.slack.views.preview import Example, PreviewCard, preview
from bot.slack.views.words import explained, mention, reject_reasons
from bot.slack.visit import Flow, Visit, read_id
from storage.models import Run

HISTORY_RUNS = 20


class Operating:
    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._services = desk.services
        clicks: dict[Action, Flow] = {
            Action.RUN: self.run,
            Action.RUN_ALL: self.run_all,
            Action.PREVIEW: self.preview,
            Action.STATUS: self.status,
            Action.EXPORTS: self.exports,
            Action.HISTORY: self.history,
            Action.CANCEL: self.cancel,
            Action.GUARD_SHOW: self._guard_show,
            Action.GUARD_SEND: self._guard_send,
            Action.GUARD_SKIP: self._guard_skip,
            Action.GUARD_ADOPT: self._guard_adopt,
            Action.RETRY: self.retry,
            Action.RESYNC: self.resync,
            Action.REJECTS: self._rejects,
            Action.PAUSE_EXPORT: self.pause,
            Action.RESUME_EXPORT: self.resume,
            Action.DETACH_EXPORT: self.detach,
            Action.REMOVE_EXPORT: self.remove,
            Action.EMPTY_AND_REMOVE: self._empty_and_remove,
        }
        for action, flow in clicks.items():
            router.click(action, flow)

    # --- starting

    async def run(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("Run"))
        actor = await visit.actor(fresh=True)
        run = await self._services.runs.start(actor, read_id(visit.value))
        await self._say_started(visit, actor, run)

    async def retry(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("Run"))
        actor = await visit.actor(fresh=True)
        await self._say_started(visit, actor, await self._services.runs.retry_rejected(actor, read_id(visit.value)))

    async def resync(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("Run"))
        actor = await visit.actor(fresh=True)
        await self._say_started(visit, actor, await self._services.runs.resync(actor, read_id(visit.value)))

    async def _say_started(self, visit: Visit, actor: Actor, run: Run) -> None:
        _ = visit.t.gettext
        view = await self._services.exports.get(actor, run.export_id or 0)
        said = _("*{name}* is on its way.").format(name=kit.safe(run.export_name)) + " "
        if view.export.channel:
            said += _("Progress and result come in <#{channel}>.").format(channel=view.export.channel)
        elif view.export.owner == actor.user_id:
            said += _("The result comes to you in a direct message: this export has no report channel.")
        else:
            said += _("The result comes to the owner: this export has no report channel.")
        await visit.say(common.note(said, [kit.button(_("Status"), Action.STATUS)]), title=_("Run"))
        self._changed(visit)

    async def run_all(self, visit: Visit) -> None:
        _ = visit.t.gettext
        await visit.prepare(_("Run all"))
        started = await self._services.runs.run_all(await visit.actor(fresh=True))
        if started:
            names = visit.t.list([f"*{kit.safe(run.export_name)}*" for run in started[:15]])
            text = visit.t.ngettext("Started: {names}.", "Started {n} exports: {names}.", len(started))
            said = text.format(n=visit.t.number(len(started)), names=names)
        else:
            said = _("Nothing to start: no export with an active schedule can run now. *Run* works on any export.")
        await visit.say(common.note(said, [kit.button(_("Status"), Action.STATUS)]), title=_("Run all"))
        self._changed(visit)

    # --- looking

    async def preview(self, visit: Visit) -> None:
        await visit.open(visit.t.gettext("Preview"))
        await self._show_preview(visit, read_id(visit.value))

    async def _show_preview(self, visit: Visit, export_id: int, *, question: int | None = None) -> None:
        actor = await visit.actor()
        found = await self._services.runs.preview(actor, export_id)
        full = await self._services.runs.may_show_full_values(actor, export_id)
        view = await self._services.exports.get(actor, export_id)
        card = PreviewCard(
            export_id=export_id,
            name=view.export.name,
            added=found.comparison.added,
            changed=found.comparison.changed,
            removed=found.comparison.removed,
            unchanged=found.comparison.unchanged,
            kept=found.comparison.kept,
            rejected=found.comparison.rejected,
            members=found.members,
            examples=[
                Example(
                    customer_id=sample.customer_id if full else mask_id(sample.customer_id),
                    email=sample.email if full else mask_email(sample.email),
                    op=sample.op,
                    values={name: value if full else mask_value(value) for name, value in sample.values.items()},
                    segments=sample.segments,
                    opt_in=sample.opt_in,
                )
                for sample in found.samples
            ],
            findings=[finding.as_dict() for finding in found.findings],
            left_behind=found.left_behind,
            notes=found.notes,
            requests=found.requests,
            seconds=found.seconds,
            may_run=view.may_run,
            may_edit=view.may_edit,
            question=question,
        )
        await visit.show(preview(visit.t, card))

    async def status(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("Status"))
        actor = await visit.actor()
        active = [*await self._services.runs.asking(actor), *await self._services.runs.active(actor)]
        lines = [line_of(view) for view in await self._services.exports.visible(actor)]
        await visit.say(exports.status(visit.t, active, lines, actor.zone), title=visit.t.gettext("Status"))

    async def exports(self, visit: Visit) -> None:
        """Every export with what one may do with it."""
        await visit.prepare(visit.t.gettext("Exports"))
        actor = await visit.actor()
        lines = [line_of(view) for view in await self._services.exports.visible(actor)]
        await visit.say(exports.exports(visit.t, lines, actor.zone), title=visit.t.gettext("Exports"))

    async def history(self, visit: Visit) -> None:
        await visit.prepare(visit.t.gettext("History"))
        actor, export_id = await visit.actor(), read_id(visit.value)
        found = await self._services.runs.history(actor, export_id, HISTORY_RUNS)
        view = await self._services.exports.get(actor, export_id)
        said = history.history(visit.t, view.export.name, export_id, found, actor.zone, may_run=view.may_run)
        await visit.say(said, title=visit.t.gettext("History"))

    # --- while it runs

    async def cancel(self, visit: Visit) -> None:
        actor = await visit.actor(fresh=True)
        run = await self._services.runs.cancel(actor, read_id(visit.value))
        if run.status.active:
            said = visit.t.gettext("*{name}* is being stopped; what Omnisend has accepted stays and is remembered.")
        else:  # it had not begun, or its question was open
            said = visit.t.gettext("*{name}* is cancelled.")
        if visit.message is None or visit.message.get("ts") != run.report_ts:  # the live message shows it by itself
            await visit.prepare(visit.t.gettext("Cancel"))
            await visit.say(common.note(said.format(name=kit.safe(run.export_name))))
        self._changed(visit)

    # --- the guard's question

    async def _guard_show(self, visit: Visit) -> None:
        """What would be sent, with the answers under it."""
        await visit.open(visit.t.gettext("Preview"))
        run = await self._services.runs.get(read_id(visit.value))
        await self._show_preview(visit, run.export_id or 0, question=run.id)

    async def _guard_send(self, visit: Visit) -> None:
        _ = visit.t.gettext
        run = await self._answer(visit, lambda actor, run_id: self._services.runs.answer(actor, run_id, True))
        await self._say_answered(visit, run, _("{person} said: send it."), _("*{name}* goes on."))

    async def _guard_skip(self, visit: Visit) -> None:
        _ = visit.t.gettext
        run = await self._answer(visit, lambda actor, run_id: self._services.runs.answer(actor, run_id, False))
        said = _("*{name}* is skipped; nothing was sent.")
        await self._say_answered(visit, run, _("{person} said: skip this run. Nothing was sent."), said)

    async def _guard_adopt(self, visit: Visit) -> None:
        _ = visit.t.gettext
        run = await self._answer(visit, self._services.runs.adopt)
        said = _("*{name}* takes over who is in its segments at Omnisend, then looks again.")
        await self._say_answered(visit, run, _("{person} said: rebuild its memory from Omnisend first."), said)

    async def _answer(self, visit: Visit, answer: Callable[[Actor, int], Awaitable[Run]]) -> Run | None:
        """None for a question that was no longer open, which is said."""
        _ = visit.t.gettext
        actor = await visit.actor(fresh=True)
        try:
            return await answer(actor, read_id(visit.value))
        except QuestionClosed as error:
            await visit.say(common.note(explained(visit.t, error)), title=_("This has changed"))
            run = await self._services.runs.get(read_id(visit.value))
            await self._condense(run, _("This question is no longer open."))
            return None

    async def _say_answered(self, visit: Visit, run: Run | None, in_channel: str, in_modal: str) -> None:
        if run is None:
            return
        await self._condense(run, in_channel.format(person=mention(visit.user_id)))
        if visit.view is not None:
            await visit.say(common.note(in_modal.format(name=kit.safe(run.export_name))))
        self._changed(visit)

    async def _condense(self, run: Run, text: str) -> None:
        for _, posted in await self._desk.mailbox.posted(run.team_id, f"run-{run.id}-asking-"):
            await self._desk.reports.condense_question(run, posted, text)

    # --- rejects

    async def _rejects(self, visit: Visit) -> None:
        """The list again, to whoever asks and may see it: in private."""
        run = await self._services.runs.get(read_id(visit.value))
        await self._desk.reports.send_rejects(visit.team_id, visit.user_id, run)
        said = visit.t.gettext("The list of rejected rows is in your direct messages with me.")
        await visit.say(common.note(said))

    # --- pausing and ending an export

    async def pause(self, visit: Visit) -> None:
        said = visit.t.gettext("*{name}* is paused: nothing starts it until it is resumed.")
        await self._settle(visit, self._services.exports.pause, said)

    async def resume(self, visit: Visit) -> None:
        await self._settle(visit, self._services.exports.resume, visit.t.gettext("*{name}* is resumed."))

    async def detach(self, visit: Visit) -> None:
        said = visit.t.gettext(
            "*{name}* is detached: it keeps its settings and does not run until it has a connection."
        )
        await self._settle(visit, self._services.exports.detach, said)

    async def _settle(self, visit: Visit, act: Callable[[Actor, int], Awaitable[object]], said: str) -> None:
        await visit.prepare(visit.t.gettext("Export"))
        actor, export_id = await visit.actor(fresh=True), read_id(visit.value)
        await act(actor, export_id)
        view = await self._services.exports.get(actor, export_id)
        await visit.say(common.note(said.format(name=kit.safe(view.export.name))))
        self._changed(visit)

    async def remove(self, visit: Visit) -> None:
        """First the offer to empty its segments, then (value `sure-N`) the deed."""
        if visit.value.startswith("sure-"):
            await self._remove(visit, read_id(visit.value.removeprefix("sure-")))
            return
        await visit.open(visit.t.gettext("Remove export"))
        actor, export_id = await visit.actor(), read_id(visit.value)
        view = await self._services.exports.changeable(actor, export_id)
        may_empty = view.last_run is not None and bool(view.connection_name)
        await visit.show(configure.remove_form(visit.t, export_id, view.export.name, may_empty=may_empty))

    async def _remove(self, visit: Visit, export_id: int) -> None:
        actor = await visit.actor(fresh=True)
        view = await self._services.exports.get(actor, export_id)
        await self._services.exports.remove(actor, export_id)
        said = visit.t.gettext("*{name}* was removed. What Omnisend has received stays there.")
        text = said.format(name=kit.safe(view.export.name))
        await visit.show(common.notice(visit.t, visit.t.gettext("Removed"), text))
        self._changed(visit)

    async def _empty_and_remove(self, visit: Visit) -> None:
        """Start the run that empties its segments; removing it is offered again once that is done."""
        _ = visit.t.gettext
        actor, export_id = await visit.actor(fresh=True), read_id(visit.value)
        run = await self._services.runs.empty(actor, export_id)
        said = _(
            "*{name}* takes everybody out of its segments at Omnisend now, and is paused so that nothing fills them "
            "again. Remove it when the report says that this is done."
        )
        text = said.format(name=kit.safe(run.export_name))
        button = kit.button(_("Remove…"), Action.REMOVE_EXPORT, export_id)
        await visit.show(common.notice(visit.t, _("Emptying"), text, buttons=[button]))
        self._changed(visit)

    # --- choosing where no name was given

    async def offer(self, visit: Visit, action: Action, label: str, question: str, *, editing: bool = False) -> None:
        """The exports that one may run (or edit), each with the button for it."""
        actor = await visit.actor()
        found = [
            view
            for view in await self._services.exports.visible(actor)
            if action is Action.HISTORY or (view.may_edit if editing else view.may_run)
        ]
        await visit.say(self._choices(visit, found, action, label, question, actor.zone))

    async def offer_retry(self, visit: Visit) -> None:
        """The exports of which Omnisend refused rows in the last run, each with the button that tries them again."""
        _ = visit.t.gettext
        actor = await visit.actor()
        choices = [
            Choice(run.id or 0, view.export.name, exports.last_words(visit.t, run, actor.zone))
            for view in await self._services.exports.visible(actor)
            if view.may_run and (run := view.last_run) is not None and reject_reasons(run).get("omnisend")
        ]
        if choices:
            question = _("Of which export shall the rows that Omnisend refused be tried again?")
            await visit.say(common.choose_export(visit.t, question, _("Retry rejected"), Action.RETRY, choices))
            return
        said = _(
            "There is nothing to try again: no export that you may run has rows that Omnisend refused. Rows that are "
            "unfit in the source go with the next run once they are mended there."
        )
        await visit.say(common.note(said, [kit.button(_("Status"), Action.STATUS)]))

    def _choices(
        self, visit: Visit, found: Sequence[ExportView], action: Action, label: str, question: str, zone: str
    ) -> kit.Json:
        _ = visit.t.gettext
        if not found:
            text = _("There is no export that you may do this with yet.")
            return common.note(text, [kit.button(_("New export"), Action.EXPORT), kit.button(_("Help"), Action.HELP)])
        choices = [
            Choice(view.export.id or 0, view.export.name, exports.last_words(visit.t, view.last_run, zone))
            for view in found
        ]
        return common.choose_export(visit.t, question, label, action, choices)

    def _changed(self, visit: Visit) -> None:
        self._desk.changed(visit.team_id)


def line_of(view: ExportView) -> ExportLine:
    return ExportLine(
        id=view.export.id or 0,
        name=view.export.name,
        connection=view.connection_name,
        last=view.last_run,
        next_due=view.next_due,
        paused=view.export.paused,
        may_run=view.may_run,
        may_edit=view.may_edit,
    )
