"""Exports and runs in lists: how each stands, in a line or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.runs import Pace, cancel_button, progress, run_words
from bot.slack.views.words import moment, stage_words, status_words
from storage.models import Run, RunStatus


@dataclass(frozen=True, slots=True)
class ExportLine:
    """An export and how it stands, in one line."""

    id: int
    name: str
    connection: str
    last: Run | None = None
    next_due: datetime | None = None
    paused: bool = False
    may_run: bool = False
    may_edit: bool = False


def status(t: Translator, active: Sequence[Run], lines: Sequence[ExportLine], zone: str) -> Json:
    """What runs now, and how every export stands."""
    _ = t.gettext
    blocks: list[Json] = []
    mine = {line.id for line in lines if line.may_run}
    if active:
        blocks.append(kit.section("*" + _("Running now") + "*"))
        for run in active[:10]:
            words = status_words(t, run.status) if run.status is RunStatus.ASKING else stage_words(t, run.stage)
            text = f"*{safe(run.export_name)}* – {words}"
            if run.status.active and (sent := progress(t, run, Pace())):
                text += f"\n{sent}"
            button = run_button(t, run) if run.export_id in mine else None
            blocks.append(kit.section(f"{text}\n{run_words(t, run)}", button, block=f"active-{run.id}"))
    if lines:
        blocks.append(kit.section("*" + _("Exports") + "*"))
        for line in lines[:20]:
            button = kit.button(_("Run"), Action.RUN, line.id, label=_("Run {name}").format(name=line.name))
            startable = line.may_run and line.id not in {run.export_id for run in active if run.status.active}
            blocks.append(
                kit.section(line_words(t, line, zone), button if startable else None, block=f"export-{line.id}")
            )
        if len(lines) > 20:
            blocks.append(kit.context(_("… and {count} more in the app's Home.").format(count=len(lines) - 20)))
    else:
        blocks.append(kit.section(_("There are no exports yet.")))
        blocks.append(kit.actions(kit.button(_("New export"), Action.EXPORT, style="primary")))
    return kit.message(_what_runs(t, active), blocks)


def _what_runs(t: Translator, active: Sequence[Run]) -> str:
    running = sum(run.status.active for run in active)
    asking = len(active) - running
    said = []
    if running or not asking:
        said.append(
            t.ngettext("{n} export is running.", "{n} exports are running.", running).format(n=t.number(running))
            if running
            else t.gettext("Nothing is running.")
        )
    if asking:
        said.append(
            t.ngettext("{n} export waits for an answer.", "{n} exports wait for an answer.", asking).format(
                n=t.number(asking)
            )
        )
    return " ".join(said)


def one(t: Translator, line: ExportLine, zone: str) -> Json:
    """An export that was named without a verb: how it stands, and what one may do with it."""
    _ = t.gettext
    buttons = [kit.button(_("History"), Action.HISTORY, line.id)]
    if line.may_run:
        buttons.insert(0, kit.button(_("Run"), Action.RUN, line.id, label=_("Run {name}").format(name=line.name)))
        buttons.insert(1, kit.button(_("Preview"), Action.PREVIEW, line.id))
    if line.may_edit:
        buttons.append(kit.button(_("Edit…"), Action.EDIT_EXPORT, line.id))
    return kit.message(safe(line.name), [kit.section(line_words(t, line, zone)), kit.actions(*buttons)])


def run_button(t: Translator, run: Run) -> Json | None:
    """What may be done with a run that is not over: answer its question, or cancel it."""
    if run.status is RunStatus.ASKING:
        return kit.button(t.gettext("Answer"), Action.GUARD_SHOW, run.id, style="primary")
    return None if run.cancel_requested_by else cancel_button(t, run, t.gettext("Cancel run"))


def exports(t: Translator, lines: Sequence[ExportLine], zone: str) -> Json:
    """Every export, each with a menu of what one may do with it."""
    _ = t.gettext
    title = t.ngettext("{n} export", "{n} exports", len(lines)).format(n=t.number(len(lines)))
    blocks = [kit.section(f"*{title}*")]
    for line in lines[:40]:
        entries = [kit.option(_("History"), f"{Action.HISTORY}:{line.id}")]
        if line.may_run:
            entries.insert(0, kit.option(_("Run"), f"{Action.RUN}:{line.id}"))
            entries.insert(1, kit.option(_("Preview"), f"{Action.PREVIEW}:{line.id}"))
        if line.may_edit:
            entries.append(kit.option(_("Edit…"), f"{Action.EDIT_EXPORT}:{line.id}"))
            entries.append(kit.option(_("Remove…"), f"{Action.REMOVE_EXPORT}:{line.id}"))
        blocks.append(
            kit.section(line_words(t, line, zone), kit.overflow(Action.MORE, entries), block=f"export-{line.id}")
        )
    if len(lines) > 40:
        blocks.append(kit.context(_("… and {count} more in the app's Home.").format(count=len(lines) - 40)))
    return kit.message(title, [*blocks, kit.actions(kit.button(_("New export"), Action.EXPORT))])


def line_words(t: Translator, line: ExportLine, zone: str) -> str:
    """Name, connection, last and next run, as two lines of mrkdwn."""
    _ = t.gettext
    where = safe(line.connection) if line.connection else _("No connection")
    facts = [last_words(t, line.last, zone)]
    if line.paused:
        facts.append(_("paused"))
    elif line.next_due:
        facts.append(_("next {time}").format(time=moment(t, line.next_due, zone)))
    return f"*{safe(line.name)}* · {where}\n" + " · ".join(facts)


def last_words(t: Translator, run: Run | None, zone: str) -> str:
    """The last run in a few words, with its trigger: never a status of something else."""
    _ = t.gettext
    if run is None:
        return _("never run")
    if run.status.active or run.status is RunStatus.ASKING:
        return status_words(t, run.status)
    when = moment(t, run.ended_at or run.created_at, zone)
    words = _("last run {time}: {status}").format(time=when, status=status_words(t, run.status))
    if run.status is RunStatus.DONE:
        words += " (" + _("+{added} −{removed}").format(added=t.number(run.added), removed=t.number(run.removed)) + ")"
    return words
