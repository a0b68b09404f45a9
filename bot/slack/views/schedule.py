"""When something runs: inputs for times of day, weekdays and time zone; and the workspace's refresh."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.slack.ids import Action, Field, Modal
from bot.slack.views import kit
from bot.slack.views.kit import Json
from bot.slack.views.words import weekday_names

MOST_TIMES = 4  # a day
ACTIVE, INACTIVE = "on", "off"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Local times such as `06:30`, on weekdays (Monday is 0), in a time zone."""

    times: Sequence[str] = ("06:00",)
    weekdays: Sequence[int] = tuple(range(7))
    zone: str = "UTC"


def recurrence_inputs(t: Translator, recurrence: Recurrence) -> list[Json]:
    _ = t.gettext
    grid = sorted({f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)} | set(recurrence.times))
    times = [kit.option(time, time) for time in grid]
    days = [kit.option(name, number) for number, name in enumerate(weekday_names(t))]
    return [
        kit.field(
            _("At"),
            kit.multi_select(times, recurrence.times, placeholder=_("Up to four times a day"), most=MOST_TIMES),
            Field.TIMES,
        ),
        kit.field(_("On"), kit.checkboxes(days, recurrence.weekdays), Field.WEEKDAYS),
        kit.field(
            _("Time zone"),
            kit.search(kit.option(recurrence.zone, recurrence.zone), placeholder=_("Continent or city")),
            Field.ZONE,
            hint=_("When the clocks change nothing runs twice and nothing is lost."),
        ),
    ]


def refresh_form(
    t: Translator,
    recurrence: Recurrence,
    *,
    active: bool,
    attached: int,
    waits: float = 0,
    problem: str = "",
) -> Json:
    """The workspace's refresh: off by default. `waits`: minutes that a refresh of the source is taken to last."""
    _ = t.gettext
    switch = [kit.option(_("Off"), INACTIVE), kit.option(_("On"), ACTIVE)]
    said = t.ngettext("{n} export runs with each refresh.", "{n} exports run with each refresh.", attached)
    return kit.modal(
        _("Refresh schedule"),
        [
            kit.section(said.format(n=t.number(attached))),
            *([kit.alert(problem)] if problem else []),
            kit.field(_("The refresh is"), kit.radio(switch, ACTIVE if active else INACTIVE), Field.ACTIVE),
            *recurrence_inputs(t, recurrence),
            *([kit.context(_waiting(t, waits))] if waits else []),
            kit.actions(kit.button(_("Refresh webhook"), Action.WEBHOOK)),
        ],
        callback=Modal.REFRESH,
        submit=_("Save"),
        close=_("Cancel"),
    )


def _waiting(t: Translator, minutes: float) -> str:
    return t.gettext(
        "Choose the times at which Customer Insights begins its own refresh. Exports that read it wait for {time} "
        "after each of them, or until the webhook says that the refresh has ended, since its tables don't fit together "
        "before."
    ).format(time=t.duration(minutes * 60))
