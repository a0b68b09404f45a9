"""Every view and message that the Slack face can build, with the shortest and the longest data it can meet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.i18n import Translator, translator
from bot.services.consent import consent_text
from bot.slack.ids import Action, Field
from bot.slack.parse import Verb
from bot.slack.views import (
    common,
    configure,
    connect,
    connections,
    consent,
    exports,
    history,
    home,
    kit,
    mapping,
    preview,
    report,
    requests,
    runs,
    schedule,
    sign_in,
    tidings,
    webhook,
    words,
    workspace,
)
from bot.slack.views.common import Choice
from bot.slack.views.configure import ExportForm, OptionsForm, SegmentChoice
from bot.slack.views.connect import ConnectForm, SourceChoice
from bot.slack.views.connections import ConnectionRow, InUse
from bot.slack.views.consent import ConsentRecord
from bot.slack.views.exports import ExportLine
from bot.slack.views.home import Attention, Home
from bot.slack.views.mapping import AttributeForm, OptIn, OptInForm, Row
from bot.slack.views.preview import Example, PreviewCard
from bot.slack.views.runs import Pace
from bot.slack.views.schedule import Recurrence
from bot.slack.views.webhook import Webhook
from storage.models import Audience, Leavers, MappingKind, Run, RunStatus, Stage, Trigger, When

Json = dict[str, Any]
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PERSON = "U0123456789"
TIMES = ["00:15", "06:00", "12:00", "23:59"]
T = translator()


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything. `name` is what people may type; `wild` comes from a source, unlimited."""

    label: str
    name: str
    wild: str
    text: str
    many: int
    number: int

    def names(self, count: int | None = None) -> list[str]:
        return [f"{n}{self.wild}"[: len(self.wild)] or str(n) for n in range(self.many if count is None else count)]


SHORT = Size("short", "A", "x", "!", 1, 0)
LONG = Size(
    "long",
    "🛍️ <@U1> & مجموعة العملاء المميزين `*_~ " + "W" * 34,
    "客戶 <!channel> & _*`" + "🧡ש" * 118,
    "An error of some length & <b>more</b> about ann@example.com. " * 60,
    100,
    1_234_567_890,
)
SIZES = (SHORT, LONG)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """`surface`: message, modal or home. `function`: what built it."""

    name: str
    surface: str
    function: str
    payload: Json


def exhibits() -> Iterator[Exhibit]:
    for size in SIZES:
        for maker in (
            _common,
            _connect,
            _requests,
            _connections,
            _consent,
            _sign_in,
            _configure,
            _runs,
            _preview,
            _home,
            _settings,
            _tidings,
        ):
            for surface, function, payload in maker(T, size):
                name = f"{size.label} {function.__module__.rpartition('.')[2]}.{function.__name__}"
                yield Exhibit(name, surface, f"{function.__module__}.{function.__name__}", payload)


Made = Iterator[tuple[str, Callable[..., Any], Json]]


def _common(t: Translator, s: Size) -> Made:
    buttons = [kit.button(s.name, Action.HELP, s.number)]
    yield "modal", common.loading, common.loading(t, s.text)
    yield "modal", common.notice, common.notice(t, s.text, kit.safe(s.text), "", buttons=buttons)
    yield "message", common.note, common.note(kit.safe(s.text), buttons)
    yield "modal", common.as_modal, common.as_modal(t, s.text, common.note(kit.safe(s.text)))
    yield "modal", common.error_view, common.error_view(t, kit.safe(s.text))
    yield "modal", common.error_view, common.error_view(t, common.unexpected(t, "F-7K2Q"))
    yield "message", common.error_message, common.error_message(t, kit.safe(s.text))
    yield "modal", common.changed_view, common.changed_view(t, kit.safe(s.text))
    yield "modal", common.changed_view, common.changed_view(t)
    for is_admin in (True, False):
        for has in (True, False):
            made = common.help_message(t, is_admin=is_admin, has_connection=has)
            yield "message", common.help_message, made
            yield "modal", common.as_modal, common.as_modal(t, "Help", made)
    for near in (None, *Verb):
        yield "message", common.unknown_command, common.unknown_command(t, s.text, near, s.text)
    choices = [Choice(n, name, kit.safe(s.name)) for n, name in enumerate(s.names())]
    yield "message", common.choose_export, common.choose_export(t, kit.safe(s.name), s.name, Action.RUN, choices)


def _connect(t: Translator, s: Size) -> Made:
    sources = [
        SourceChoice(str(n), name, needs_export_user=n != 1, app_offered=n != 1)
        for n, name in enumerate(s.names(1 if s is SHORT else 3))
    ]
    people = [PERSON] * min(s.many, 50)
    consent = consent_text(t.gettext) * (1 if s is SHORT else 4)
    for audience in Audience:
        for stage in connect.Stage:
            for at in (None, Field.NAME, Field.KEY, Field.READER, Field.AGREE):
                form = ConnectForm(
                    consent=consent,
                    shown="2026-11.1/en-US",
                    sources=sources,
                    source=str(list(connect.Stage).index(stage)),
                    app=at is Field.KEY,
                    account=s.name if at is None else "",
                    stage=stage,
                    name=s.name,
                    audience=audience,
                    people=people,
                    brand_id="f" * 24,
                    brand=s.wild,
                    problem=s.text[:1_500] if stage is connect.Stage.FRESH else "",
                    problem_at=at,
                    request=f"{s.number}:{PERSON}",
                )
                yield "modal", connect.connect_form, connect.connect_form(t, form)
        words_of = connect.audience_words(t, audience, people, ["S1"] * s.many)
        yield "modal", connect.saved, connect.saved(t, s.name, s.wild, words_of, s.number)


def _connections(t: Translator, s: Size) -> Made:
    people, groups = [PERSON] * min(s.many, 50), [kit.option(f"@{s.name}", f"S{n}") for n in range(s.many)]
    for audience in Audience:
        made = connections.edit_form(
            t, f"{s.number}|{NOON.isoformat()}", s.name, audience, people, groups, problem=s.text
        )
        yield "modal", connections.edit_form, made
    rows = [_connection_row(s, n) for n in range(s.many)]
    for is_admin in (True, False):
        for shown in (rows, []):
            made = connections.connections_view(t, shown, is_admin=is_admin)
            yield "modal", connections.connections_view, made
    for checking in (True, False):
        problem = "" if checking else s.text
        made = connections.key_form(t, s.number, s.name, s.name[:4], checking=checking, problem=problem)
        yield "modal", connections.key_form, made
    for using in ([], [InUse(n, s.name) for n in range(s.many)]):
        yield "modal", connections.remove_form, connections.remove_form(t, s.number, s.name, using)


def _consent(t: Translator, s: Size) -> Made:
    text = consent_text(t.gettext) * (1 if s is SHORT else 4)
    for holds in (True, False):
        record = ConsentRecord(PERSON, t.moment(NOON), "2026-11.1", "en-US", "f" * 64, full_values=holds, holds=holds)
        for shown in (record, None):
            made = consent.consent_view(t, s.number, s.name, shown, s.names())
            yield "modal", consent.consent_view, made
        made = consent.agree_form(t, "1|2026-11.1/en-US", s.name, text, full_values=holds)
        yield "modal", consent.agree_form, made
    yield "modal", consent.withdrawn, consent.withdrawn(t, s.name, s.names(), s.names())


def _requests(t: Translator, s: Size) -> Made:
    yield "modal", requests.request_form, requests.request_form(t)
    yield "message", requests.request_message, requests.request_message(t, PERSON, s.text[:500], s.number)
    yield "message", requests.request_answered, requests.request_answered(t, PERSON, s.text[:500])
    usable = [(n, name[:75]) for n, name in enumerate(s.names())]
    made = requests.approve_form(t, s.number, PERSON, s.text[:500], usable)
    yield "modal", requests.approve_form, made
    yield "modal", requests.decline_form, requests.decline_form(t, s.number, PERSON)


def _connection_row(s: Size, number: int) -> ConnectionRow:
    return ConnectionRow(
        id=number,
        name=s.name,
        brand=s.wild,
        withdrawn=number % 3 == 1,
        consent_outdated=number % 2 == 0,
        audience=kit.safe(s.name),
        key_hint="abcd",
        exports=s.number,
        agreed_by=PERSON,
        agreed_at=NOON,
        source=s.wild,
        reads_as=sign_in.reads_as(T, s.name, PERSON, NOON, NOON),
        signed_out=number % 4 == 3,
        has_export_user=number % 2 == 1,
    )


def _sign_in(t: Translator, s: Size) -> Made:
    yield "modal", sign_in.code_view, sign_in.code_view(t, "ABCD23456", f"https://{s.name[:1]}.example/", NOON, "UTC")
    yield "modal", sign_in.checking_view, sign_in.checking_view(t)
    yield "modal", sign_in.ended_view, sign_in.ended_view(t, kit.safe(s.text), again="again-1")
    check = {"check": f"{s.number}-{s.number}"}
    yield "modal", sign_in.unfit_view, sign_in.unfit_view(t, s.name, kit.safe(s.text), again="again-", **check)
    yield "message", sign_in.unfit_message, sign_in.unfit_message(t, s.name, kit.safe(s.text), **check)
    for name in ("", s.name):
        yield "modal", sign_in.done_view, sign_in.done_view(t, s.name, name)
        yield "message", sign_in.done_message, sign_in.done_message(t, name, s.name)
        yield "message", sign_in.done_message, sign_in.done_message(t, s.name, name)
        made = sign_in.replace_view(t, s.number, s.name, name, app_offered=bool(name))
        yield "modal", sign_in.replace_view, made
    for kind in (sign_in.PERSON, sign_in.APP):
        facts = {"connection": s.name, "connection_id": s.number, "until": NOON.isoformat(), "kind": kind}
        yield "message", sign_in.due_message, sign_in.due_message(t, facts)
        yield "message", sign_in.over_message, sign_in.over_message(t, facts)


def _configure(t: Translator, s: Size) -> Made:
    rows = [Row(name, s.wild, MappingKind.FIELD, clear=True) for name in mapping.STANDARD]
    rows += [
        Row(f"custom:{n}_".ljust(120, "x"), s.text[:500], MappingKind.TEMPLATE, clear=bool(n % 2))
        for n in range(s.many)
    ]
    samples = dict.fromkeys([s.wild, *s.names()], s.wild)
    segments = [SegmentChoice(name, s.number if n % 2 else None) for n, name in enumerate(s.names())]
    for when in When:
        for at in (None, Field.NAME, Field.CONNECTION, Field.SEGMENTS, Field.EMAIL, Field.CHANNEL, Field.TIMES):
            form = ExportForm(
                draft="d" * 12,
                connections=[(n, s.name) for n in range(s.many)],
                connection_id=0,
                editing=at is None,
                name=s.name,
                segments=segments,
                warnings=[s.text[:2_000]] * 3,
                email=s.wild,
                rows=rows if s is LONG else [],
                samples=samples,
                suggestions=dict.fromkeys(mapping.STANDARD, s.wild) if at else {},
                opt_in=OptIn(s.wild, s.wild[::-1]) if at is None else None,
                when=when,
                refresh_active=False,
                recurrence=Recurrence(
                    ["00:15", "06:00", "12:00", "23:59"][: s.many], [0, 6], "America/Argentina/Ushuaia"
                ),
                channel="C0123456789" if s is LONG else "",
                leavers=Leavers.KEEP if at else Leavers.FLAG_FALSE,
                notify=[PERSON] * s.many,
                generation=s.number,
                problem=s.text[:2_500],
                problem_at=at,
            )
            yield "modal", configure.export_form, configure.export_form(t, form)
    yield "modal", configure.export_form, configure.export_form(t, ExportForm("d", [(1, s.name)]))
    yield "modal", configure.saving, configure.saving(t, ExportForm("d", [(1, s.name)], name=s.name))
    for row in (None, rows[0], rows[-1]):
        for attribute in ("", "firstName", "custom:", "custom:".ljust(135, "x")):
            attribute_form = AttributeForm(
                "d",
                mapping.STANDARD,
                attribute,
                editing=row is not None,
                row=row,
                samples=samples,
                suggested=s.wild,
                problem=s.text[:1_000],
            )
            yield "modal", mapping.attribute_form, mapping.attribute_form(t, attribute_form)
    for chosen in (None, OptIn(s.wild, s.wild)):
        yield "modal", mapping.opt_in_form, mapping.opt_in_form(t, OptInForm("d", chosen, samples))
    limits = {name: "99.5" if name != "new_contacts" else "100" for name in configure.LIMIT_FIELDS}
    options = OptionsForm("d", Leavers.KEEP, [PERSON] * min(s.many, 20), limits if s is LONG else {}, limits, s.text)
    yield "modal", configure.options_form, configure.options_form(t, options)
    for channel in ("", "C0MARKETING"):
        yield "modal", configure.saved, configure.saved(t, s.name, s.number, [s.text] * s.many, channel)
    for is_admin in (True, False):
        for admins in ([], [PERSON] * s.many):
            made = configure.no_connection(t, is_admin=is_admin, admins=admins)
            yield "modal", configure.no_connection, made
    yield "modal", configure.duplicate_form, configure.duplicate_form(t, s.number, s.name, problem=s.text)
    for may_empty in (True, False):
        yield "modal", configure.remove_form, configure.remove_form(t, s.number, s.name, may_empty=may_empty)


def a_run(s: Size, **values: Any) -> Run:
    """A run with everything that a report can mention."""
    kinds = [
        "resumed", "duplicates", "cut", "unresolved_countries", "without_profile", "held", "refused", "source",
        "left_behind", "segment_by_hand", "segment_later", "segment_renamed", "segments_scope", "segments_unknown",
        "question_expired", "question_superseded", "opt_in", "opt_in_status", "opt_in_date", "opt_in_future",
        "rejected", "adopted", "something newer",
    ]  # fmt: skip
    reasons = dict.fromkeys(["missing_email", "invalid_email", "email_too_long", "suppressed", "omnisend"], s.number)
    note = {
        "reasons": reasons,
        "count": s.number,
        "text": s.wild,
        "attributes": [s.wild] * s.many,
        "segment": s.wild,
        "name": s.wild,
    }
    findings = [
        "empty",
        "fall",
        "ledger_behind",
        "rejects",
        "removals",
        "new_contacts",
        "field_changed",
        "something newer",
    ]
    facts = dict.fromkeys(("before", "members", "ledger", "at_omnisend", "rejected", "profiles", "removed"), s.number)
    facts |= dict.fromkeys(("exported", "added", "most"), s.number)
    counts = dict.fromkeys(
        ("profiles", "added", "changed", "removed", "unchanged", "rejected", "in_doubt", "kept", "sent", "total"),
        s.number,
    )
    segment = {"name": s.wild, "members": s.number, "contacts": s.number, "omnisend_name": s.wild, "property": s.wild}
    return Run(
        **{
            "id": s.number,
            "team_id": "T1",
            "export_id": s.number,
            "export_name": s.name,
            "started_by": PERSON,
            "created_at": NOON,
            "started_at": NOON,
            "ended_at": NOON + timedelta(seconds=s.number % 100_000),
            **counts,
            "requests": s.number,
            "segments": [{**segment, "contacts_count": count} for count in (None, s.number, 5)] * s.many,
            "notes": [{**note, "kind": kind, "scope": "segments.read", "property": "p", "hours": 24} for kind in kinds],
            "findings": [
                {**facts, "kind": kind, "segment": s.name, "field": s.name, "after": s.name} for kind in findings
            ],
            "error_text": s.text[:2_000],
            "reference": "F-7K2Q",
            **values,
        }
    )


def _runs(t: Translator, s: Size) -> Made:
    for status in RunStatus:
        for trigger in Trigger:
            run = a_run(s, status=status, trigger=trigger, attempts=2, started_by=PERSON if s is LONG else "")
            yield "message", runs.live, runs.live(t, run)
            yield "message", report.finished, report.finished(t, run)
        yield "message", report.finished, report.finished(t, Run(team_id="T1", export_name=s.name, status=status))
    for stage in Stage:
        for cancelled in (None, PERSON):
            run = a_run(s, status=RunStatus.RUNNING, stage=stage, cancel_requested_by=cancelled)
            yield "message", runs.live, runs.live(t, run, Pace(0.2, 90_000.0))
    run = a_run(s, status=RunStatus.ASKING)
    yield "message", runs.asking, runs.asking(t, run)
    yield "message", runs.asking, runs.asking(t, run, owner=PERSON, until=NOON)
    yield "message", runs.answered, runs.answered(t, run, kit.safe(s.name))
    details = report.details(t, run)
    assert details is not None
    yield "message", report.details, details
    failed = a_run(s, status=RunStatus.FAILED)
    for due in (NOON, None):
        yield "message", report.failed, report.failed(t, failed, next_due=due)
    for final in (True, False):
        counted = a_run(s, status=RunStatus.DONE, kept=0, in_doubt=0)
        counted.segments = [{**segment, "final": final, "contacts_count": s.number + 5} for segment in counted.segments]
        yield "message", report.finished, report.finished(t, counted)
    lines = [_line(s, n) for n in range(s.many)]
    active = [a_run(s, id=n, status=RunStatus.RUNNING, stage=Stage.SENDING) for n in range(s.many)]
    for shown in (lines, []):
        yield "message", exports.status, exports.status(t, active if shown else [], shown, "Europe/Berlin")
        yield "message", exports.exports, exports.exports(t, shown, "Europe/Berlin")
    for line in lines[:3]:
        yield "message", exports.one, exports.one(t, line, "Europe/Berlin")
    past = [a_run(s, id=s.number + n, status=RunStatus.DONE) for n in range(20)]
    for shown_runs in (past, past[:1], []):
        made = history.history(t, s.name, s.number, shown_runs, "Asia/Tokyo", may_run=bool(shown_runs))
        yield "message", history.history, made
        yield "modal", common.as_modal, common.as_modal(t, "History", made)


def _line(s: Size, number: int) -> ExportLine:
    statuses = list(RunStatus)
    last = a_run(s, status=statuses[number % len(statuses)]) if number % 3 else None
    return ExportLine(
        id=number,
        name=s.name,
        connection=s.name if number % 2 else "",
        last=last,
        next_due=NOON if number % 4 else None,
        paused=number % 5 == 0,
        may_run=number % 7 != 0,
        may_edit=number % 6 != 0,
    )


def _preview(t: Translator, s: Size) -> Made:
    run = a_run(s)
    examples = [Example(s.wild, s.wild, "added", {s.wild: s.wild, **dict.fromkeys(s.names(), s.text)}, s.names())] * 3
    for question in (None, s.number):
        for may in (True, False):
            card = PreviewCard(
                export_id=s.number,
                name=s.name,
                added=s.number,
                changed=s.number,
                removed=s.number,
                unchanged=s.number,
                kept=s.number,
                rejected=dict.fromkeys(
                    ["missing_email", "invalid_email", "email_too_long", "suppressed", s.wild], s.number
                ),
                members=dict.fromkeys(s.names(), s.number),
                examples=examples if s is LONG else (),
                findings=run.findings if question else (),
                left_behind=s.names(),
                notes=run.notes,
                requests=s.number,
                seconds=s.number,
                may_run=may,
                may_edit=may,
                question=question,
            )
            yield "modal", preview.preview, preview.preview(t, card)


def _home(t: Translator, s: Size) -> Made:
    button = kit.button(s.name, Action.RUN, s.number)
    page_of = range(min(s.many, home.EXPORTS_A_PAGE))
    active = [a_run(s, id=n, export_id=n, status=list(RunStatus)[n % 3]) for n in page_of]
    for is_admin in (True, False):
        for may_export in (True, False):
            for page in (0, 3):
                model = Home(
                    is_admin=is_admin,
                    may_export=may_export,
                    zone="Europe/Berlin",
                    attention=[Attention(kit.safe(s.text[:2_000]), button), Attention(kit.safe(s.name))] * s.many,
                    active=active,
                    exports=[_line(s, n) for n in page_of],
                    total=s.many,
                    page=page,
                    connections=[_connection_row(s, n) for n in range(s.many)],
                    refresh=words.schedule_words(t, ["06:00"] * 4, [0, 1], s.name),
                    run_all=s.number,
                )
                yield "home", home.home, home.home(t, model)
    yield "home", home.home, home.home(t, Home(is_admin=False, may_export=False))


def _settings(t: Translator, s: Size) -> Made:
    recurrence = Recurrence(TIMES[: s.many], range(min(7, s.many)), "Europe/Berlin")
    for active in (True, False):
        made = schedule.refresh_form(
            t, recurrence, active=active, attached=s.number, waits=90.0 * active, problem=s.text
        )
        yield "modal", schedule.refresh_form, made
        for known in (Webhook(active), Webhook(active, PERSON, NOON), Webhook(active, PERSON, NOON, NOON)):
            yield "modal", webhook.webhook_view, webhook.webhook_view(t, known)
        made = webhook.token_view(t, f"https://{'x' * s.many}.example/hooks/refresh/{'t' * 43}", complete=active)
        yield "modal", webhook.token_view, made
    for named in (None, [PERSON] * s.many):
        yield "modal", workspace.admins_form, workspace.admins_form(t, named, [PERSON] if s is LONG else [])


def _tidings(t: Translator, s: Size) -> Made:
    facts = {
        "export": s.name,
        "export_id": s.number,
        "exports": s.names(),
        "export_ids": list(range(s.many)),
        "connection": s.name,
        "connection_id": s.number,
        "by": PERSON,
        "due": NOON.isoformat(),
        "next_due": NOON.isoformat() if s is LONG else None,
        "text": s.text[:2_000],
        "reason": s.text[:500],
    }
    yield "message", tidings.skipped, tidings.skipped(t, {**facts, "code": "consent-outdated"})
    for tell in (tidings.skipped, tidings.missed, tidings.detached, tidings.approved, tidings.declined):
        yield "message", tell, tell(t, facts)
    yield "message", tidings.detached, tidings.detached(t, {**facts, "withdrawn": False})
    yield "message", tidings.recovered, tidings.recovered(t, a_run(s))
