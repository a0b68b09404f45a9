"""What a run came to, and what one would do, as lines for a terminal."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bot.cli.running import Result
from bot.cli.terminal import say
from bot.cli.words import plain, with_hint
from bot.i18n import translator
from bot.pipeline.preview import Preview
from bot.services.actor import Actor
from bot.services.context import Services
from bot.services.errors import RejectsReplaced
from bot.services.masking import mask_email, mask_id, mask_value
from bot.slack.views.words import (
    attribute_label,
    finding_words,
    new_contacts_words,
    note_words,
    opt_in_word,
    reject_reason,
    status_words,
)
from storage.models import Run, RunStatus, id_of

SHOWN_REASONS = 8

IN_DOUBT = (
    "Omnisend has not confirmed what is in doubt: it may be there or not. The next run looks it up and, if need be, "
    "sends it again."
)


async def rejection_reasons(services: Services, actor: Actor, run: Run) -> Mapping[str, int]:
    """How many rows were rejected for which reason, the most frequent first; empty where the list is gone."""
    if not run.rejected:
        return {}
    try:
        table = await services.runs.rejects_csv(actor, id_of(run))
    except RejectsReplaced:
        return {}
    rows = csv.reader(io.StringIO(table.decode("utf-8-sig")))
    next(rows)
    return dict(Counter(reason for _, _, reason in rows).most_common())


def print_report(result: Result, reasons: Mapping[str, int]) -> None:
    run, t = result.run, translator()
    say(f"{run.export_name}: {status_words(t, run.status)} after {result.seconds:,.1f} s", style="bold")
    if run.error_text:
        say(with_hint(run.error_text, run.error_code), style="red")
    if run.status is RunStatus.ASKING:
        say("Nothing was sent. Please look first:", style="yellow")
        _list(finding_words(t, finding) for finding in run.findings)
        say(how_to_accept(run))
        if any(finding["kind"] == "ledger_behind" for finding in run.findings):
            say(f"To rebuild its memory from Omnisend first: ferry export run '{run.export_name}' --adopt")
    elif run.status is RunStatus.DONE or run.profiles or run.batches:
        say(f"  {_counts(run)}")
    for segment in run.segments:
        say(f"  {_segment(segment, sent=run.status is not RunStatus.ASKING)}")
    _print_reasons(reasons, f"ferry export rejects '{run.export_name}' lists them")
    _list(note_words(t, note) for note in run.notes)
    if run.added:
        say(f"  {plain(new_contacts_words(t, run.notes))}")
    if run.in_doubt:
        say(f"  {IN_DOUBT}", style="yellow")


def how_to_accept(run: Run) -> str:
    return f"If this is right, send it with: ferry export run '{run.export_name}' --accept-guard"


def _counts(run: Run) -> str:
    counts = {
        "added": run.added,
        "changed": run.changed,
        "removed": run.removed,
        "unchanged": run.unchanged,
        "rejected": run.rejected,
        "in doubt": run.in_doubt,
    }
    if run.kept:
        counts["left the segments and kept"] = run.kept
    return f"{run.profiles:,} profiles: " + ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _segment(segment: Mapping[str, Any], *, sent: bool) -> str:
    counted, contacts = segment["contacts_count"], segment["contacts"]
    there = "not yet counted" if counted is None else f"{counted:,}"
    if sent and counted is not None and counted != contacts:
        there += " so far, it may still be counting"
    return f"{segment['name']}: {segment['members']:,} members, {contacts:,} contacts; Omnisend's own count: {there}"


def print_preview(name: str, preview: Preview) -> None:
    """Counts, examples (masked), what the guard would ask, and what it costs."""
    comparison, t = preview.comparison, translator()
    rejected = sum(comparison.rejected.values()) + comparison.refused
    say(f"What a run of {name} would do now. Nothing was sent.", style="bold")
    say(
        f"  {comparison.profiles:,} profiles: {comparison.added:,} to add, {comparison.changed:,} to change, "
        f"{comparison.removed:,} to remove, {comparison.unchanged:,} unchanged, {rejected:,} rejected"
    )
    for segment, members in preview.members.items():
        say(f"  {segment}: {members:,} members, {comparison.members.get(segment, 0):,} contacts")
    _print_reasons({reject_reason(t, reason): count for reason, count in comparison.rejected.items()})
    for sample in preview.samples:
        values = "".join(f", {label} {mask_value(value)}" for label, value in sample.values.items())
        status = f", {opt_in_word(t, sample.opt_in)}" if sample.opt_in else ""
        say(f"  {sample.op}: {mask_id(sample.customer_id)}, {mask_email(sample.email)}{status}{values}")
    _list(note_words(t, note) for note in preview.notes if note["kind"] != "left_behind")
    if preview.left_behind:
        named = ", ".join(attribute_label(t, attribute) for attribute in preview.left_behind)
        say(f"  No longer mapped, left at Omnisend as they are: {named}")
    if preview.findings:
        say("The guard would ask first:", style="yellow")
        _list(finding_words(t, finding.as_dict()) for finding in preview.findings)
    if comparison.added:
        say(f"  {plain(new_contacts_words(t, preview.notes))}")
    at_limit = f", {t.duration(preview.seconds)} at Omnisend's limit" if preview.seconds else ""
    say(f"About {preview.requests:,} requests{at_limit}.")


def _print_reasons(reasons: Mapping[str, int], more: str = "") -> None:
    if reasons:
        shown = [f"{count:,} {reason}" for reason, count in list(reasons.items())[:SHOWN_REASONS]]
        rest = ", …" if len(reasons) > SHOWN_REASONS else ""
        say(f"  Rejected: {', '.join(shown)}{rest}" + (f" ({more})" if more else ""))


def _list(texts: Iterable[str]) -> None:
    for text in texts:
        if text:
            say(f"  - {plain(text)}")
