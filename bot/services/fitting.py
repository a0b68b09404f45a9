"""Whether a mapping fits a source: line by line while it is made, and all of it where an export is moved to another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.pipeline.mapping import Line, check
from bot.services.errors import ExportUnfit
from bot.sources.base import Field
from storage.models import MappingKind

_ANY_EMAIL = Line("email", "-", MappingKind.TEMPLATE)


@dataclass(frozen=True, slots=True)
class Misfit:
    """What the new source does not have: fields with the attribute made from each, and segments, by name."""

    fields: tuple[tuple[str, str], ...] = ()
    segments: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.segments)


def check_line(attribute: str, value: str, kind: MappingKind, fields: Sequence[Field]) -> None:
    """Raises a `MappingError` for what is wrong with one line by itself, before the others are known."""
    check([_ANY_EMAIL, Line(attribute, value, kind)], fields)


def misfit(lines: Iterable[Line], segments: Sequence[str], *, fields: Iterable[str], offered: Iterable[str]) -> Misfit:
    """What of a mapping and of chosen segments is not among the fields and segments on offer."""
    there, known = set(fields), set(offered)
    missing = [(name, line.label) for line in lines for name in line.fields if name not in there]
    return Misfit(tuple(dict.fromkeys(missing)), tuple(name for name in segments if name not in known))


def refuse_misfit(found: Misfit, source: str) -> None:
    """Raises `ExportUnfit`, which names everything at once."""
    if not found:
        return
    parts = [f"{name} ({label})" for name, label in found.fields]
    parts += [f"*{name}*" for name in found.segments]
    raise ExportUnfit(source=source, missing=", ".join(parts))
