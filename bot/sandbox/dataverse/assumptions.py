"""What Microsoft's documentation leaves open about these tables, each as a switch (`--assume NAME=VALUE`).

The defaults are the documented or the harsher behaviour: a client that gets on with them has room to spare.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Assumptions(BaseModel):
    """The emulator's behaviour where it is not known for certain."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, alias_generator=lambda name: name.replace("_", "-")
    )

    page_cap: int = Field(5_000, ge=1, description="Most rows in a page; another documentation page says 500.")
    scan_rows: int = Field(
        250_000, ge=0, description="Rows a filtered request looks at before it answers with a short page; 0: all."
    )
    link_hours: float = Field(12, gt=0, description="Hours after which a page's link is refused.")
    count_cap: int = Field(500, ge=1, description="Where $count stops on elastic tables.")
    record_count: bool = Field(True, description="RetrieveTotalRecordCount knows these tables.")
    orderby: bool = Field(True, description="$orderby is supported.")

    contains: Literal["supported", "unsupported", "times-out"] = Field(
        "supported", description="contains() on memberships: unsupported is 501, times-out is 500 after two minutes."
    )
    contains_bare: bool = Field(True, description="contains(…,'VIP') finds rows; otherwise it finds none.")
    contains_quoted: bool = Field(True, description="contains(…,'\"VIP\"') finds rows; otherwise it finds none.")
    contains_backslash: bool = Field(True, description="contains(…,'\\\"VIP\\\"') finds rows; otherwise none.")
    wildcards: bool = Field(True, description="_ % [ ] in the text searched for match as in SQL's LIKE.")
    in_operator: bool = Field(True, description="Microsoft.Dynamics.CRM.In is supported; otherwise 501.")

    segments_form: Literal["object", "array", "string", "mixed"] = Field(
        "object", description="JSON in msdynci_segments: an object, a bare array, JSON in a string, or all of them."
    )
    metadata_table: bool = Field(True, description="mscipriv_segmentmetadatas exists.")
    metadata_payload: Literal["friendly", "unknown", "broken"] = Field(
        "friendly", description="Its payload: with friendly names, of unknown form, or no JSON at all."
    )
    table_type: Literal["Elastic", "Virtual"] = Field("Elastic", description="What the table definitions say.")
    unknown_column_code: Literal["0x80060888", "0x0"] = Field(
        "0x80060888", description="Error code for an unknown column: seen in the field, or as in the documentation."
    )

    refresh_rotation: Literal["strict", "lenient"] = Field(
        "strict", description="A refresh token that was used is refused (strict) or still good (lenient)."
    )

    request_limit: int = Field(6_000, ge=1, description="Requests of a user in 300 seconds.")
    execution_limit_ms: int = Field(1_200_000, ge=1, description="Execution time of a user in 300 seconds.")
    concurrent_limit: int = Field(52, ge=1, description="Requests of a user at the same time.")
    request_ms: float = Field(20, ge=0, description="Execution time that a request is charged.")
    row_ms: float = Field(0.1, ge=0, description="Execution time that a row in an answer is charged on top.")
    scanned_row_ms: float = Field(0.01, ge=0, description="Execution time for a row looked at by a filter.")

    delay_seconds: float = Field(0.5, ge=0, description="How long the fault `delay` holds an answer back.")

    def changed(self, settings: dict[str, Any]) -> Self:
        """These assumptions with some set otherwise. Raises `ValueError` naming what is unknown or impossible."""
        try:
            return type(self).model_validate({**self.model_dump(by_alias=True), **settings})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{name}: {first['msg']}. Switches are: {', '.join(SWITCHES)}") from None


def parse_switches(words: list[str]) -> dict[str, str]:
    """`["page-cap=500"]` as `{"page-cap": "500"}`. Raises `ValueError` for a word without `=`."""
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"a switch looks like page-cap=500, not {word!r}")
        settings[name.strip()] = value.strip()
    return settings


SWITCHES: dict[str, dict[str, Any]] = {
    field.alias or name: {"default": field.default, "meaning": field.description}
    for name, field in Assumptions.model_fields.items()
}
"""Every switch with its default and its meaning."""
