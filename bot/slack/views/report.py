"""The report of a run that is over: to its channel, its thread, and in private to those who can mend what failed."""

from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.runs import run_words
from bot.slack.views.sign_in import SIGNED_OUT, sign_in_again
from bot.slack.views.words import (
    mender_words,
    mention,
    moment,
    new_contacts_words,
    note_words,
    reject_reasons,
    rejects_words,
    status_words,
)
from storage.models import Run, RunStatus

SHOWN_SEGMENTS = 10
OMNISEND_APP = "https://app.omnisend.com"

_REPEATABLE = (RunStatus.FAILED, RunStatus.STOPPED, RunStatus.CANCELLED)


def finished(t: Translator, run: Run, *, next_due: datetime | None = None) -> Json:
    """The report of a run that is over, whatever its end: to its channel. `next_due`: when a schedule tries again."""
    blocks = [kit.section(_headline(t, run))]
    if run.status not in (RunStatus.DONE, RunStatus.SKIPPED):
        blocks += kit.sections(safe(run.error_text or ""))
        blocks.append(kit.section(aftermath(t, run, next_due)))
    if run.status is RunStatus.DONE or has_sent(run) or run.rejected:
        blocks.append(kit.fields(*_counts(t, run)))
    blocks += kit.sections("\n".join(_segment(t, run, segment) for segment in run.segments[:SHOWN_SEGMENTS]))
    blocks += kit.sections("\n".join(advice(t, run)))
    blocks.append(kit.context(_ending(t, run)))
    if run.export_id is not None:
        blocks.append(kit.actions(*_report_buttons(t, run)))
    return kit.message(_plain_report(t, run), blocks)


def has_sent(run: Run) -> bool:
    """Whether anything of a run reached Omnisend, or may have."""
    return bool(run.added or run.changed or run.removed or run.in_doubt)


def aftermath(t: Translator, run: Run, next_due: datetime | None) -> str:
    """Of a run that did not end well: what was sent, what happens next, and who can mend it."""
    _ = t.gettext
    if has_sent(run):
        said = [
            _("Sent before that: {added} added, {changed} changed, {removed} removed. It is remembered.").format(
                added=t.number(run.added), changed=t.number(run.changed), removed=t.number(run.removed)
            )
        ]
    else:
        said = [_("Nothing was sent.")]
    if next_due is not None:
        said.append(_("The next scheduled run tries again {time}.").format(time=moment(t, next_due, "UTC")))
    elif run.status is not RunStatus.CANCELLED:
        said.append(_("No schedule tries it again: *Run again* does, once it is mended."))
    if run.status is not RunStatus.CANCELLED:
        said.append(mender_words(t, run.error_code or ""))
    return " ".join(said)


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


def _segment(t: Translator, run: Run, segment: Json) -> str:
    """A segment here and at Omnisend, with Omnisend's own count. Nothing documents the address of its page there."""
    contacts = segment.get("contacts")
    name = safe(segment.get("omnisend_name") or segment["name"])
    here = segment["members"] if contacts is None else contacts
    return t.ngettext(
        "Segment <{omnisend}|{name}>: {here} contact here; Omnisend's own count: {there}",
        "Segment <{omnisend}|{name}>: {here} contacts here; Omnisend's own count: {there}",
        here,
    ).format(omnisend=OMNISEND_APP, name=name, here=t.number(here), there=_count_there(t, run, segment))


def _count_there(t: Translator, run: Run, segment: Json) -> str:
    _ = t.gettext
    counted, final = segment.get("contacts_count"), segment.get("final", False)
    if counted is None:
        return _("not known") if final else _("not yet counted")
    number = t.number(counted)
    if run.status is not RunStatus.DONE or _explained(run, segment):
        return number
    if final:
        return _("*{count}*, and it stays apart").format(count=number)
    return _("not yet counted ({count} so far)").format(count=number)


def _explained(run: Run, segment: Json) -> bool:
    """Whether the counts are equal, but for leavers that are kept and contacts that Omnisend has not taken."""
    contacts, counted = segment.get("contacts"), segment.get("contacts_count")
    if contacts is None or counted is None:
        return True
    missing = reject_reasons(run).get("omnisend", 0) + run.in_doubt
    return bool(contacts - missing <= counted <= contacts + run.kept + run.in_doubt)


def apart(run: Run) -> list[Json]:
    """The segments of a run whose count at Omnisend stays apart from ours, though it had time to follow."""
    if run.status is not RunStatus.DONE:
        return []
    return [segment for segment in run.segments if segment.get("final") and not _explained(run, segment)]


def advice(t: Translator, run: Run) -> list[str]:
    """What follows from the counts: who may be mailed, what to do about rejects and doubts."""
    _ = t.gettext
    texts = []
    if run.added:
        texts.append(new_contacts_words(t, run.notes))
    if run.rejected:
        texts.append(_about_rejects(t, run))
    if run.in_doubt and not run.status.active:
        texts.append(_("What is in doubt is looked up and, if need be, sent again by the next run."))
    if apart(run):
        texts.append(
            _(
                "Omnisend's count stays apart from ours: somebody may have changed the segment's rule there, or "
                "deleted contacts by hand. *Full resync* sends everybody again."
            )
        )
    return texts


def _about_rejects(t: Translator, run: Run) -> str:
    _ = t.gettext
    reasons, said = reject_reasons(run), []
    if reasons:
        said.append(_("Rejected: {reasons}.").format(reasons=rejects_words(t, reasons)))
    if run.status is RunStatus.DONE:
        who = mention(run.started_by) if run.started_by not in ("", "cli") else _("the export's owner")
        said.append(_("The list of rejected rows goes to {who} in private.").format(who=who))
    if set(reasons) != {"omnisend"}:
        said.append(_("Mend them in the source; the next run sends them."))
    if "omnisend" in reasons:
        said.append(
            _("What Omnisend refused is skipped until it changes in the source; *Retry rejected* tries it again now.")
        )
    return " ".join(said)


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
    signed_out = run.error_code in SIGNED_OUT
    if signed_out:
        buttons.append(sign_in_again(t, f"export-{run.export_id}"))
    if run.status in _REPEATABLE:
        style = None if signed_out else "primary"
        buttons.append(kit.button(_("Run again"), Action.RUN, run.export_id, style=style))
    if run.rejected:
        buttons.append(
            kit.button(_("Rejected rows"), Action.REJECTS, run.id, label=_("Send me the rejected rows in private"))
        )
    if reject_reasons(run).get("omnisend"):
        buttons.append(kit.button(_("Retry rejected"), Action.RETRY, run.id))
    if apart(run):
        buttons.append(resync_button(t, run.export_id))
    buttons.append(kit.button(_("History"), Action.HISTORY, run.export_id))
    return buttons


def resync_button(t: Translator, export_id: int | None) -> Json:
    """Asks first: a full resync undoes what people have deleted by hand."""
    _ = t.gettext
    ask = kit.confirm(
        _("Send everything again?"),
        _("A full resync sends every contact. People deleted by hand in Omnisend would be created again."),
        _("Full resync"),
        _("No"),
        danger=False,
    )
    return kit.button(_("Full resync"), Action.RESYNC, export_id or 0, confirm=ask)


def details(t: Translator, run: Run) -> Json | None:
    """For the report's thread: what the run noticed. None if nothing."""
    told = [note for note in run.notes if note.get("kind") != "resumed" or not run.findings]
    notes = [words for note in told if (words := note_words(t, note))]
    if not notes:
        return None
    title = t.gettext("Details of this run of {name}").format(name=safe(run.export_name))
    return kit.message(title, [kit.section(kit.cut(kit.bullets(notes), kit.SECTION_TEXT))])


def failed(t: Translator, run: Run, *, next_due: datetime | None = None) -> Json:
    """To the owner and the admins, in private: what happened, what was sent, what happens next, who can mend it."""
    said = safe(run.error_text or "")
    return kit.message(
        f"{safe(run.export_name)}: {status_words(t, run.status)}. {said}",
        [
            kit.section(_headline(t, run)),
            *kit.sections(said),
            kit.section(aftermath(t, run, next_due)),
            kit.context(_ending(t, run)),
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
