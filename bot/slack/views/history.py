"""The last runs of an export: as charts, and the same in words."""

from collections.abc import Sequence

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.kit import Json, safe
from bot.slack.views.words import moment, status_words, trigger_words
from storage.models import Run

CHART_RUNS = 12  # in the chart; Slack takes at most 20 points


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
