"""A run while it runs: the live message, and the guard's question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import finding_words, mention, moment, note_words, stage_words, status_words, trigger_words
from storage.models import Run, Stage

BAR_WIDTH = 20  # characters


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
    if line := progress(t, run, pace):
        blocks.append(kit.section(line))
    blocks.append(kit.context(run_words(t, run)))
    if not run.cancel_requested_by:
        blocks.append(kit.actions(cancel_button(t, run)))
    return kit.message(f"{safe(run.export_name)}: {stage}", blocks)


def _over(t: Translator, run: Run) -> Json:
    said = f"*{safe(run.export_name)}* – {status_words(t, run.status)}"
    return kit.message(
        f"{safe(run.export_name)}: {status_words(t, run.status)}", [kit.context(said, run_words(t, run))]
    )


def progress(t: Translator, run: Run, pace: Pace) -> str:
    _ = t.gettext
    if run.stage is Stage.REFRESHING:
        return " ".join(note_words(t, note) for note in run.notes if note.get("kind") == "refresh")
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
    if pace.left is not None and pace.left >= 1:
        parts.append(_("about {time} left").format(time=t.duration(pace.left)))
    return " · ".join(parts)


def run_words(t: Translator, run: Run) -> str:
    facts = [trigger_words(t, run)]
    if run.requests:
        facts.append(t.ngettext("{n} request", "{n} requests", run.requests).format(n=t.number(run.requests)))
    if run.attempts > 1 and not run.findings:  # an answered question counts as an attempt too
        facts.append(t.gettext("resumed after an interruption"))
    return " · ".join(facts)


def cancel_button(t: Translator, run: Run, text: str = "") -> Json:
    """Asks first; `text`: where "Cancel" alone does not say what."""
    _ = t.gettext
    ask = kit.confirm(
        _("Cancel this run?"),
        _("It stops within seconds. What Omnisend has accepted stays there and is remembered."),
        _("Cancel the run"),
        _("Let it run"),
    )
    return kit.button(text or _("Cancel"), Action.CANCEL, run.id, style="danger", confirm=ask)


# --- the guard's question


def asking(t: Translator, run: Run, *, owner: str = "", until: datetime | None = None) -> Json:
    """A question to the channel: nothing was sent, and nothing is before somebody answers.

    `owner` is asked by name; `until`: when the question expires.
    """
    _ = t.gettext
    said = _("*{name}* waits: please look before anything is sent.").format(name=safe(run.export_name))
    if owner:
        said = f"{mention(owner)}: {said}"
    if until is None:
        waits = _("Nothing was sent yet. Without an answer this run is skipped after a while.")
    else:
        waits = _(
            "Nothing was sent yet. The question is open until {time}; without an answer this run is skipped."
        ).format(time=moment(t, until, "UTC"))
    rejects = kit.button(_("Rejected rows"), Action.REJECTS, run.id, label=_("Send me the rejected rows in private"))
    return kit.message(
        _("{name} waits for an answer: {findings}").format(
            name=safe(run.export_name), findings=" ".join(finding_words(t, finding) for finding in run.findings)
        ),
        [
            kit.section(said),
            kit.section(kit.bullets([finding_words(t, finding) for finding in run.findings])),
            kit.actions(
                kit.button(
                    _("Show"),
                    Action.GUARD_SHOW,
                    run.id,
                    style=None if ledger_lost(run.findings) else "primary",
                    label=_("Show what would be sent"),
                ),
                *answer_buttons(t, run.id, run.findings, confirm=_send_confirm(t)),
                rejects if any(finding.get("kind") == "rejects" for finding in run.findings) else None,
            ),
            kit.context(
                *([_("*Adopt* takes over who is at Omnisend, then looks again.")] if ledger_lost(run.findings) else []),
                waits,
            ),
        ],
    )


def ledger_lost(findings: Sequence[Mapping[str, object]]) -> bool:
    """Whether the guard asks about a ledger that could be rebuilt."""
    return any(finding.get("kind") == "ledger_behind" for finding in findings)


def answer_buttons(
    t: Translator, run_id: int | None, findings: Sequence[Mapping[str, object]], *, confirm: Json | None = None
) -> list[Json]:
    """Send and Skip; before them Adopt, where a lost ledger can be rebuilt first. Send is never what stands out."""
    _ = t.gettext
    lost = ledger_lost(findings)
    ask = kit.confirm(
        _("Rebuild its memory first?"),
        _(
            "The export takes over whoever is in its segments at Omnisend, then looks again. From then on it can take "
            "out those who leave."
        ),
        _("Adopt"),
        _("Not yet"),
        danger=False,
    )
    adopt = kit.button(
        _("Adopt"),
        Action.GUARD_ADOPT,
        run_id,
        style="primary",
        confirm=ask,
        label=_("Adopt: rebuild its memory from Omnisend's segment"),
    )
    return [
        *([adopt] if lost else []),
        kit.button(_("Send"), Action.GUARD_SEND, run_id, style="danger", confirm=confirm),
        kit.button(_("Skip"), Action.GUARD_SKIP, run_id, label=_("Skip this run; send nothing")),
    ]


def _send_confirm(t: Translator) -> Json:
    _ = t.gettext
    return kit.confirm(
        _("Send it?"), _("The run goes on and sends what it found."), _("Send"), _("Not yet"), danger=False
    )


def answered(t: Translator, run: Run, text: str) -> Json:
    """What remains of the question once it is answered."""
    said = t.gettext("*{name}* had a question.").format(name=safe(run.export_name))
    findings = kit.bullets([finding_words(t, finding) for finding in run.findings])
    return kit.message(
        f"{safe(run.export_name)}: {text}", [kit.section(said), *kit.sections(findings), kit.context(text)]
    )
