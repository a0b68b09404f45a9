"""What somebody should know of segments they choose: another export's, too large, empty, long unchanged, unreadable."""

from bot.i18n import Translator
from bot.services.actor import Actor
from bot.services.context import Services
from bot.slack.drafts import Draft
from storage.errors import FerryError

LOOKED_AT = 20  # segments of one form: counting may take a moment each


async def look_at_segments(services: Services, t: Translator, actor: Actor, draft: Draft) -> list[str]:
    """Count the chosen segments, which the draft remembers; the warnings about them."""
    if draft.connection_id is None:
        return []
    warnings: list[str] = []
    members: dict[str, int] = {}
    for name in draft.segments[:LOOKED_AT]:
        known = draft.members(name)
        if known is None:
            try:
                known = draft.counts[name] = await services.exports.count(actor, draft.connection_id, name)
            except FerryError as error:
                warnings.append(error.explain(t.gettext))
                continue
        members[name] = known
    owned = await _owned(services, t, actor, draft.connection_id, draft)
    sizes = _sizes(t, members, services.settings.max_profiles)
    return [*owned, *warnings, *sizes, *await _unchanged(services, t, actor, draft.connection_id, members)]


async def _owned(services: Services, t: Translator, actor: Actor, connection_id: int, draft: Draft) -> list[str]:
    """Said at once; saving would refuse them."""
    found = await services.exports.owned_elsewhere(actor, connection_id, draft.segments, draft.export_id)
    here = t.gettext("{segment} goes to this brand through the export {export} already: leave it out here.")
    elsewhere = t.gettext("{segment} goes to this brand from another workspace already: leave it out here.")
    return [(here if export else elsewhere).format(segment=name, export=export) for name, export in found.items()]


def _sizes(t: Translator, members: dict[str, int], most: int) -> list[str]:
    warnings = []
    for name, count in members.items():
        if count == 0:
            warnings.append(t.gettext("{segment} has no members now.").format(segment=name))
        elif count > most:
            text = t.gettext("{segment} has {members} members; an export may have {most} profiles.")
            warnings.append(text.format(segment=name, members=t.number(count), most=t.number(most)))
    return warnings


async def _unchanged(
    services: Services, t: Translator, actor: Actor, connection_id: int, members: dict[str, int]
) -> list[str]:
    """Only what past runs know, and only of segments that are not empty anyway."""
    there = {name: count for name, count in members.items() if count}
    found = await services.exports.unchanged_since(actor, connection_id, there)
    text = t.gettext(
        "{segment} has had exactly {members} members in every run since {date}: is it still being refreshed?"
    )
    return [
        text.format(segment=name, members=t.number(members[name]), date=t.date(since)) for name, since in found.items()
    ]
