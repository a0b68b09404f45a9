"""The report of a run that is over: to its channel, its thread, and in private to those who can mend what failed."""

from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.runs import run_words
from bot.slack.views.words import mention, moment, note_words, status_words
from storage.models import Run, RunStatus

SHOWN_SEGMENTS = 10

_REPEATABLE = (RunStatus.FAILED, RunStatus.STOPPED, RunStatus.CANCELLED)


def finished(t: Translator, run: Run) -> Json:
    """The report of a run that is over, whatever its end: to its channel."""
    _ = t.gettext
    title = _headline(t, run)
    blocks = [kit.section(title)]
    if run.error_text and run.status is not RunStatus.DONE:
        blocks.append(kit.section(safe(run.error_text)))
    if run.status is RunStatus.DONE or run.added or run.changed or run.removed or run.rejected or run.in_doubt:
        blocks.append(kit.fields(*_counts(t, run)))
    blocks += kit.sections("\n".join(_segment(t, segment) for segment in run.segments[:SHOWN_SEGMENTS]))
    blocks += kit.sections("\n".join(advice(t, run)))
    blocks.append(kit.context(_ending(t, run)))
    if run.export_id is not None:
        blocks.append(kit.actions(*_report_buttons(t, run)))
    return kit.message(_plain_report(t, run), blocks)


def _headline(t: Translator, run: Run) -> str:
    _ = t.gettext
    texts = {
        RunStatus.DONE: _("*{name}* is up to date at Omnisend :white_check_mark:"),
        RunStatus.FAILED: _("*{name}* failed :x:"),
        RunStatus.STOPPED: _("*{name}* was stopped by the guard :octagonal_sign:"),
        RunStatus.CANCELLED: _("*{name}* was cancelled :octagonal_sign:"),
        RunStatus.SKIPPED: _("*{name}* was skipped: nothing was sent :fast_forward:"),
    }
    if run.status is RunStatus.DONE and run.in_doubt:
        texts[RunStatus.DONE] = _("*{name}* was sent to Omnisend, which has not confirmed all of it :hourglass:")
    return texts.get(run.status, "*{name}*").format(name=safe(run.export_name))


def _plain_report(t: Translator, run: Run) -> str:
    """One sentence for the notification and for screen readers."""
    _ = t.gettext
    counts = _(
        "{added} added, {changed} changed, {removed} removed, {unchanged} unchanged, {rejected} rejected"
    ).format(
        **{name: t.number(getattr(run, name)) for name in ("added", "changed", "removed", "unchanged", "rejected")}
    )
    if run.in_doubt:
        counts += ", " + _("{n} in doubt").format(n=t.number(run.in_doubt))
    return f"{safe(run.export_name)}: {status_words(t, run.status)}. {counts}."


def _counts(t: Translator, run: Run) -> list[str]:
    _ = t.gettext
    counts = [
        (_("Added"), run.added),
        (_("Changed"), run.changed),
        (_("Removed"), run.removed),
        (_("Unchanged"), run.unchanged),
        (_("Rejected"), run.rejected),
        (_("In doubt"), run.in_doubt),
    ]
    if run.kept:
        counts.append((_("Left the segment, kept"), run.kept))
    return [f"*{label}*\n{t.number(count)}" for label, count in counts]


def _segment(t: Translator, segment: Json) -> str:
    """A segment here and at Omnisend, with Omnisend's own count."""
    _ = t.gettext
    contacts, counted = segment.get("contacts"), segment.get("contacts_count")
    name = safe(segment.get("omnisend_name") or segment["name"])
    here = t.number(segment["members"] if contacts is None else contacts)
    if counted is None:
        there = _("not yet counted")
    elif contacts is not None and counted != contacts:
        there = _("{count} so far, it may still be counting").format(count=t.number(counted))
    else:
        there = t.number(counted)
    return _("Segment *{name}*: {here} contacts here; Omnisend's own count: {there}").format(
        name=name, here=here, there=there
    )


def advice(t: Translator, run: Run) -> list[str]:
    """What follows from the counts: who may be mailed, what to do about rejects and doubts."""
    _ = t.gettext
    texts = []
    if run.added:
        texts.append(
            _(
                "New contacts arrive as *non-subscribed*: Omnisend mails them only once they subscribe. The shop's own "
                "automations may fire for contacts that were touched."
            )
        )
    if run.rejected:
        who = mention(run.started_by) if run.started_by not in ("", "cli") else _("the export's owner")
        texts.append(
            _(
                "The list of rejected rows goes to {who} in private. Mend them in the source; the next run sends them."
            ).format(who=who)
        )
    if run.in_doubt and not run.status.active:
        texts.append(_("What is in doubt is looked up and, if need be, sent again by the next run."))
    return texts


def _ending(t: Translator, run: Run) -> str:
    facts = [run_words(t, run)]
    if run.started_at and run.ended_at:
        took = t.duration((run.ended_at - run.started_at).total_seconds())
        facts.insert(0, t.gettext("took {time}").format(time=took))
    if run.cancel_requested_by:
        facts.append(t.gettext("cancelled by {person}").format(person=mention(run.cancel_requested_by)))
    if run.reference:
        facts.append(t.gettext("reference {code}").format(code=safe(run.reference)))
    return " · ".join(facts)


def _report_buttons(t: Translator, run: Run) -> list[Json]:
    _ = t.gettext
    buttons: list[Json] = []
    if run.status in _REPEATABLE:
        buttons.append(kit.button(_("Run again"), Action.RUN, run.export_id, style="primary"))
    if run.rejected and run.status is RunStatus.DONE:
        buttons += [
            kit.button(_("Rejected rows"), Action.REJECTS, run.id, label=_("Send me the rejected rows in private")),
            kit.button(_("Retry rejected"), Action.RETRY, run.id),
        ]
    if _apart(run):
        ask = kit.confirm(
            _("Send everything again?"),
            _("A full resync sends every contact. People deleted by hand in Omnisend would be created again."),
            _("Full resync"),
            _("No"),
            danger=False,
        )
        buttons.append(kit.button(_("Full resync"), Action.RESYNC, run.export_id, confirm=ask))
    buttons.append(kit.button(_("History"), Action.HISTORY, run.export_id))
    return buttons


def _apart(run: Run) -> bool:
    """Whether Omnisend's count stays apart from ours though nothing was sent that it could still be counting."""
    quiet = run.status is RunStatus.DONE and not (run.added or run.changed or run.removed or run.in_doubt)
    return quiet and any(
        segment.get("contacts_count") is not None and segment["contacts_count"] != segment.get("contacts")
        for segment in run.segments
    )


def details(t: Translator, run: Run) -> Json | None:
    """For the report's thread: what the run noticed. None if nothing."""
    told = [note for note in run.notes if note.get("kind") != "resumed" or not run.findings]
    notes = [words for note in told if (words := note_words(t, note))]
    if not notes:
        return None
    title = t.gettext("Details of this run of {name}").format(name=safe(run.export_name))
    return kit.message(title, [kit.section(kit.cut(kit.bullets(notes), kit.SECTION_TEXT))])


def failed(t: Translator, run: Run, *, sent: bool, next_due: datetime | None = None) -> Json:
    """To the owner and the admins, in private. `sent`: something had gone out before."""
    _ = t.gettext
    said = _headline(t, run)
    sent_words = (
        _("Sent before that: {added} added, {changed} changed, {removed} removed. It is remembered.").format(
            added=t.number(run.added), changed=t.number(run.changed), removed=t.number(run.removed)
        )
        if sent
        else _("Nothing was sent.")
    )
    then = _("The next scheduled run tries again {time}.").format(time=moment(t, next_due, "UTC")) if next_due else ""
    return kit.message(
        f"{safe(run.export_name)}: {status_words(t, run.status)}. {safe(run.error_text or '')}",
        [
            kit.section(said),
            *kit.sections(safe(run.error_text or "")),
            kit.context(" · ".join(text for text in (sent_words, then, _ending(t, run)) if text)),
            *([kit.actions(*_report_buttons(t, run))] if run.export_id is not None else []),
        ],
    )


def rejects_comment(t: Translator, run: Run, *, full: bool) -> str:
    """The words beside the list of rejected rows."""
    text = t.ngettext(
        "{n} profile of *{name}* was rejected; the list says why.",
        "{n} profiles of *{name}* were rejected; the list says why.",
        run.rejected,
    ).format(n=t.number(run.rejected), name=safe(run.export_name))
    masked = "" if full else " " + t.gettext("Email addresses are masked: find the rows by their customer id.")
    return text + masked
