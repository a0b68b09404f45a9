"""What the Web API answers: one function per kind of resource. No HTTP here beyond addresses and headers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import orjson

from bot.sandbox.dataverse.directory import Principal
from bot.sandbox.dataverse.emulator import Emulator
from bot.sandbox.dataverse.errors import (
    RECORD_NOT_FOUND,
    ODataError,
    bad_query,
    missing_privilege,
    not_implemented,
    unknown_column,
    unknown_entity,
    unknown_resource,
)
from bot.sandbox.dataverse.faults import Kind
from bot.sandbox.dataverse.metadata import ATTRIBUTE_TYPES, ENTITY_TYPES, AnyTable, attributes, entity_definition
from bot.sandbox.dataverse.odata import parse_filter
from bot.sandbox.dataverse.query import Query, cursor_of, next_link, parse_options, parse_query
from bot.sandbox.dataverse.reading import START, Page, count_rows, page_size, read_page
from bot.sandbox.dataverse.tables import RecordBatch
from bot.sandbox.dataverse.throttle import Charge

STANDARD_COUNT_CAP = 5_000
_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_KEYED = re.compile(rf"(?P<name>\w+)\((?:LogicalName='(?P<logical>[^']*)'|(?P<guid>{_GUID}))\)(?P<rest>/.*)?")


@dataclass
class Ask:
    """A request for data by somebody who may use the API. `root` is the service root's address, with a slash."""

    principal: Principal
    root: str
    path: str
    query_string: str
    prefer: str
    charge: Charge
    fault: Kind | None = None


@dataclass
class Answer:
    """What goes back with status 200; `rows` is set for pages."""

    content: Any
    headers: dict[str, str] = field(default_factory=dict)
    rows: int | None = None


async def answer(emulator: Emulator, ask: Ask) -> Answer:
    """Answer the request. Raises `ODataError` for everything but 200."""
    if ask.path in ("WhoAmI", "WhoAmI()"):
        return _who_am_i(emulator, ask)
    if ask.path.startswith("RetrieveTotalRecordCount("):
        return _total_record_count(emulator, ask)
    if ask.path.startswith("EntityDefinitions"):
        return _definitions(emulator, ask)
    name, _, rest = ask.path.partition("/")
    if keyed := _KEYED.fullmatch(ask.path):
        return _single(emulator, ask, keyed)
    table = _table(emulator, ask.principal, name)
    if rest == "$count":
        return await _count(emulator, ask, table)
    if rest:
        raise unknown_resource(rest)
    return await _page(emulator, ask, table)


def is_page(path: str) -> bool:
    """Whether the path is that of a whole entity set."""
    return re.fullmatch(r"\w+s", path) is not None and path != "EntityDefinitions"


def _who_am_i(emulator: Emulator, ask: Ask) -> Answer:
    directory = emulator.directory
    return Answer(
        {
            "@odata.context": f"{ask.root}$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
            "BusinessUnitId": directory.business_unit_id,
            "UserId": ask.principal.id,
            "OrganizationId": directory.organization_id,
        }
    )


# Rows


async def _page(emulator: Emulator, ask: Ask, table: AnyTable) -> Answer:
    assumptions = emulator.assumptions
    options = parse_options(ask.query_string)
    if "odata.track-changes" in ask.prefer:
        raise bad_query(f"Change tracking is not enabled for the entity '{table.logical_name}'.")
    query = parse_query(table, options, ask.prefer, assumptions)
    base = f"{ask.root}{table.set_name}"
    now = emulator.clock.now()
    cursor = START
    if query.skip_token is not None:
        cursor = cursor_of(query.skip_token, base, options, now, assumptions.link_hours)

    size = page_size(query, assumptions)
    if ask.fault is Kind.EMPTY_PAGE:
        page: Page[Any] = Page(table.find(()), cursor, 0)
    else:
        wanted = max(1, size // 3) if ask.fault is Kind.SHORT_PAGE else size
        page = await read_page(table, query, cursor, wanted, assumptions.scan_rows)
    records = page.rows.records(query.columns)
    if ask.fault is Kind.REPEATED_ROWS:
        records += records[-1:]

    ask.charge.milliseconds += assumptions.row_ms * len(records)
    if query.condition is not None:
        ask.charge.milliseconds += assumptions.scanned_row_ms * page.scanned

    content: dict[str, Any] = {"@odata.context": _context(ask.root, table, query)}
    if query.count:
        lie = 7 if ask.fault is Kind.LYING_COUNT else 0
        content["@odata.count"] = lie + await count_rows(table, query, _count_cap(emulator, table))
    content["value"] = records
    ends_at_top = query.top is not None and query.page_size is None
    if page.cursor is not None and not (ends_at_top and len(records) >= size):
        content["@odata.nextLink"] = next_link(base, options, page.cursor, now)
    headers = {} if query.page_size is None else {"Preference-Applied": f"odata.maxpagesize={size}"}
    emulator.page_served(table.set_name, len(records))
    return Answer(content, headers, rows=len(records))


async def _count(emulator: Emulator, ask: Ask, table: AnyTable) -> Answer:
    options = parse_options(ask.query_string)
    query = parse_query(table, options, ask.prefer, emulator.assumptions)
    return Answer(await count_rows(table, query, _count_cap(emulator, table)))


def _single(emulator: Emulator, ask: Ask, keyed: re.Match[str]) -> Answer:
    """One row by its primary key."""
    table = _table(emulator, ask.principal, keyed["name"])
    if keyed["guid"] is None or keyed["rest"]:
        raise not_implemented("This emulator finds rows by primary key only.")
    query = parse_query(table, parse_options(ask.query_string), ask.prefer, emulator.assumptions)
    guid = keyed["guid"].lower()
    batch, _ = table.scan(int(guid.replace("-", "")[:12], 16) - 1, 1)
    records = [r for r in batch.records(query.columns) if r[table.primary_key] == guid]
    if not records:
        message = f"Entity '{table.schema_name}' With Id = {guid} Does Not Exist"
        raise ODataError(404, RECORD_NOT_FOUND, message)
    return Answer({"@odata.context": f"{_context(ask.root, table, query)}/$entity", **records[0]}, rows=1)


def _table(emulator: Emulator, principal: Principal, set_name: str) -> AnyTable:
    """The table of this entity set; names are case-sensitive. Raises 404, or 403 for who may not read it."""
    for table in emulator.tables:
        if table.set_name == set_name:
            if table.logical_name not in principal.readable:
                raise missing_privilege(principal.id, table.privilege, table.logical_name)
            return table
    raise unknown_resource(set_name)


def _context(root: str, table: AnyTable, query: Query) -> str:
    selected = "" if query.selected is None else f"({','.join(query.selected)})"
    return f"{root}$metadata#{table.set_name}{selected}"


def _count_cap(emulator: Emulator, table: AnyTable) -> int:
    return emulator.assumptions.count_cap if table.elastic else STANDARD_COUNT_CAP


# Definitions


def _definitions(emulator: Emulator, ask: Ask) -> Answer:
    options = parse_options(ask.query_string)
    table_type = emulator.assumptions.table_type
    if ask.path == "EntityDefinitions":
        everything = [entity_definition(table, table_type) for table in emulator.tables]
        value = _chosen(emulator, everything, ENTITY_TYPES, options, "EntityMetadata")
        return Answer({"@odata.context": f"{ask.root}$metadata#EntityDefinitions", "value": value})

    keyed = _KEYED.fullmatch(ask.path)
    if keyed is None or keyed["name"] != "EntityDefinitions":
        raise unknown_resource(ask.path)
    table, definition = _definition(emulator, keyed, table_type)
    if keyed["rest"] is None:
        [single] = _chosen(emulator, [definition], ENTITY_TYPES, options, "EntityMetadata")
        return Answer({"@odata.context": f"{ask.root}$metadata#EntityDefinitions/$entity", **single})
    if keyed["rest"] != "/Attributes":
        raise unknown_resource(keyed["rest"].strip("/"))
    value = _chosen(emulator, attributes(table), ATTRIBUTE_TYPES, options, "AttributeMetadata")
    context = f"{ask.root}$metadata#EntityDefinitions('{table.logical_name}')/Attributes"
    return Answer({"@odata.context": context, "value": value})


def _definition(emulator: Emulator, keyed: re.Match[str], table_type: str) -> tuple[AnyTable, Mapping[str, Any]]:
    for table in emulator.tables:
        definition = entity_definition(table, table_type)
        if keyed["logical"] == table.logical_name or keyed["guid"] == definition["MetadataId"]:
            return table, definition
    raise unknown_entity(keyed["logical"] or keyed["guid"])


def _chosen(
    emulator: Emulator,
    definitions: Sequence[Mapping[str, Any]],
    types: Mapping[str, str],
    options: Mapping[str, str],
    kind: str,
) -> list[dict[str, Any]]:
    """`$filter` and `$select` over definitions; the id always comes along."""
    names = [name.strip() for name in options["$select"].split(",")] if options.get("$select") else [*types]
    for name in names:
        if name not in types:
            raise unknown_column(name, kind)
    if "$filter" in options:
        condition = parse_filter(options["$filter"], types, kind, emulator.assumptions, options)
        definitions = [*compress(definitions, condition.matches(RecordBatch(definitions)))]
    kept = {*names, "MetadataId", "@odata.type"}
    return [{name: value for name, value in definition.items() if name in kept} for definition in definitions]


def _total_record_count(emulator: Emulator, ask: Ask) -> Answer:
    """`RetrieveTotalRecordCount(EntityNames=@p1)?@p1=["…"]`; the figure is that of the start, as if a day old."""
    if not emulator.assumptions.record_count:
        raise not_implemented("RetrieveTotalRecordCount is not supported on elastic tables.")
    options = parse_options(ask.query_string)
    argument = re.fullmatch(r"RetrieveTotalRecordCount\(EntityNames=(@\w+|\[.*\])\)", ask.path)
    try:
        text = argument[1] if argument else ""
        names = orjson.loads(options.get(text, text))
    except orjson.JSONDecodeError:
        raise bad_query("EntityNames is not a list of names.") from None
    population = emulator.world.population
    counts = {
        "msdynci_customerprofile": population.profiles,
        "msdynci_segmentmembership": population.membership_rows,
        "mscipriv_segmentmetadata": len(population.shares),
    }
    there = {table.logical_name for table in emulator.tables}
    for name in names:
        if name not in there:
            raise unknown_entity(name)
    return Answer(
        {
            "@odata.context": f"{ask.root}$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse",
            "EntityRecordCountCollection": {
                "Count": len(names),
                "IsReadOnly": False,
                "Keys": names,
                "Values": [counts[name] for name in names],
            },
        }
    )
