"""What a contact request may hold, and what it means once it is checked.

Rules from Omnisend docs, Contacts (`ContactRequest`). Those that the docs leave open (maximum lengths, the syntax of
an email, unknown country codes, bad custom properties) are assumed on the strict side, or are switches.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.countries import is_country_code
from bot.sandbox.omnisend.formats import is_email, is_phone, parse_day, parse_instant
from bot.sandbox.omnisend.problems import FieldError, Problem, invalid

MAX_TAGS = 100  # in one request
MAX_PROPERTIES = 200  # of one contact
MAX_PROPERTY_TEXT = 2_048  # characters

TEXT_FIELDS: Mapping[str, int] = {  # with the most characters; assumed
    "firstName": 255,
    "lastName": 255,
    "address": 1_000,
    "city": 255,
    "state": 255,
    "country": 255,
    "countryCode": 2,
    "postalCode": 255,
    "gender": 1,
    "birthdate": 10,
}
STATUSES = ("subscribed", "unsubscribed", "nonSubscribed")

Channel = Literal["email", "sms"]
CHANNEL_OF: Mapping[str, Channel] = {"email": "email", "phone": "sms"}

_PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_]{1,128}")


@dataclass(slots=True)
class StatusChange:
    """A status for one channel; `changed` in milliseconds since 1970, None for now."""

    channel: Channel
    status: str
    changed: int | None


@dataclass(slots=True)
class ContactChange:
    """A checked request. Absent parts leave what is stored as it is."""

    email: str | None = None
    phone: str | None = None
    statuses: list[StatusChange] = field(default_factory=list)
    consents: list[dict[str, Any]] = field(default_factory=list)  # `createdAt` in milliseconds, None for now
    welcome_messages: int = 0
    fields: dict[str, str] = field(default_factory=dict)  # "" blanks
    properties: dict[str, Any] = field(default_factory=dict)  # None removes
    tags: list[str] | None = None


def parse_contact(body: Any, *, creating: bool, known_types: Mapping[str, str], assume: Assumptions) -> ContactChange:
    """Check a contact request; raises `Problem` 400 with all failures.

    `creating` demands identifiers. `known_types` are the types (see `property_type`) of the custom properties that
    the brand has. Unknown field names are ignored, as Omnisend does.
    """
    if not isinstance(body, dict):
        raise invalid(FieldError("", "invalid", "Must be an object"))
    reader = _Reader(known_types, assume)
    reader.read(body, creating)
    if reader.errors:
        raise invalid(*reader.errors)
    return reader.change


def property_type(value: Any) -> str | None:
    """`text`, `number`, `bool` or `list`; None for what a custom property cannot be."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "list"
    return None


class _Reader:
    """Walks a request once, gathering the change and every failure."""

    def __init__(self, known_types: Mapping[str, str], assume: Assumptions) -> None:
        self.change = ContactChange()
        self.errors: list[FieldError] = []
        self._known_types = known_types
        self._assume = assume

    def read(self, body: dict[str, Any], creating: bool) -> None:
        self._identifiers(body, creating)
        for name, longest in TEXT_FIELDS.items():
            if name in body:
                self._text(name, body[name], longest)
        if "tags" in body:
            self._tags(body["tags"])
        if "customProperties" in body:
            self._properties(body["customProperties"])
        if "createdAt" in body and self._instant("createdAt", body["createdAt"]) is not None:
            self.change.properties["externalCreated"] = body["createdAt"]

    def _fail(self, path: str, code: str, message: str) -> None:
        self.errors.append(FieldError(path, code, message))

    def _identifiers(self, body: dict[str, Any], creating: bool) -> None:
        identifiers = body.get("identifiers")
        if identifiers is None or identifiers == []:
            if creating:
                self._fail("identifiers", "required", "At least one identifier is required")
            return
        if not isinstance(identifiers, list):
            self._fail("identifiers", "invalid", "Must be an array")
            return
        seen: set[str] = set()
        for index, identifier in enumerate(identifiers):
            path = f"identifiers.{index}"
            if not isinstance(identifier, dict):
                self._fail(path, "invalid", "Must be an object")
                continue
            kind = identifier.get("type")
            if kind not in ("email", "phone"):
                self._fail(f"{path}.type", "required" if kind is None else "invalid", "Must be email or phone")
                continue
            if kind in seen:
                self._fail(path, "invalid", f"A contact has one {kind} only")
                continue
            seen.add(kind)
            self._identifier(path, kind, identifier)

    def _identifier(self, path: str, kind: Literal["email", "phone"], identifier: dict[str, Any]) -> None:
        value = identifier.get("id")
        if value is None:
            self._fail(f"{path}.id", "required", "Is required")
        elif kind == "email":
            if isinstance(value, str) and is_email(value):
                self.change.email = value
            else:
                self._fail(f"{path}.id", "invalid_format", "Must be a valid email address")
        elif isinstance(value, str) and is_phone(value):
            self.change.phone = value
        else:
            self._fail(f"{path}.id", "invalid_format", "Must be a phone number in E.164 format")

        self._channels(path, kind, identifier.get("channels"))
        if "consent" in identifier:
            self._consent(path, CHANNEL_OF[kind], identifier["consent"])
        welcome = identifier.get("sendWelcomeMessage", True)
        if not isinstance(welcome, bool):
            self._fail(f"{path}.sendWelcomeMessage", "invalid", "Must be a boolean")
        elif welcome:
            self.change.welcome_messages += 1

    def _channels(self, path: str, kind: Literal["email", "phone"], channels: Any) -> None:
        name = CHANNEL_OF[kind]
        if not isinstance(channels, dict) or not isinstance(channels.get(name), dict):
            # The wording was recorded live.
            self._fail(f"{path}.channels", "required", f"Provide {name} channel for {kind} identifier")
            return
        if len(channels) > 1:
            self._fail(f"{path}.channels", "invalid", "One channel per identifier")
        channel = channels[name]
        status = channel.get("status")
        if status not in STATUSES:
            code = "required" if status is None else "invalid"
            self._fail(f"{path}.channels.{name}.status", code, f"Must be one of {', '.join(STATUSES)}")
            return
        changed = None
        if "statusChangedAt" in channel:
            changed = self._instant(f"{path}.channels.{name}.statusChangedAt", channel["statusChangedAt"])
        self.change.statuses.append(StatusChange(name, status, changed))

    def _consent(self, path: str, channel: Channel, consent: Any) -> None:
        if not isinstance(consent, dict):
            self._fail(f"{path}.consent", "invalid", "Must be an object")
            return
        entry: dict[str, Any] = {"channel": channel, "createdAt": None}
        for name in ("source", "ip", "userAgent"):
            value = consent.get(name, "")
            if not isinstance(value, str):
                self._fail(f"{path}.consent.{name}", "invalid", "Must be a string")
            entry[name] = value
        if "createdAt" in consent:
            entry["createdAt"] = self._instant(f"{path}.consent.createdAt", consent["createdAt"])
        self.change.consents.append(entry)

    def _instant(self, path: str, value: Any) -> int | None:
        try:
            if isinstance(value, str):
                return parse_instant(value)
        except ValueError:
            pass
        self._fail(path, "invalid_format", "Must be an RFC 3339 time")
        return None

    def _text(self, name: str, value: Any, longest: int) -> None:
        if not isinstance(value, str):
            self._fail(name, "invalid", "Must be a string")
            return
        if len(value) > longest:
            self._fail(name, "invalid", f"Must be at most {longest} characters")
            return
        if value and name == "gender" and value not in ("m", "f"):
            self._fail(name, "invalid", "Must be m or f")
        elif value and name == "countryCode" and not is_country_code(value):
            self._fail(name, "invalid", "Must be an ISO 3166-1 alpha-2 code")
        elif value and name == "birthdate" and not _is_day(value):
            self._fail(name, "invalid_format", "Must be YYYY-MM-DD")
        self.change.fields[name] = value

    def _tags(self, tags: Any) -> None:
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
            self._fail("tags", "invalid", "Must be an array of strings")
        elif len(tags) > MAX_TAGS:
            self._fail("tags", "invalid", f"At most {MAX_TAGS} tags in one request")
        else:
            self.change.tags = list(dict.fromkeys(tags))

    def _properties(self, properties: Any) -> None:
        if not isinstance(properties, dict):
            self._fail("customProperties", "invalid", "Must be an object")
            return
        for name, value in properties.items():
            if value is None or value == "":
                self.change.properties[name] = None
                continue
            complaint = self._complaint(name, value)
            if complaint is None:
                self.change.properties[name] = value
            elif self._assume.says("property-errors", "refused"):
                self._fail(f"customProperties.{name}", "invalid", complaint)

    def _complaint(self, name: str, value: Any) -> str | None:
        if not _PROPERTY_NAME.fullmatch(name):
            return "Names are of Latin letters, digits and _, at most 128 characters"
        kind = property_type(value)
        if kind is None:
            return "Must be a string, number, boolean or array of strings"
        if kind == "text" and len(value) > MAX_PROPERTY_TEXT:
            return f"Must be at most {MAX_PROPERTY_TEXT} characters"
        if self._assume.says("property-type-change", "refused") and self._known_types.get(name, kind) != kind:
            return f"Must be of type {self._known_types[name]}"
        return None


def _is_day(text: str) -> bool:
    try:
        parse_day(text)
    except ValueError:
        return False
    return True


def item_error(problem: Problem, form: str, *, brackets: bool, instance: str) -> Any:
    """The body of a failed batch item in one of the forms `problem`, `v3`, `text`."""
    if form == "problem":
        return problem.body(brackets=brackets, instance=instance)
    messages = [error.message for error in problem.errors] or [problem.detail or problem.title]
    if form == "text":
        return "; ".join(messages)
    return {
        "error": f"{len(messages)} error(s) found. {'; '.join(messages)}",
        "fields": {"0": [error.as_json(brackets=True)["field"] + ": " + error.message for error in problem.errors]},
    }
