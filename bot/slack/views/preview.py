"""What a run would do: counts, examples (masked), what the guard would ask, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.i18n import Translator
from bot.slack.ids import Action, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.runs import answer_buttons
from bot.slack.views.words import (
    attribute_label,
    finding_words,
    new_contacts_words,
    note_words,
    opt_in_word,
    reject_reason,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A contact as it would be sent, already masked unless the consent allows full values."""

    customer_id: str
    email: str
    op: str
    values: Mapping[str, str]
    segments: Sequence[str]
    opt_in: str = ""  # the status that it would go with, where an opt-in is mapped


@dataclass(frozen=True, slots=True)
class PreviewCard:
    export_id: int
    name: str
    added: int
    changed: int
    removed: int
    unchanged: int
    kept: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, int] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    findings: Sequence[Mapping[str, object]] = ()
    left_behind: Sequence[str] = ()
    notes: Sequence[Mapping[str, object]] = ()
    requests: int = 0
    seconds: float = 0.0
    may_run: bool = True
    may_edit: bool = True
    question: int | None = None  # the run whose guard waits for an answer


def preview(t: Translator, card: PreviewCard) -> Json:
    _ = t.gettext
    blocks = [
        kit.section(_("What a run of *{name}* would do now. Nothing was sent.").format(name=safe(card.name))),
        kit.fields(*_counts(t, card)),
    ]
    if card.findings:
        asked = _("*The guard would ask first:*") + "\n" + kit.bullets([finding_words(t, one) for one in card.findings])
        blocks.append(kit.section(f":warning: {asked}"))
    blocks += [
        *_listed(_("*Segments*"), [f"{safe(name)}: {t.number(count)}" for name, count in card.members.items()]),
        *_listed(
            _("*Rejected, with reasons*"),
            [f"{t.number(count)}: {reject_reason(t, reason)}" for reason, count in card.rejected.items()],
        ),
        *_examples(t, card.examples),
        *_listed(_("*Good to know*"), _remarks(t, card)),
        kit.context(_cost(t, card)),
    ]
    buttons = _buttons(t, card)
    if buttons:
        blocks.append(kit.actions(*buttons))
    return kit.modal(_("Preview"), blocks, callback=Modal.NOTICE, close=_("Close"))


def _buttons(t: Translator, card: PreviewCard) -> list[Json]:
    _ = t.gettext
    if card.question is not None and card.may_run:
        return answer_buttons(t, card.question, card.findings)
    run = kit.button(_("Run now"), Action.RUN, card.export_id, style="primary")
    edit = kit.button(_("Edit"), Action.EDIT_EXPORT, card.export_id)
    return [*([run] if card.may_run else []), *([edit] if card.may_edit else [])]


def _counts(t: Translator, card: PreviewCard) -> list[str]:
    _ = t.gettext
    counts = [
        (_("Would be added"), card.added),
        (_("Would be changed"), card.changed),
        (_("Would be removed"), card.removed),
        (_("Unchanged"), card.unchanged),
        (_("Rejected"), sum(card.rejected.values())),
    ]
    if card.kept:
        counts.append((_("Left the segment, kept"), card.kept))
    return [f"*{label}*\n{t.number(count)}" for label, count in counts]


def _examples(t: Translator, examples: Sequence[Example]) -> list[Json]:
    _ = t.gettext
    blocks = [kit.section(_("*Examples*"))] if examples else []
    for example in examples[:3]:
        values = ", ".join(f"{safe(label)}: {safe(value)}" for label, value in example.values.items())
        what = _("new") if example.op == "added" else _("changed")
        facts = [safe(example.customer_id), safe(example.email), what]
        if example.opt_in:
            facts.append(opt_in_word(t, example.opt_in))
        text = " · ".join([*facts, safe(", ".join(example.segments))])
        blocks.append(kit.context(kit.cut(text, 1_000), *([kit.cut(values, 1_900)] if values else [])))
    return blocks


def _remarks(t: Translator, card: PreviewCard) -> list[str]:
    _ = t.gettext
    texts = [words for note in card.notes if note.get("kind") != "left_behind" and (words := note_words(t, note))]
    if card.left_behind:
        named = t.list([attribute_label(t, attribute) for attribute in card.left_behind])
        texts.append(
            _("No longer mapped, so these stay at Omnisend as they are: {attributes}.").format(attributes=safe(named))
        )
    if card.added:
        texts.append(new_contacts_words(t, card.notes))
    return texts


def _cost(t: Translator, card: PreviewCard) -> str:
    requests = t.ngettext("About {n} request", "About {n} requests", card.requests).format(n=t.number(card.requests))
    if not card.seconds:
        return requests
    return t.gettext("{requests}, {time} at Omnisend's limit").format(requests=requests, time=t.duration(card.seconds))


def _listed(title: str, texts: Sequence[str]) -> list[Json]:
    """A title and its lines, cut where Slack takes no more."""
    if not texts:
        return []
    shown = [*texts[:25], "…"] if len(texts) > 25 else list(texts)
    return [kit.section(kit.cut(f"{title}\n{kit.bullets(shown)}", kit.SECTION_TEXT))]
