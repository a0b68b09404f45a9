"""The last runs of an export: as charts, and the same in words."""

from collections.abc import Mapping, Sequence

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import moment, status_words, trigger_words
from storage.models import Run

CHART_RUNS = 12  # in the chart; Slack takes at most 20 points


def history(t: Translator, name: str, export_id: int, runs: Sequence[Run], zone: str, *, may_run: bool = True) -> Json:
    """The last runs, newest first: two charts, and the same as text for screen readers and whoever has no charts."""
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
    rows = [_row(t, run, zone) for run in runs]
    sections = [kit.section("\n".join(rows[start : start + 6])) for start in range(0, len(rows), 6)]
    read_aloud = "\n".join([f"{title}:", *(_row(t, run, zone, plain=True) for run in runs)])
    charts = _charts(t, name, runs[:CHART_RUNS], zone)
    return kit.message(read_aloud, [kit.section(f"*{title}*"), *charts, *sections, *ending])


def _charts(t: Translator, name: str, runs: Sequence[Run], zone: str) -> list[Json]:
    """Slack docs, Data visualization block: contacts and seconds differ too much for one scale. None for one run."""
    _ = t.gettext
    over = [run for run in reversed(runs) if run.ended_at is not None]
    if len(over) < 2:
        return []
    labels = [kit.cut(f"{t.date(run.ended_at, zone)} #{run.id}" if run.ended_at else "", 20) for run in over]
    if len(set(labels)) < len(labels):
        labels = [f"#{run.id}" for run in over]
    contacts = {
        _("Members"): [float(members(run)) for run in over],
        _("Added"): [float(run.added) for run in over],
        _("Removed"): [float(run.removed) for run in over],
        _("Rejected"): [float(run.rejected) for run in over],
    }
    minutes = {_("Minutes"): [round(_seconds(run) / 60, 2) for run in over]}
    return [
        _chart("line", _("Runs of {name}").format(name=name), labels, contacts, _("Run"), _("Contacts")),
        _chart("bar", _("How long runs of {name} took").format(name=name), labels, minutes, _("Run"), _("Minutes")),
    ]


def _chart(kind: str, title: str, labels: Sequence[str], series: Mapping[str, list[float]], x: str, y: str) -> Json:
    return {
        "type": "data_visualization",
        "title": kit.cut(title, 50),
        "chart": {
            "type": kind,
            "series": [
                {
                    "name": kit.cut(name, 20),
                    "data": [{"label": at, "value": value} for at, value in zip(labels, values, strict=True)],
                }
                for name, values in series.items()
            ],
            "axis_config": {"categories": list(labels), "x_label": x, "y_label": y},
        },
    }


def members(run: Run) -> int:
    """The contacts that a run found in its segments and fit to be sent."""
    return run.unchanged + run.added + run.changed


def _seconds(run: Run) -> float:
    return (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else 0.0


def _row(t: Translator, run: Run, zone: str, *, plain: bool = False) -> str:
    """One run as a line. `plain`: for being read aloud, without markup."""
    numbers = t.ngettext(
        "{members} member: {added} added, {changed} changed, {removed} removed, {rejected} rejected",
        "{members} members: {added} added, {changed} changed, {removed} removed, {rejected} rejected",
        members(run),
    ).format(
        members=t.number(members(run)),
        **{key: t.number(getattr(run, key)) for key in ("added", "changed", "removed", "rejected")},
    )
    at = run.ended_at or run.created_at
    when = t.moment(at, zone) if plain else moment(t, at, zone)
    status = status_words(t, run.status) if plain else f"*{status_words(t, run.status)}*"
    facts = [when, status, numbers]
    if run.started_at and run.ended_at:
        facts.append(t.duration(_seconds(run)))
    if not plain:
        facts.append(trigger_words(t, run))
    return " · ".join(facts)
