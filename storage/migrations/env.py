"""Run migrations on the connection that `storage.schema` passes in."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from storage.models import Moment, OneOf


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write plain column types into migrations: they must not change when our own types do."""
    if kind == "type":
        if isinstance(item, Moment):
            return "sa.DateTime()"
        if isinstance(item, OneOf):
            return "sa.String(length=32)"
        if isinstance(item, AutoString):
            return "sa.String()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
