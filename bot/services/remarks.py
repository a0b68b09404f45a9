"""What somebody should know who saves or changes something, though nothing is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.omnisend.contacts import OPT_IN
from bot.pipeline.mapping import Line
from storage.errors import mark
from storage.models import Connection, Export, FieldMapping

_TEXTS = {
    "non-subscribed": mark(
        "New contacts arrive at Omnisend as non-subscribed: they may not be mailed until they subscribe. Nobody's "
        "subscription is ever changed."
    ),
    "opt-in": mark(
        "Contacts arrive at Omnisend with the opt-in of their profile, and as non-subscribed where it has none that "
        "can be read. Omnisend keeps whichever status has the later date. Whoever arrives as subscribed may be mailed "
        "at once."
    ),
    "automations": mark(
        "The shop's own automations may fire for the contacts that an export creates or changes. Look at those that "
        "start when a contact or a custom property changes before the first run."
    ),
    "mapped-differently": mark(
        "{attribute} comes from another field in the export *{other}*, which goes to the same brand: for contacts in "
        "both, the run that comes last decides."
    ),
    "no-schedule": mark("The workspace's refresh is off: until an admin sets it, this export runs by hand only."),
    "webhook-only": mark(
        "The workspace's refresh is off, so this export runs by hand and when the refresh webhook is called."
    ),
}


@dataclass(frozen=True, slots=True)
class Remark:
    """`kind` says which one, `facts` fill in its text."""

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    def explain(self, translate: Callable[[str], str] = str) -> str:
        facts = dict(self.facts)
        if "attribute" in facts:
            line = Line(facts["attribute"], "")
            facts["attribute"] = line.label if line.is_custom else translate(line.label)
        return translate(_TEXTS[self.kind]).format(**facts)


async def subscription(session: AsyncSession, export: Export) -> Remark:
    """As what new contacts arrive."""
    mapped = await _rows(session, FieldMapping.export_id == export.id)
    return Remark("opt-in" if any(row.attribute in OPT_IN for row in mapped) else "non-subscribed")


async def mapped_differently(session: AsyncSession, export: Export, connection: Connection) -> list[Remark]:
    """Attributes that another export of the same brand makes from something else; each pair once."""
    ours = {row.attribute: row for row in await _rows(session, FieldMapping.export_id == export.id)}
    others = (
        select(FieldMapping, Export.name)
        .join(Export, col(Export.id) == col(FieldMapping.export_id))
        .join(Connection, col(Connection.id) == col(Export.connection_id))
        .where(Connection.brand_id == connection.brand_id, Export.team_id == export.team_id, Export.id != export.id)
        .order_by(col(FieldMapping.export_id), col(FieldMapping.position))
    )
    remarks = []
    for theirs, name in (await session.exec(others)).all():
        mine = ours.get(theirs.attribute)
        if mine is not None and (mine.kind, mine.value) != (theirs.kind, theirs.value):
            remarks.append(Remark("mapped-differently", {"attribute": theirs.attribute, "other": name}))
    return remarks


async def _rows(session: AsyncSession, condition: Any) -> list[FieldMapping]:
    return list((await session.exec(select(FieldMapping).where(condition))).all())
