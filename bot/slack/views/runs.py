"""A run as people see it: the live message, the guard's question, the report, the failure; and what its list holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import (
    finding_words,
    mention,
    note_words,
    stage_words,
    status_words,
    trigger_words,
)
from storage.models import Run, RunStatus, Stage

BAR_WIDTH = 20  # characters
SHOWN_SEGMENTS = 10
CHART_RUNS = 12  # in the history's chart; Slack takes at most 20 points

_REPEATABLE = (RunStatus.FAILED, RunStatus.STOPPED, RunStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run sends: contacts a second, and seconds left at that; None while too little is known."""

    rate: float | None = None
    left: float | None = None


# --- while it runs


def live(t: Translator, run: Run, pace: Pace = Pace()) -> Json:
    """The message that is kept current. Its last edit, when the run is over, has no buttons."""
    if not run.status.active:
        return _over(t, run)
    _ = t.gettext
    name = safe(run.export_name)
    stage = _("Stopping…") if run.cancel_requested_by else stage_words(t, run.stage)
    blocks = [kit.section(f"*{name}* – {stage}")]
    if line := _progress(t, run, pace):
        blocks.append(kit.section(line))
    blocks.append(kit.context(_facts(t, run)))
    if not run.cancel_requested_by:
        blocks.append(kit.actions(_cancel(t, run)))
    return kit.message(f"{safe(run.export_name)}: {stage}", blocks)


def _over(t: Translator, run: Run) -> Json:
    said = f"*{safe(run.export_name)}* – {status_words(t, run.status)}"
    return kit.message(f"{safe(run.export_name)}: {status_words(t, run.status)}", [kit.context(said, _facts(t, run))])


def _progress(t: Translator, run: Run, pace: Pace) -> str:
    _ = t.gettext
    if run.stage is Stage.READING and run.profiles:
        return t.ngettext("{n} profile read", "{n} profiles read", run.profiles).format(n=t.number(run.profiles))
    if run.stage not in (Stage.SENDING, Stage.SETTLING) or not run.total:
        return ""
    share = min(1.0, run.sent / run.total)
    filled = round(share * BAR_WIDTH)
    parts = [
        f"`{'█' * filled}{'░' * (BAR_WIDTH - filled)}` {t.percent(int(share * 100) / 100)}",
        _("{sent} of {total} contacts").format(sent=t.number(run.sent), total=t.number(run.total)),
    ]
    if pace.rate:
        parts.append(_("{rate} a second").format(rate=t.number(round(pace.rate, 0 if pace.rate >= 10 else 1))))
    if pace.left is not None:
        parts.append(_("about {time} left").format(time=t.duration(pace.left)))
    return " · ".join(parts)


def _facts(t: Translator, run: Run) -> str:
    facts = [trigger_words(t, run)]
    if run.requests:
        facts.append(t.ngettext("{n} request", "{n} requests", run.requests).format(n=t.number(run.requests)))
    if run.attempts > 1 and not run.findings:  # an answered question counts as an attempt too
        facts.append(t.gettext("resumed after an interruption"))
    return " · ".join(facts)


def _cancel(t: Translator, run: Run) -> Json:
    _ = t.gettext
    ask = kit.confirm(
        _("Cancel this run?"),
        _("It stops within seconds. What Omnisend has accepted stays there and is remembered."),
        _("Cancel the run"),
        _("Let it run"),
    )
    return kit.button(_("Cancel"), Action.CANCEL, run.id, style="danger", confirm=ask)


# --- the guard's question


def asking(t: Translator, run: Run) -> Json:
    """A question to the channel: nothing was sent, and nothing is before somebody answers."""
    _ = t.gettext
    said = _("*{name}* waits: please look before anything is sent.").format(name=safe(run.export_name))
    return kit.message(
        _("{name} waits for an answer: {findings}").format(
            name=safe(run.export_name), findings=" ".join(finding_words(t, finding) for finding in run.findings)
        ),
        [
            kit.section(said),
            kit.section(bullets([finding_words(t, finding) for finding in run.findings])),
            kit.actions(
                kit.button(_("Show"), Action.GUARD_SHOW, run.id, label=_("Show what would be sent")),
                kit.button(_("Send"), Action.GUARD_SEND, run.id, style="primary", confirm=_send_confirm(t)),
                kit.button(_("Skip"), Action.GUARD_SKIP, run.id, label=_("Skip this run; send nothing")),
            ),
            kit.context(_("Nothing was sent yet. Without an answer this run is skipped after a while.")),
        ],
    )


def _send_confirm(t: Translator) -> Json:
    _ = t.gettext
    return kit.confirm(
        _("Send it?"), _("The run goes on and sends what it found."), _("Send"), _("Not yet"), danger=False
    )


def answered(t: Translator, run: Run, text: str) -> Json:
    """What remains of the question once it is answered."""
    said = t.gettext("*{name}* had a question.").format(name=safe(run.export_name))
    findings = bullets([finding_words(t, finding) for finding in run.findings])
    return kit.message(f"{safe(run.export_name)}: {text}", [kit.section(said), *_section(findings), kit.context(text)])


# --- the report


def finished(t: Translator, run: Run) -> Json:
    """The report of a run that is over, whatever its end: to its channel."""
    _ = t.gettext
    title = _headline(t, run)
    blocks = [kit.section(title)]
    if run.error_text and run.status is not RunStatus.DONE:
        blocks.append(kit.section(safe(run.error_text)))
    if run.status is RunStatus.DONE or run.added or run.changed or run.removed or run.rejected or run.in_doubt:
        blocks.append(kit.fields(*_counts(t, run)))
    blocks += _section("\n".join(_segment(t, segment) for segment in run.segments[:SHOWN_SEGMENTS]))
    blocks += _section("\n".join(advice(t, run)))
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
    facts = [_facts(t, run)]
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
    return kit.message(title, [kit.section(kit.cut(bullets(notes), kit.SECTION_TEXT))])


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
            *_section(safe(run.error_text or "")),
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


# --- lists


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
    if active:
        blocks.append(kit.section("*" + _("Running now") + "*"))
        for run in active[:10]:
            words = status_words(t, run.status) if run.status is RunStatus.ASKING else stage_words(t, run.stage)
            text = f"*{safe(run.export_name)}* – {words}"
            if progress := _progress(t, run, Pace()):
                text += f"\n{progress}"
            blocks.append(kit.section(f"{text}\n{_facts(t, run)}", block=f"active-{run.id}"))
    if lines:
        blocks.append(kit.section("*" + _("Exports") + "*"))
        for line in lines[:20]:
            button = kit.button(_("Run"), Action.RUN, line.id, label=_("Run {name}").format(name=line.name))
            blocks.append(
                kit.section(line_words(t, line, zone), button if line.may_run else None, block=f"export-{line.id}")
            )
        if len(lines) > 20:
            blocks.append(kit.context(_("… and {count} more in the app's Home.").format(count=len(lines) - 20)))
    else:
        blocks.append(kit.section(_("There are no exports yet.")))
        blocks.append(kit.actions(kit.button(_("New export"), Action.EXPORT, style="primary")))
    summary = t.ngettext("{n} export is running.", "{n} exports are running.", len(active)).format(n=len(active))
    return kit.message(summary if active else _("Nothing is running."), blocks)


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


def moment(t: Translator, when: datetime, zone: str) -> str:
    """A time that each reader's Slack shows in their own zone; in `zone` where it can't."""
    fallback = t.moment(when, zone)
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} {{time}}|{safe(fallback)}>"


def bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"• {text}" for text in texts)


def _section(text: str) -> list[Json]:
    return [kit.section(text)] if text else []


# --- the history


def history(t: Translator, name: str, export_id: int, runs: Sequence[Run], zone: str, *, may_run: bool = True) -> Json:
    """The last runs, newest first: a chart, and the same as text for whoever has no charts."""
    _ = t.gettext
    title = _("The last runs of {name}").format(name=safe(name))
    buttons = [
        kit.button(_("Run"), Action.RUN, export_id, label=_("Run {name}").format(name=name)),
        kit.button(_("Preview"), Action.PREVIEW, export_id),
    ]
    ending = [kit.actions(*buttons)] if may_run else []
    if not runs:
        text = _("*{name}* has not run yet.").format(name=safe(name))
        return kit.message(title, [kit.section(text), *ending])
    chart = _chart(t, name, runs[:CHART_RUNS], zone)
    rows = [kit.section(piece) for piece in _rows(t, runs, zone)]
    return kit.message(title, [kit.section(f"*{title}*"), *([chart] if chart else []), *rows, *ending])


def _chart(t: Translator, name: str, runs: Sequence[Run], zone: str) -> Json | None:
    """Slack docs, Data visualization block: up to six series over the same categories."""
    _ = t.gettext
    over = [run for run in reversed(runs) if run.ended_at is not None]
    if len(over) < 2:
        return None
    labels = [kit.cut(f"{t.date(run.ended_at, zone)} #{run.id}" if run.ended_at else "", 20) for run in over]
    if len(set(labels)) < len(labels):
        labels = [f"#{run.id}" for run in over]
    series = [
        (_("Members"), [run.unchanged + run.added + run.changed for run in over]),
        (_("Added"), [run.added for run in over]),
        (_("Removed"), [run.removed for run in over]),
        (_("Rejected"), [run.rejected for run in over]),
    ]
    return {
        "type": "data_visualization",
        "title": kit.cut(_("Runs of {name}").format(name=name), 50),
        "chart": {
            "type": "line",
            "series": [
                {
                    "name": kit.cut(label, 20),
                    "data": [{"label": at, "value": value} for at, value in zip(labels, values, strict=True)],
                }
                for label, values in series
            ],
            "axis_config": {"categories": labels, "x_label": _("Run"), "y_label": _("Contacts")},
        },
    }


def _rows(t: Translator, runs: Sequence[Run], zone: str) -> list[str]:
    _ = t.gettext
    lines = []
    for run in runs:
        numbers = _("{added} added, {changed} changed, {removed} removed, {rejected} rejected").format(
            **{key: t.number(getattr(run, key)) for key in ("added", "changed", "removed", "rejected")}
        )
        took = ""
        if run.started_at and run.ended_at:
            took = " · " + t.duration((run.ended_at - run.started_at).total_seconds())
        when = moment(t, run.ended_at or run.created_at, zone)
        lines.append(f"{when} · *{status_words(t, run.status)}* · {numbers}{took} · {trigger_words(t, run)}")
    return ["\n".join(lines[start : start + 6]) for start in range(0, len(lines), 6)]
