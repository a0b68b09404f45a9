"""The words for states, triggers, reasons and notes: what storage and engine keep as codes, said to people."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.i18n import Translator
from bot.services.actor import CLI
from bot.slack.views.kit import safe
from storage.models import Run, RunStatus, Stage, Trigger

CUSTOM = "custom:"  # prefix of attributes that are custom properties at Omnisend
_USER_ID = re.compile(r"[UW][A-Z0-9]{7,}")


def mention(user: str) -> str:
    """A person as Slack shows them; who is none in Slack by the word kept for them."""
    return f"<@{user}>" if _USER_ID.fullmatch(user) else safe(user)


def explained(t: Translator, error: Any) -> str:
    """A `FerryError` as mrkdwn: facts made harmless, the person among them (`by`) as a mention."""
    return mentioning(safe(error.explain(t.gettext)), error.facts.get("by"))


def mentioning(text: str, user: object) -> str:
    """The text with this person as a mention. Whatever else looks like a user id may be the name of a segment."""
    return text.replace(user, mention(user)) if isinstance(user, str) and _USER_ID.fullmatch(user) else text


def attribute_label(t: Translator, attribute: str) -> str:
    """The name of an Omnisend attribute; a custom property keeps its own."""
    _ = t.gettext
    names = {
        "email": _("Email"),
        "firstName": _("First name"),
        "lastName": _("Last name"),
        "address": _("Address"),
        "country": _("Country/Region"),
        "state": _("State"),
        "city": _("City"),
        "postalCode": _("Postal code"),
        "optInStatus": _("Opt-in status"),
        "optInDate": _("Opt-in date"),
    }
    return names.get(attribute, attribute.removeprefix(CUSTOM))


def stage_words(t: Translator, stage: Stage) -> str:
    _ = t.gettext
    return {
        Stage.WAITING: _("Waiting for its turn"),
        Stage.REFRESHING: _("Waiting until Customer Insights has been refreshed"),
        Stage.DRAINING: _("Looking up what earlier runs left open"),
        Stage.ADOPTING: _("Taking over who is in Omnisend's segments"),
        Stage.READING: _("Reading profiles"),
        Stage.COMPARING: _("Comparing with what was sent before"),
        Stage.SENDING: _("Sending to Omnisend"),
        Stage.SETTLING: _("Waiting for Omnisend to confirm"),
    }[stage]


def status_words(t: Translator, status: RunStatus) -> str:
    _ = t.gettext
    return {
        RunStatus.QUEUED: _("waiting"),
        RunStatus.RUNNING: _("running"),
        RunStatus.ASKING: _("waits for an answer"),
        RunStatus.DONE: _("done"),
        RunStatus.FAILED: _("failed"),
        RunStatus.STOPPED: _("stopped by the guard"),
        RunStatus.CANCELLED: _("cancelled"),
        RunStatus.SKIPPED: _("skipped"),
    }[status]


def trigger_words(t: Translator, run: Run) -> str:
    """Who or what started a run."""
    _ = t.gettext
    who = _("the command line") if run.started_by in ("", CLI) else mention(run.started_by)
    match run.trigger:
        case Trigger.REFRESH:
            return _("refresh schedule") if not run.started_by else _("run all by {person}").format(person=who)
        case Trigger.OWN:
            return _("its own schedule")
        case Trigger.RETRY:
            return _("retry of rejected rows by {person}").format(person=who)
        case Trigger.RESYNC:
            return _("full resync by {person}").format(person=who)
        case Trigger.EMPTY:
            return _("emptying its segments, by {person}").format(person=who)
        case Trigger.ADOPT:
            return _("memory rebuilt from Omnisend, by {person}").format(person=who)
        case Trigger.MANUAL:
            return _("started by {person}").format(person=who)


def reject_reason(t: Translator, reason: str) -> str:
    _ = t.gettext
    return {
        "missing_email": _("no email address"),
        "invalid_email": _("email address not valid"),
        "email_too_long": _("email address too long"),
        "suppressed": _("person erased on request"),
        "omnisend": _("refused by Omnisend"),
    }.get(reason, safe(reason))


def reject_reasons(run: Run) -> Mapping[str, int]:
    """How many profiles of a run were rejected for which reason; `omnisend`: refused there, in this run or before."""
    note = next((note for note in run.notes if note.get("kind") == "rejected"), {})
    return dict(note.get("reasons") or {})


def rejects_words(t: Translator, reasons: Mapping[str, int]) -> str:
    """Such as: 12 without an email address, and 3 refused by Omnisend; the most frequent first."""
    _ = t.gettext
    texts = {
        "missing_email": _("{n} without an email address"),
        "invalid_email": _("{n} with an email address that is not valid"),
        "email_too_long": _("{n} with an email address that is too long"),
        "suppressed": _("{n} erased on request"),
        "omnisend": _("{n} refused by Omnisend"),
    }
    ordered = sorted(reasons.items(), key=lambda one: -one[1])
    return t.list(
        [
            texts[reason].format(n=t.number(count)) if reason in texts else f"{t.number(count)} {safe(reason)}"
            for reason, count in ordered[:10]
        ]
    )


def moment(t: Translator, when: datetime, zone: str) -> str:
    """A time that each reader's Slack shows in their own zone; in `zone` where it can't."""
    fallback = t.moment(when, zone)
    return f"<!date^{int(when.timestamp())}^{{date_short_pretty}} {{time}}|{safe(fallback)}>"


def weekday_names(t: Translator) -> list[str]:
    """Monday first."""
    _ = t.gettext
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]


def schedule_words(t: Translator, times: list[str], weekdays: list[int], zone: str) -> str:
    """Such as: daily at 06:00 and 18:00 (Europe/Berlin)."""
    _ = t.gettext
    names = weekday_names(t)
    days = _("daily") if len(set(weekdays)) == 7 else t.list([names[day] for day in sorted(set(weekdays))])
    return _("{days} at {times} ({zone})").format(days=days, times=t.list(sorted(times)), zone=safe(zone))


# --- who can mend what

_ADMINS_MEND = ("no-key", "consent-", "omnisend-key", "omnisend-scope", "omnisend-plan", "sign-in",
                "dataverse-role", "dataverse-not-a-member", "dataverse-no-tables", "dataverse-token",
                "environment-changed")  # fmt: skip
_OPERATORS_MEND = (
    "source-un", "memory-", "spill-", "unexpected", "lease-", "omnisend-version", "omnisend-rubbish", "database-",
    "folder-", "disk-", "secret-", "digest-", "storage", "too-many-profiles", "dataverse-address",
)  # fmt: skip
_TIME_MENDS = ("omnisend-away", "omnisend-unavailable", "omnisend-fate", "dataverse-throttled",
                "dataverse-unavailable", "dataverse-refresh")  # fmt: skip


def befalls_many(code: str) -> bool:
    """Whether an error is no single export's own: others fail for the same reason."""
    return code.startswith((*_TIME_MENDS, *_ADMINS_MEND, *_OPERATORS_MEND)) and code != "too-many-profiles"


def mender_words(t: Translator, code: str) -> str:
    """Who can do something about an error, by its code."""
    _ = t.gettext
    if code.startswith(_TIME_MENDS):
        return _("Nobody needs to mend anything here: it may pass by itself.")
    if code.startswith(_ADMINS_MEND):
        return _("An admin can mend this.")
    if code.startswith(_OPERATORS_MEND):
        return _("Whoever runs Segment Ferry can mend this.")
    return _("The export's owner and everyone its connection is shared with can mend this.")


# --- what a report mentions beside its counts


def note_words(t: Translator, note: Mapping[str, Any]) -> str:
    """One note of a run or preview as a sentence; empty for one that this version has no words for."""
    _, n = t.gettext, int(note.get("count") or 0)
    number = t.number(n)
    match note.get("kind"):
        case "resumed":
            return _("The bot was interrupted and went on where it had stopped; nothing was sent twice for good.")
        case "adopted":
            return t.ngettext(
                "{n} contact was taken over from Omnisend's segments.",
                "{n} contacts were taken over from Omnisend's segments.",
                n,
            ).format(n=number)
        case "duplicates":
            return t.ngettext(
                "{n} profile shares its email with another: an address is one contact, with the memberships of all.",
                "{n} profiles share their email with another: an address is one contact, with the memberships of all.",
                n,
            ).format(n=number)
        case "cut":
            return t.ngettext(
                "{n} profile has a value that was cut to Omnisend's limit.",
                "{n} profiles have a value that was cut to Omnisend's limit.",
                n,
            ).format(n=number)
        case "unresolved_countries":
            return t.ngettext(
                "{n} profile has a country that is not known; it was left out.",
                "{n} profiles have a country that is not known; it was left out.",
                n,
            ).format(n=number)
        case "opt_in":
            return _opt_in_words(t, note)
        case "opt_in_status":
            return t.ngettext(
                "{n} profile has an opt-in status that can't be read: it counts as without one.",
                "{n} profiles have an opt-in status that can't be read: they count as without one.",
                n,
            ).format(n=number)
        case "opt_in_date":
            return t.ngettext(
                "{n} profile has an opt-in without a date that can be read: it counts as without one.",
                "{n} profiles have an opt-in without a date that can be read: they count as without one.",
                n,
            ).format(n=number)
        case "opt_in_future":
            return t.ngettext(
                "{n} profile has an opt-in dated in the future: it counts as without one until then.",
                "{n} profiles have an opt-in dated in the future: they count as without one until then.",
                n,
            ).format(n=number)
        case "without_profile":
            return t.ngettext(
                "{n} member of the segments has no profile.", "{n} members of the segments have no profile.", n
            ).format(n=number)
        case "held":
            return t.ngettext(
                "{n} contact is still under way at Omnisend from an earlier run: the next run takes it up.",
                "{n} contacts are still under way at Omnisend from an earlier run: the next run takes them up.",
                n,
            ).format(n=number)
        case "refused":
            return t.ngettext(
                "{n} contact was rejected by Omnisend before and has not changed since: it was not tried again.",
                "{n} contacts were rejected by Omnisend before and have not changed since: they were not tried again.",
                n,
            ).format(n=number)
        case "question_expired":
            return _("Nobody answered within {hours} hours: the run was skipped.").format(hours=note.get("hours", 24))
        case "question_superseded":
            return _("A newer run took the place of this one before anybody answered.")
        case "refresh":
            return _("Customer Insights is taken to be refreshing until {time}; nothing is read before.").format(
                time=moment(t, datetime.fromisoformat(note["until"]), "UTC")
            )
        case "source":
            facts = {
                name: t.number(fact) if isinstance(fact, int) else fact for name, fact in note.get("facts", {}).items()
            }
            text = _(str(note.get("text", "")))
            return safe(text.format_map(facts) if facts else text)
        case "left_behind":
            attributes = t.list([attribute_label(t, str(one)) for one in note.get("attributes", ())])
            return _("No longer mapped, so these stay at Omnisend as they are: {attributes}.").format(
                attributes=safe(attributes)
            )
        case _:
            return _segment_note(t, note)


def maps_opt_in(notes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run or preview with these notes sent each person's own status."""
    return any(note.get("kind") == "opt_in" for note in notes)


def _opt_in_words(t: Translator, note: Mapping[str, Any]) -> str:
    """As what the contacts of a difference go; nothing where none goes."""
    counts = {status: int(note.get(status) or 0) for status in ("subscribed", "unsubscribed", "nonSubscribed")}
    if not any(counts.values()):
        return ""
    return t.gettext(
        "Contacts by their opt-in: {subscribed} subscribed, {unsubscribed} unsubscribed, {none} non-subscribed. "
        "Omnisend keeps whichever status has the later date."
    ).format(
        subscribed=t.number(counts["subscribed"]),
        unsubscribed=t.number(counts["unsubscribed"]),
        none=t.number(counts["nonSubscribed"]),
    )


def opt_in_word(t: Translator, status: str) -> str:
    _ = t.gettext
    words = {
        "subscribed": _("as subscribed"),
        "unsubscribed": _("as unsubscribed"),
        "nonSubscribed": _("as non-subscribed"),
    }
    return words.get(status, safe(status))


def new_contacts_words(t: Translator, notes: Sequence[Mapping[str, Any]]) -> str:
    """What those who are new at Omnisend become, and what that may set off."""
    _ = t.gettext
    if maps_opt_in(notes):
        return _(
            "New contacts arrive with the opt-in of their profile, and as *non-subscribed* where it has none. The "
            "shop's own automations may fire for contacts that are touched."
        )
    return _(
        "New contacts arrive as *non-subscribed*: Omnisend mails them only once they subscribe. The shop's own "
        "automations may fire for contacts that are touched."
    )


def _segment_note(t: Translator, note: Mapping[str, Any]) -> str:
    _ = t.gettext
    facts = {key: safe(note.get(key, "")) for key in ("segment", "property", "name", "scope")}
    match note.get("kind"):
        case "segment_by_hand":
            return _(
                "The API key may not make segments ({scope}). Make *{segment}* in Omnisend by hand: custom property "
                "`{property}` is true."
            ).format(**facts)
        case "segment_later":
            return _("The segment *{segment}* could not be made at Omnisend; the next run tries again.").format(**facts)
        case "segment_renamed":
            return _(
                "Omnisend has a segment named *{segment}* with another rule. It was left alone; ours is *{name}*."
            ).format(**facts)
        case "segments_scope":
            return _("The API key may not read segments ({scope}), so Omnisend's own count is not known.").format(
                **facts
            )
        case "segments_unknown":
            return _("Omnisend's own count could not be asked for.")
        case _:
            return ""


def finding_words(t: Translator, finding: Mapping[str, Any]) -> str:
    """What the guard asks about, as a sentence."""
    _ = t.gettext
    facts = {key: t.number(value) if isinstance(value, int | float) else safe(value) for key, value in finding.items()}
    match finding.get("kind"):
        case "empty":
            if finding.get("before") is None:
                return _("*{segment}* has no members.").format(**facts)
            return _("*{segment}* fell from {before} to 0 members.").format(**facts)
        case "fall":
            left = int(finding.get("members") or 0)
            return t.ngettext(
                "*{segment}* fell from {before} to {members} member.",
                "*{segment}* fell from {before} to {members} members.",
                left,
            ).format(**facts)
        case "ledger_behind":
            return _(
                "Omnisend's segment has {at_omnisend} contacts, but this export remembers only {ledger}: its memory "
                "was lost or comes from an old backup, or the export was made anew. Sent now, those who have left "
                "meanwhile would stay at Omnisend."
            ).format(**facts)
        case "rejects":
            return _("{rejected} of {profiles} profiles would be rejected.").format(**facts)
        case "removals":
            return _("{removed} of the {exported} contacts exported before would be taken out.").format(**facts)
        case "new_contacts":
            return _(
                "{added} new contacts would be created at Omnisend (the limit is {most}): they may cost money."
            ).format(**facts)
        case "field_changed":
            return _("The field {field} is no longer {before} but {after}.").format(**facts)
        case _:
            return _("The guard found something unusual ({kind}).").format(kind=facts.get("kind", "?"))
