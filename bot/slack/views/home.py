"""App Home: health at a glance, what needs attention first, every action one click away."""

from collections.abc import Sequence
from dataclasses import dataclass

from bot.i18n import Translator
from bot.slack.ids import Action
from bot.slack.views import kit
from bot.slack.views.connections import ConnectionRow, connection_blocks
from bot.slack.views.exports import ExportLine, line_words, run_button
from bot.slack.views.kit import Json
from bot.slack.views.words import status_words
from storage.models import Run

EXPORTS_A_PAGE = 10  # two blocks each, of the 100 that Home takes
CONNECTIONS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should look at: mrkdwn, and the button that helps."""

    text: str
    button: Json | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """What one person sees. `exports`: of this page only; `total`: of all pages."""

    is_admin: bool
    may_export: bool
    zone: str = "UTC"
    attention: Sequence[Attention] = ()
    active: Sequence[Run] = ()
    exports: Sequence[ExportLine] = ()
    total: int = 0
    page: int = 0
    connections: Sequence[ConnectionRow] = ()
    refresh: str = ""
    run_all: int = 0


def home(t: Translator, model: Home) -> Json:
    return kit.home(
        [
            *_top(t, model),
            *_attention(t, model),
            *_exports(t, model),
            *_connections(t, model),
            *_workspace(t, model),
        ]
    )


def _top(t: Translator, model: Home) -> list[Json]:
    _ = t.gettext
    buttons = []
    if model.may_export:
        buttons.append(kit.button(_("New export"), Action.EXPORT, style="primary"))
    if model.is_admin:
        style = None if model.may_export else "primary"
        buttons.append(kit.button(_("Connect Omnisend"), Action.CONNECT, style=style))
    elif not model.may_export:
        buttons.append(kit.button(_("Request a connection"), Action.REQUEST_CONNECTION, style="primary"))
    if model.run_all:
        ask = kit.confirm(
            _("Run all?"),
            t.ngettext(
                "{n} export with an active schedule.", "{n} exports with an active schedule.", model.run_all
            ).format(n=t.number(model.run_all)),
            _("Run all"),
            _("No"),
            danger=False,
        )
        buttons.append(kit.button(_("Run all"), Action.RUN_ALL, confirm=ask))
    buttons += [kit.button(_("Help"), Action.HELP), kit.button(_("Reload"), Action.REFRESH_HOME)]
    return [kit.header(_("Segment Ferry")), kit.context(_health(t, model)), kit.actions(*buttons)]


def _health(t: Translator, model: Home) -> str:
    _ = t.gettext
    running = sum(run.status.active for run in model.active)
    facts = [
        t.ngettext("{n} export", "{n} exports", model.total).format(n=t.number(model.total)),
        t.ngettext("{n} running", "{n} running", running).format(n=t.number(running)),
    ]
    if model.connections:
        count = len(model.connections)
        facts.append(t.ngettext("{n} connection", "{n} connections", count).format(n=t.number(count)))
    count = len(model.attention)
    if count:
        facts.append(
            t.ngettext("{n} thing needs attention", "{n} things need attention", count).format(n=t.number(count))
        )
    else:
        facts.append(_("all is well"))
    return " · ".join(facts)


def _attention(t: Translator, model: Home) -> list[Json]:
    if not model.attention:
        return []
    _ = t.gettext
    blocks = [kit.header(_("Needs attention"))]
    blocks += [kit.section(one.text, one.button, block=f"attention-{n}") for n, one in enumerate(model.attention[:10])]
    if len(model.attention) > 10:
        blocks.append(kit.context(_("… and {count} more.").format(count=len(model.attention) - 10)))
    return blocks


def _exports(t: Translator, model: Home) -> list[Json]:
    _ = t.gettext
    blocks = [kit.divider(), kit.header(_("Exports"))]
    if not model.exports:
        empty = _("There is no export yet.") + (" " + _("Set up the first one.") if model.may_export else "")
        return [*blocks, kit.section(empty)]
    active = {run.export_id: run for run in model.active}
    for line in model.exports:
        blocks += _export(t, line, active.get(line.id), model.zone)
    pages = -(-model.total // EXPORTS_A_PAGE)
    if pages > 1:
        blocks.append(_paging(t, model.page, pages))
    return blocks


def _export(t: Translator, line: ExportLine, run: Run | None, zone: str) -> list[Json]:
    _ = t.gettext
    buttons: list[Json | None] = []
    if run is not None and line.may_run:
        buttons.append(run_button(t, run))
    elif run is None and line.may_run:
        buttons.append(kit.button(_("Run"), Action.RUN, line.id, label=_("Run {name}").format(name=line.name)))
    if line.may_run:
        buttons.append(kit.button(_("Preview"), Action.PREVIEW, line.id))
    buttons.append(kit.button(_("History"), Action.HISTORY, line.id))
    text = line_words(t, line, zone)
    if run is not None:
        text += f" · *{status_words(t, run.status)}*"
    return [
        kit.section(text, block=f"export-{line.id}"),
        kit.actions(*buttons, export_menu(t, line), block=f"export-actions-{line.id}"),
    ]


def export_menu(t: Translator, line: ExportLine) -> Json | None:
    """What else can be done with an export; nothing for those who may not."""
    if not line.may_edit:
        return None
    _ = t.gettext
    pause = (
        kit.option(_("Resume"), f"{Action.RESUME_EXPORT}:{line.id}")
        if line.paused
        else kit.option(_("Pause"), f"{Action.PAUSE_EXPORT}:{line.id}")
    )
    entries = [
        kit.option(_("Edit…"), f"{Action.EDIT_EXPORT}:{line.id}"),
        kit.option(_("Duplicate…"), f"{Action.DUPLICATE_EXPORT}:{line.id}"),
        pause,
        *([kit.option(_("Detach"), f"{Action.DETACH_EXPORT}:{line.id}")] if line.connection else []),
        kit.option(_("Remove…"), f"{Action.REMOVE_EXPORT}:{line.id}"),
    ]
    return kit.overflow(Action.MORE, entries)


def _paging(t: Translator, page: int, pages: int) -> Json:
    """The two buttons need two action ids within one block; the page is the value."""
    _ = t.gettext
    buttons = []
    if page > 0:
        buttons.append(kit.button(_("Previous"), Action.PAGE_BACK, page - 1))
    if page < pages - 1:
        buttons.append(kit.button(_("Next"), Action.PAGE_ON, page + 1))
    return kit.actions(*buttons, block="paging")


def _connections(t: Translator, model: Home) -> list[Json]:
    _ = t.gettext
    if not model.connections:
        return []
    blocks = [kit.divider(), kit.header(_("Connections"))]
    for row in model.connections[:CONNECTIONS_SHOWN]:
        blocks += connection_blocks(t, row, is_admin=model.is_admin)
    if len(model.connections) > CONNECTIONS_SHOWN:
        blocks.append(kit.actions(kit.button(_("All connections"), Action.CONNECTIONS), block="all-connections"))
    return blocks


def _workspace(t: Translator, model: Home) -> list[Json]:
    _ = t.gettext
    text = "*" + _("Refresh schedule") + "*\n" + (model.refresh or _("off"))
    blocks = [kit.divider(), kit.section(text, block="refresh-line")]
    if model.is_admin:
        buttons = [kit.button(_("Set refresh"), Action.REFRESH), kit.button(_("Admins"), Action.ADMINS)]
        blocks.append(kit.actions(*buttons, block="workspace"))
    return blocks
