"""Dataverse's refusals, in its own words and codes (Dataverse developer guide, "Web API client errors")."""

from collections.abc import Mapping

BAD_QUERY = "0x80060888"
ENTITY_UNKNOWN = "0x80041102"
EXECUTION_TIME = "0x80072321"
NOT_A_MEMBER = "0x80072560"
PRIVILEGE_DENIED = "0x80040220"
RECORD_NOT_FOUND = "0x80040217"
RESOURCE_NOT_FOUND = "0x8006088a"
SQL_TIMEOUT = "0x80044151"
TOKEN_REFUSED = "0x8005F101"  # noqa: S105 (an error code)
TOO_MANY_CONDITIONS = "0x8004430C"
TOO_MANY_CONCURRENT = "0x80072326"
TOO_MANY_REQUESTS = "0x80072322"
UNEXPECTED = "0x80040216"


class ODataError(Exception):
    """An answer that is not 200: `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": self.message}}


def bad_query(message: str) -> ODataError:
    return ODataError(400, BAD_QUERY, message)


def unknown_column(name: str, table: str, code: str = BAD_QUERY) -> ODataError:
    return ODataError(400, code, f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table}'.")


def unknown_resource(name: str) -> ODataError:
    return ODataError(404, RESOURCE_NOT_FOUND, f"Resource not found for the segment '{name}'.")


def unknown_entity(name: str) -> ODataError:
    return ODataError(
        404,
        ENTITY_UNKNOWN,
        f"The entity with a name = '{name}' with namemapping = 'Logical' was not found in the MetadataCache.",
    )


def not_implemented(message: str) -> ODataError:
    return ODataError(501, BAD_QUERY, message)


def missing_privilege(principal: str, privilege: str, table: str) -> ODataError:
    return ODataError(
        403,
        PRIVILEGE_DENIED,
        f"Principal user (Id={principal}, type=8, roleCount=1, privilegeCount=12, accessMode=0), is missing "
        f"{privilege} privilege on OTC=10321 for entity '{table}'. context.Caller={principal}",
    )


def not_a_member() -> ODataError:
    return ODataError(403, NOT_A_MEMBER, "The user is not a member of the organization.")


def writes_forbidden(method: str) -> ODataError:
    return ODataError(
        403,
        PRIVILEGE_DENIED,
        f"{method} is refused: Customer Insights data is for reading only, and writes can break its processing.",
    )
