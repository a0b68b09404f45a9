"""Columns of Dataverse's tables: their types, which of the profile's are fields, and values that do not fit."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa

from bot.sources.base import Field
from bot.sources.dataverse.queries import CUSTOMER, MEMBER_OF, PROFILE_TABLE

PREFIX = "msdynci_"  # of whatever unification made; Dataverse's own columns (createdon, ownerid …) have none
PRIMARY_KEY = f"{PROFILE_TABLE}id"

_ALTERNATE_KEY = re.compile(r"[^_]+(_[^_]+)*_[^_]+_[^_]*(id|key|guid)")
"""Keys of the rows that a profile was made of are named source_table_key; nothing else tells them from attributes."""

SEMANTIC_TYPES = {
    "email": "Identity.Service.Email",
    "fullname": "Person.FullName",
    "firstname": "Person.FirstName",
    "lastname": "Person.LastName",
    "addressline1": "Location.Address",
    "city": "Location.City",
    "stateorprovince": "Location.State",
    "postalcode": "Location.PostalCode",
    "country": "Location.Country",
}
"""Dataverse does not pass on semantic types; these attributes are so called because they have them."""

Row = dict[str, Any]

INSTANT = pa.timestamp("us")  # UTC


@dataclass(frozen=True, slots=True)
class Kind:
    """How a type of attribute is called, what it becomes, and how a value that does not fit is made to (or None)."""

    word: str
    arrow: pa.DataType
    coerce: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; most are fields of the profile."""

    name: str
    kind: Kind

    @property
    def field(self) -> Field:
        attribute = self.name.removeprefix(PREFIX)
        semantic = SEMANTIC_TYPES.get(attribute)
        return Field(self.name, self.kind.word, semantic, technical=_ALTERNATE_KEY.fullmatch(attribute) is not None)


def columns(attributes: Iterable[Row]) -> list[Column]:
    """The fields among a table's attributes, as `EntityDefinitions(…)/Attributes` gives these."""
    found = []
    for attribute in attributes:
        name, kind = attribute.get("LogicalName"), KINDS.get(str(attribute.get("AttributeType")))
        if isinstance(name, str) and name.startswith(PREFIX) and name not in (CUSTOMER, PRIMARY_KEY) and kind:
            found.append(Column(name, kind))
    return found


def coerced(value: Any, kind: Kind) -> Any:
    """The value as one of this kind; None if it can't be one."""
    with suppress(LookupError, TypeError, ValueError, OverflowError, pa.ArrowException):
        fit = kind.coerce(value)
        pa.scalar(fit, kind.arrow)
        return fit
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _integer(value: Any) -> int:
    number = int(value)
    if number != float(value):
        raise ValueError
    return number


def _truth(value: Any) -> bool:
    return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]


def _instant(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_TEXT = Kind("text", pa.string(), _text)
_INTEGER = Kind("number", pa.int64(), _integer)
_DECIMAL = Kind("number", pa.float64(), float)

KINDS = {
    "String": _TEXT,
    "Memo": _TEXT,
    "Uniqueidentifier": _TEXT,
    "Integer": _INTEGER,
    "BigInt": _INTEGER,
    "Picklist": _INTEGER,
    "Decimal": _DECIMAL,
    "Double": _DECIMAL,
    "Money": _DECIMAL,
    "Boolean": Kind("boolean", pa.bool_(), _truth),
    "DateTime": Kind("date", INSTANT, _instant),
}
"""Types of attributes that can be mapped; lookups, owners and the like can't."""

MEMBERSHIP = (Column(CUSTOMER, _TEXT), Column(MEMBER_OF, _TEXT))
PROFILE_ID = Column(CUSTOMER, _TEXT)
ATTRIBUTE = (Column("LogicalName", _TEXT), Column("AttributeType", _TEXT))
METADATA = (
    Column("msdyn_name", _TEXT),
    Column("statecode", _INTEGER),
    Column("msdyn_isdeleted", KINDS["Boolean"]),
    Column("msdyn_ishistoryentry", KINDS["Boolean"]),
)
PAYLOAD = Column("mscipriv_payload1", _TEXT)
"""What is read of the tables; of the profile, its fields come after the id."""
