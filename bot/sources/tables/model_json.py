"""Reads `model.json`, the Common Data Model's description of a folder of tables, as far as it matters here.

Source: Common Data Model docs, Metadata file (model.json) for CDM.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from bot.sources.base import CUSTOMER_ID
from bot.sources.tables.files import FileFault

MODEL = "model.json"
LARGEST = 64 << 20  # bytes; no honest one is longer
NAME = r"^[^/\\.\x00][^/\\\x00]*$"  # of a table, which is also that of a folder


def _or(default: object, value: object) -> object:
    return default if value is None else value


class Format(BaseModel):
    """How a partition's CSV is written: unless it says otherwise, with commas and without a header."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    header: bool = Field(False, alias="columnHeaders")


class Partition(BaseModel):
    """A file of a table. `location`: its address in the storage it was written to, or its path."""

    location: str
    format: Annotated[Format, BeforeValidator(partial(_or, {}))] = Field(Format(), alias="fileFormatSettings")


class Attribute(BaseModel):
    name: str = Field(min_length=1)


class Entity(BaseModel):
    """A table: its columns in the order in which a CSV has them, and the files of its last export."""

    name: str = Field(pattern=NAME)
    attributes: Annotated[list[Attribute], BeforeValidator(partial(_or, []))] = []
    partitions: Annotated[list[Partition], BeforeValidator(partial(_or, []))] = []

    @property
    def columns(self) -> list[str]:
        return [attribute.name for attribute in self.attributes]

    @property
    def has_customer_id(self) -> bool:
        return CUSTOMER_ID.casefold() in (name.casefold() for name in self.columns)


class Model(BaseModel):
    entities: list[Entity]


def read_model(path: Path) -> dict[str, Entity]:
    """The tables by name. Raises `FileFault`."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise FileFault(f"{MODEL} is longer than {LARGEST:,} bytes")
        model = Model.model_validate_json(text.decode("utf-8-sig"))
    except OSError as error:
        raise FileFault(f"{MODEL} can't be opened ({error.strerror})") from None
    except UnicodeDecodeError:
        raise FileFault(f"{MODEL} is not UTF-8 text") from None
    except ValidationError as error:
        raise FileFault(_fault(error)) from None
    tables: dict[str, Entity] = {}
    for entity in model.entities:
        if tables.setdefault(entity.name, entity) is not entity:
            raise FileFault(f"{MODEL} has two tables named {entity.name}")
    return tables


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return f"{MODEL} is not valid JSON; perhaps it is just being written"
    place = ".".join(str(part) for part in first["loc"]) or "as a whole"
    return f"{MODEL} is not a Common Data Model ({place}: {first['msg']})"
