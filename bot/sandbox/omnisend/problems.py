"""Refusals, as RFC 9457 problem bodies (Omnisend docs, Responses and Errors)."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

TYPE = "https://problems.omnisend.com/"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One failed check: the path of the field (`identifiers.0.id`), a code and a text."""

    field: str
    code: str
    message: str

    def as_json(self, *, brackets: bool) -> dict[str, str]:
        """The entry of `errors`; `brackets` writes `identifiers[0].id`."""
        field = bracketed(self.field) if brackets else self.field
        return {"field": field, "code": self.code, "message": self.message}


def bracketed(path: str) -> str:
    """`a.0.b` as `a[0].b`."""
    head, *rest = path.split(".")
    return head + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)


class Problem(Exception):
    """A request that is refused."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str | None = None,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after

    def body(self, *, brackets: bool, instance: str | None = None) -> dict[str, Any]:
        """The problem body; a fresh `instance` unless one is given."""
        body: dict[str, Any] = {"type": TYPE + self.kind, "title": self.title, "status": self.status}
        if self.detail is not None:
            body["detail"] = self.detail
        if self.status != 401:  # recorded live: the 401 body has these three fields only
            body["instance"] = f"urn:omnisend:request:{instance or uuid4()}"
        if self.errors:
            body["errors"] = [error.as_json(brackets=brackets) for error in self.errors]
        if self.retry_after is not None:
            body["retryAfter"] = self.retry_after
        return body


def unauthorized() -> Problem:
    """No key, a wrong key and a revoked key cannot be told apart."""
    return Problem(401, "unauthorized", "Unauthorized")


def forbidden(scope: str) -> Problem:
    """The key lacks a scope."""
    return Problem(403, "forbidden", "Forbidden", f"Missing {scope} scope.")


def not_found(what: str) -> Problem:
    """Nothing there, or no such operation."""
    return Problem(404, "not-found", "Not found", f"{what} not found.")


def conflict(detail: str) -> Problem:
    """An identifier of somebody else, or a segment that is still building."""
    return Problem(409, "conflict", "Conflict", detail)


def bad_request(detail: str) -> Problem:
    """A request that is wrong as a whole."""
    return Problem(400, "bad-request", "Bad request", detail)


def invalid(*errors: FieldError) -> Problem:
    """Fields that are wrong; all failures at once."""
    detail = errors[0].message if len(errors) == 1 else "One or more fields are invalid."
    return Problem(400, "validation-failed", "Validation failed", detail, errors=errors)


def rate_limited(retry_after: int | None) -> Problem:
    """Too many requests; `retry_after` in the client's seconds."""
    return Problem(429, "rate-limit-exceeded", "Rate limit exceeded", "Too many requests.", retry_after=retry_after)
