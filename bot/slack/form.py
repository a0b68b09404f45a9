"""What stands in the inputs of a view, by field."""

from typing import Any

from bot.slack.ids import Field
from bot.slack.views.kit import Json


class Form:
    """Reads `state.values`. A field's block may carry a suffix (`email:2`), which does not matter to the reader."""

    def __init__(self, view: Json) -> None:
        self._blocks: dict[str, str] = {}
        self._entries: dict[str, Json] = {}
        for block, actions in ((view.get("state") or {}).get("values") or {}).items():
            name = block.partition(":")[0]
            self._blocks[name] = block
            self._entries[name] = next(iter(actions.values()), {})

    def __contains__(self, field: Field) -> bool:
        return field in self._blocks

    def block(self, field: Field) -> str:
        """The block id under which an error for this field must stand."""
        return self._blocks.get(field, field)

    def text(self, field: Field) -> str:
        return str(self._entry(field).get("value") or "").strip()

    def choice(self, field: Field) -> str:
        """The value of the chosen option; empty if none is."""
        return str((self._entry(field).get("selected_option") or {}).get("value") or "")

    def chosen(self, field: Field) -> list[Json]:
        """The chosen options, whole."""
        entry = self._entry(field)
        one = entry.get("selected_option")
        return list(entry.get("selected_options") or ([one] if one else []))

    def choices(self, field: Field) -> list[str]:
        return [option["value"] for option in self.chosen(field)]

    def people(self, field: Field) -> tuple[str, ...]:
        return tuple(self._entry(field).get("selected_users") or ())

    def channel(self, field: Field) -> str:
        return str(self._entry(field).get("selected_conversation") or "")

    def ticked(self, field: Field) -> bool:
        """Whether any box of a group is ticked."""
        return bool(self.chosen(field))

    def _entry(self, field: Field) -> dict[str, Any]:
        return self._entries.get(field, {})
