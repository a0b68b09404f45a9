"""Whether an export still fits where it is moved to: another source has other fields and other segments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.pipeline.mapping import Line
from bot.services.errors import ExportUnfit


@dataclass(frozen=True, slots=True)
class Misfit:
    """What the new source does not have: fields with the attribute made from each, and segments, by name."""

    fields: tuple[tuple[str, str], ...] = ()
    segments: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.segments)


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
