"""A request for rows: its options, and the links that continue it."""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

import orjson

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.conditions import Condition
from bot.sandbox.dataverse.errors import bad_query, not_implemented, unknown_column
from bot.sandbox.dataverse.odata import parse_filter
from bot.sandbox.dataverse.tables import B, Table

_OPTIONS = {"$select", "$filter", "$top", "$count", "$orderby", "$skiptoken"}
_UNSUPPORTED = {"$expand", "$apply", "$search", "$compute", "$format"}
_MAX_PAGE_SIZE = re.compile(r"odata\.maxpagesize\s*=\s*\"?(\d+)", re.IGNORECASE)
_TOKEN_SECRET = secrets.token_bytes(16)


@dataclass(frozen=True)
class Order:
    column: str
    descending: bool


@dataclass(frozen=True)
class Query:
    """What is asked of a table. `page_size` is what the request preferred, if anything."""

    columns: tuple[str, ...]
    selected: tuple[str, ...] | None
    condition: Condition | None
    top: int | None
    count: bool
    order: tuple[Order, ...]
    page_size: int | None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def skip_token(self) -> str | None:
        return self.options.get("$skiptoken")


def parse_options(query_string: str) -> dict[str, str]:
    """The options of a request by name. Raises `ODataError` for one that is given twice or not known."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if name in options:
            raise bad_query(f"Query option '{name}' was specified more than once.")
        options[name] = value
    for name in options:
        if name == "$skip":
            raise bad_query("Skip Clause is not supported in CRM")
        if name in _UNSUPPORTED:
            raise not_implemented(f"The query option '{name}' is not supported on this table.")
        if name not in _OPTIONS and not name.startswith("@"):
            raise bad_query(f"The query parameter {name} is not supported")
    return options


def parse_query(table: Table[B], options: Mapping[str, str], prefer: str, assumptions: Assumptions) -> Query:
    """What the options ask of `table`. Raises `ODataError` (400, 501) for what it can't answer."""
    known = table.columns
    selected = None
    if "$select" in options:
        selected = tuple(name.strip() for name in options["$select"].split(",") if name.strip())
        for name in selected:
            if name not in known:
                raise unknown_column(name, table.logical_name, assumptions.unknown_column_code)
    columns = tuple(dict.fromkeys([*(selected if selected is not None else known), table.primary_key]))
    condition = None
    if "$filter" in options:
        types = {name: column.type for name, column in known.items()}
        condition = parse_filter(options["$filter"], types, table.logical_name, assumptions, options)
    preferred = _MAX_PAGE_SIZE.search(prefer)
    return Query(
        columns=columns,
        selected=selected,
        condition=condition,
        top=_positive(options["$top"]) if "$top" in options else None,
        count=_boolean(options.get("$count", "false")),
        order=_parse_order(table, options.get("$orderby", ""), assumptions),
        page_size=(int(preferred[1]) or None) if preferred else None,
        options=options,
    )


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise bad_query(f"Invalid value '{text}' for $top query option found. It must be a positive integer.")
    return int(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise bad_query(f"Invalid value '{text}' for $count query option found. It must be true or false.")
    return text == "true"


def _parse_order(table: Table[B], text: str, assumptions: Assumptions) -> tuple[Order, ...]:
    if not text.strip():
        return ()
    if not assumptions.orderby:
        raise not_implemented("The query option '$orderby' is not supported on this table.")
    orders = []
    for part in text.split(","):
        name, _, direction = part.strip().partition(" ")
        if name not in table.columns:
            raise unknown_column(name, table.logical_name, assumptions.unknown_column_code)
        if direction.strip() not in ("", "asc", "desc"):
            raise bad_query(f"Syntax error in $orderby '{text}'.")
        orders.append(Order(name, direction.strip() == "desc"))
    return tuple(orders)


def next_link(base: str, options: Mapping[str, str], cursor: int, now: float) -> str:
    """The address of the page after `cursor`: the same query with a token that fits no other."""
    payload = orjson.dumps([cursor, now])
    token = base64.urlsafe_b64encode(_signature(base, options, payload) + payload).decode()
    kept = {**options, "$skiptoken": token}
    return f"{base}?{'&'.join(f'{name}={quote(value, safe=_PLAIN)}' for name, value in kept.items())}"


def cursor_of(token: str, base: str, options: Mapping[str, str], now: float, hours: float) -> int:
    """Where the page of a link starts. Raises `ODataError` (400) if the link was changed, is too old or is foreign."""
    try:
        raw = base64.urlsafe_b64decode(token.encode())
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    except ValueError:
        raise bad_query("The skip token is not valid.") from None
    if not hmac.compare_digest(signature, _signature(base, options, payload)):
        raise bad_query("The skip token is not valid, or belongs to another query.")
    cursor, issued = orjson.loads(payload)
    if now - issued > hours * 3600:
        raise bad_query("The skip token has expired. Start the query again.")
    return int(cursor)


_PLAIN = "(),'$@:/*"
_SIGNATURE_BYTES = 20


def _signature(base: str, options: Mapping[str, str], payload: bytes) -> bytes:
    """Binds a token to the table and to every option but the token itself."""
    query = sorted((name, value) for name, value in options.items() if name != "$skiptoken")
    path = base.partition("/api/data/")[2]
    return hmac.digest(_TOKEN_SECRET, orjson.dumps([path, query]) + payload, "sha256")[:_SIGNATURE_BYTES]
