"""Which export owns a segment at a brand.

A segment is one boolean property at Omnisend. If two exports of a brand sent it, each would undo the other, so it goes
to a brand through one export only. The property, not the name, is what they would share: names that look the same, and
one name in two sources, end up in the same property.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.omnisend.contacts import segment_property
from bot.pipeline.staging import MAX_SEGMENTS
from bot.services.errors import SegmentOwned, SegmentOwnedElsewhere, SegmentsAlike, SegmentsMissing, TooManySegments
from storage.models import Batch, Book, Connection, Export, ExportSegment, SegmentState


def check_segments(names: Sequence[str]) -> dict[str, str]:
    """The property of each chosen segment: property → name. Raises a `FieldError` of the field `segments`."""
    chosen = list(dict.fromkeys(names))
    if not chosen:
        raise SegmentsMissing
    if len(chosen) > MAX_SEGMENTS:
        raise TooManySegments(count=len(chosen), most=MAX_SEGMENTS)
    properties: dict[str, str] = {}
    for name in chosen:
        other = properties.setdefault(segment_property(name), name)
        if other != name:
            raise SegmentsAlike(one=other, other=name)
    return properties


async def own_segments(session: AsyncSession, export: Export, connection: Connection, names: Sequence[str]) -> None:
    """Make these the export's segments at the connection's brand.

    A segment that is no longer chosen is dropped by the next run (sent as false to those who have it), unless nothing
    was ever sent to this brand: then it is simply removed. Raises `SegmentOwned`, which names the first export.
    """
    wanted = check_segments(names)
    stored = {segment.property_name: segment for segment in await segments_of(session, export)}
    sent = await was_sent(session, export, connection.brand_id)
    for property_name, segment in stored.items():
        if property_name not in wanted and not sent:
            await session.delete(segment)
    kept = {name: segment for name, segment in stored.items() if name in wanted or sent}
    await _refuse_owned(session, export, connection.brand_id, {**_names(kept), **wanted})
    for property_name, segment in kept.items():
        _move(segment, connection)
        segment.state = SegmentState.SELECTED if property_name in wanted else SegmentState.DROPPING
        segment.name = wanted.get(property_name, segment.name)
        session.add(segment)
    assert export.id is not None
    for property_name, name in wanted.items():
        if property_name not in stored:
            session.add(
                ExportSegment(
                    team_id=export.team_id,
                    export_id=export.id,
                    brand_id=connection.brand_id,
                    source=connection.source,
                    name=name,
                    property_name=property_name,
                )
            )
    await session.flush()


async def segments_of(session: AsyncSession, export: Export) -> Sequence[ExportSegment]:
    statement = select(ExportSegment).where(ExportSegment.export_id == export.id).order_by(col(ExportSegment.id))
    return (await session.exec(statement)).all()


async def selected_names(session: AsyncSession, export: Export) -> list[str]:
    """The names of the segments that are chosen now."""
    segments = await segments_of(session, export)
    return [segment.name for segment in segments if segment.state is SegmentState.SELECTED]


async def was_sent(session: AsyncSession, export: Export, brand_id: str) -> bool:
    """Whether anything of this export was ever submitted to the brand, or may have been."""
    statement = (
        select(Batch.id)
        .join(Book, col(Book.id) == col(Batch.book_id))
        .where(Book.export_id == export.id, Book.brand_id == brand_id)
        .limit(1)
    )
    return (await session.exec(statement)).first() is not None


async def owned_elsewhere(
    session: AsyncSession, connection: Connection, names: Sequence[str], export_id: int | None
) -> dict[str, str]:
    """The segments that another export has at this brand: name → that export's, empty if it is of another workspace."""
    wanted = {segment_property(name): name for name in names}
    found = await _owners(session, connection.brand_id, wanted, but=export_id)
    return {
        wanted[segment.property_name]: owner.name if owner.team_id == connection.team_id else ""
        for segment, owner in found
    }


async def _refuse_owned(session: AsyncSession, export: Export, brand_id: str, wanted: Mapping[str, str]) -> None:
    for segment, owner in await _owners(session, brand_id, wanted, but=export.id):
        name = wanted[segment.property_name]
        if owner.team_id != export.team_id:
            raise SegmentOwnedElsewhere(segment=name)
        raise SegmentOwned(segment=name, export=owner.name)


async def _owners(
    session: AsyncSession, brand_id: str, properties: Iterable[str], *, but: int | None
) -> Sequence[tuple[ExportSegment, Export]]:
    """The other exports that have one of these properties at a brand, the first first."""
    statement = (
        select(ExportSegment, Export)
        .join(Export, col(Export.id) == col(ExportSegment.export_id))
        .where(
            ExportSegment.brand_id == brand_id,
            col(ExportSegment.export_id).is_distinct_from(but),
            col(ExportSegment.property_name).in_(properties),
        )
        .order_by(col(ExportSegment.id))
    )
    return (await session.exec(statement)).all()


def _move(segment: ExportSegment, connection: Connection) -> None:
    """At another brand nothing is known of the segment yet."""
    if segment.brand_id != connection.brand_id:
        segment.omnisend_id = segment.omnisend_name = segment.last_members = None
    segment.brand_id, segment.source = connection.brand_id, connection.source


def _names(segments: Mapping[str, ExportSegment]) -> dict[str, str]:
    return {property_name: segment.name for property_name, segment in segments.items()}
