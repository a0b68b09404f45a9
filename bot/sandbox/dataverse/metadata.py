"""Table definitions: what `EntityDefinitions` and its `Attributes` say (Dataverse docs, "Query table definitions")."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bot.sandbox.dataverse.population import Column
from bot.sandbox.dataverse.tables import Table

AnyTable = Table[Any]

ENTITY_TYPES = {
    "MetadataId": "Uniqueidentifier",
    "LogicalName": "String",
    "SchemaName": "String",
    "EntitySetName": "String",
    "LogicalCollectionName": "String",
    "PrimaryIdAttribute": "String",
    "PrimaryNameAttribute": "String",
    "TableType": "String",
    "ChangeTrackingEnabled": "Boolean",
    "IsCustomEntity": "Boolean",
    "DisplayName": "Label",
}
ATTRIBUTE_TYPES = {
    "MetadataId": "Uniqueidentifier",
    "LogicalName": "String",
    "SchemaName": "String",
    "EntityLogicalName": "String",
    "AttributeType": "String",
    "AttributeTypeName": "Label",
    "DisplayName": "Label",
    "IsPrimaryId": "Boolean",
    "IsPrimaryName": "Boolean",
    "IsValidForRead": "Boolean",
    "IsCustomAttribute": "Boolean",
}


def entity_definition(table: AnyTable, table_type: str) -> dict[str, Any]:
    return {
        "MetadataId": _guid(table.logical_name),
        "LogicalName": table.logical_name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.set_name,
        "LogicalCollectionName": table.set_name,
        "PrimaryIdAttribute": table.primary_key,
        "PrimaryNameAttribute": table.primary_name,
        "TableType": table_type if table.elastic else "Standard",
        "ChangeTrackingEnabled": False,
        "IsCustomEntity": True,
        "DisplayName": _label(table.schema_name.partition("_")[2]),
    }


def attributes(table: AnyTable) -> list[dict[str, Any]]:
    return [_attribute(table, name, column) for name, column in table.columns.items()]


def _attribute(table: AnyTable, name: str, column: Column) -> dict[str, Any]:
    # A lookup's column in answers is _name_value, its attribute is name.
    logical_name = name[1:].removesuffix("_value") if name.startswith("_") else name
    return {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{column.type}AttributeMetadata",
        "MetadataId": _guid(f"{table.logical_name}/{logical_name}"),
        "LogicalName": logical_name,
        "SchemaName": logical_name,
        "EntityLogicalName": table.logical_name,
        "AttributeType": column.type,
        "AttributeTypeName": {"Value": f"{column.type}Type"},
        "DisplayName": _label(column.label),
        "IsPrimaryId": name == table.primary_key,
        "IsPrimaryName": name == table.primary_name,
        "IsValidForRead": True,
        "IsCustomAttribute": not column.system,
    }


def _label(text: str | None) -> dict[str, Any]:
    """A label in the user's language; some columns have none."""
    if text is None:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    label = {"Label": text, "LanguageCode": 1033, "IsManaged": True, "MetadataId": _guid(f"label/{text}")}
    return {"LocalizedLabels": [label], "UserLocalizedLabel": label}


def _guid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://contoso.example/metadata/{name}"))
