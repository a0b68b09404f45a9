"""What writing a contact does (Omnisend docs, Contacts), and how a contact is shown."""

from collections.abc import Callable, Iterable
from typing import Any

from bot.sandbox.omnisend.assumptions import Assumptions
from bot.sandbox.omnisend.contact_rules import (
    CHANNEL_OF,
    MAX_PROPERTIES,
    TEXT_FIELDS,
    ContactChange,
    StatusChange,
    parse_contact,
)
from bot.sandbox.omnisend.countries import country_code, country_name
from bot.sandbox.omnisend.formats import ContactIds, instant_text
from bot.sandbox.omnisend.problems import FieldError, conflict, invalid
from bot.sandbox.omnisend.store import ContactStore, Record, StatusEntry


class Contacts:
    """The contacts of one brand. All times that come in are virtual seconds."""

    def __init__(self, ids: ContactIds, assume: Assumptions) -> None:
        self.store = ContactStore()
        self.ids = ids
        self.welcome_messages = 0  # asked for, all contacts together
        self._assume = assume

    def parse(self, body: Any, *, creating: bool) -> ContactChange:
        """Check a request against the rules; raises `Problem` 400."""
        return parse_contact(body, creating=creating, known_types=self.store.property_types, assume=self._assume)

    def upsert(self, body: Any, now: float, *, add_tags: bool = False) -> tuple[bytes, bool]:
        """Create or update by the email identifier; gives the stored text and whether it was created.

        A phone that belongs to somebody else is dropped; if it was the only identifier no contact is made (400).
        Raises `Problem` 400.
        """
        change = self.parse(body, creating=True)
        number = None if change.email is None else self.store.number_of_email(change.email)
        if change.phone is not None and self.store.number_of_phone(change.phone) not in (None, number):
            if change.email is None:
                raise invalid(FieldError("identifiers.0.id", "invalid", "The identifier belongs to another contact"))
            change.phone = None
            change.statuses = [status for status in change.statuses if status.channel == "email"]
            change.consents = [consent for consent in change.consents if consent["channel"] == "email"]
        record = None if number is None else self.store.record(number)
        text = self._write(record, change, now, add_tags=add_tags)
        return text, record is None

    def patch(self, number: int, body: Any, now: float) -> bytes:
        """Change only what is supplied. Raises `Problem` 400, 409 for an identifier of another contact."""
        record = self.store.record(number)
        if record is None:
            raise KeyError(number)
        change = self.parse(body, creating=False)
        if change.email is not None and change.email != record["email"]:
            if self.store.number_of_email(change.email) is not None:
                raise conflict("The email identifier belongs to another contact.")
            if record["email"] is not None:
                raise invalid(FieldError("identifiers", "invalid", "The email identifier cannot be changed"))
        if change.phone is not None and self.store.number_of_phone(change.phone) not in (None, number):
            raise conflict("The phone identifier belongs to another contact.")
        return self._write(record, change, now, add_tags=False)

    def retag(self, number: int, tags: Iterable[str], now: float, *, add: bool) -> None:
        """Put tags on a contact or take them off; nothing happens if there is nothing to change."""
        record = self.store.record(number)
        if record is None:
            return
        old = record["tags"]
        wanted = dict.fromkeys(tags)
        new = list(dict.fromkeys([*old, *wanted])) if add else [tag for tag in old if tag not in wanted]
        if new != old:
            record["tags"] = new
            record["updated"] = int(now * 1000)
            self.store.put(record, {}, old)

    def _write(self, record: Record | None, change: ContactChange, now: float, *, add_tags: bool) -> bytes:
        now_ms = int(now * 1000)
        if record is None:
            record = Record(
                n=self.store.size,
                created=now_ms,
                updated=now_ms,
                email=change.email,
                phone=change.phone,
                fields={},
                properties={},
                tags=[],
                history=[],
                consents=[],
                welcome=0,
            )
        record["updated"] = now_ms
        if change.email is not None:
            record["email"] = change.email
        if change.phone is not None:
            record["phone"] = change.phone
        _merge_fields(record, change.fields)
        touched = self._merge_properties(record, change.properties)
        old_tags = record["tags"]
        if change.tags is not None:
            record["tags"] = list(dict.fromkeys([*old_tags, *change.tags])) if add_tags else change.tags
        for status in change.statuses:
            self._apply_status(record, status, now_ms)
        for consent in change.consents:
            if consent["createdAt"] is None:
                consent["createdAt"] = now_ms
            record["consents"] = [
                *(kept for kept in record["consents"] if kept["channel"] != consent["channel"]),
                consent,
            ]
        record["welcome"] += change.welcome_messages
        self.welcome_messages += change.welcome_messages
        return self.store.put(record, touched, old_tags)

    def _merge_properties(self, record: Record, properties: dict[str, Any]) -> dict[str, Any]:
        merged = record["properties"]
        touched = properties
        for name, value in properties.items():
            if value is None:
                merged.pop(name, None)
            else:
                merged[name] = value
        if len(merged) > MAX_PROPERTIES:
            if self._assume.says("property-errors", "refused"):
                raise invalid(
                    FieldError("customProperties", "invalid", f"A contact has at most {MAX_PROPERTIES} properties")
                )
            surplus = list(merged)[MAX_PROPERTIES:]
            for name in surplus:
                del merged[name]
            touched = {name: value for name, value in properties.items() if name not in surplus}
        return touched

    def _apply_status(self, record: Record, new: StatusChange, now_ms: int) -> None:
        """The later date wins; a status of an earlier date changes neither status nor date."""
        changed = now_ms if new.changed is None else new.changed
        stored = current_status(record, new.channel)
        if stored is not None:
            _, _, stored_changed, _ = stored
            if changed < stored_changed:
                return
            if changed == stored_changed and self._assume.says("equal-status-date", "keeps"):
                return
        record["history"].append((new.channel, new.status, changed, now_ms))


def current_status(record: Record, channel: str) -> StatusEntry | None:
    """The history entry that holds for a channel."""
    for entry in reversed(record["history"]):
        if entry[0] == channel:
            return entry
    return None


def _merge_fields(record: Record, fields: dict[str, str]) -> None:
    stored = record["fields"]
    for name, value in fields.items():
        if value:
            stored[name] = value
        else:
            stored.pop(name, None)
    if fields.get("countryCode"):
        if "country" in fields:  # the code wins where both are sent
            stored["country"] = country_name(fields["countryCode"])
    elif fields.get("country") and (code := country_code(fields["country"])):
        stored["countryCode"] = code


def contact_response(record: Record, contact_id: str, segments_of: Callable[[Record], list[str]]) -> dict[str, Any]:
    """`ContactResponse`: empty fields are empty texts, empty properties and phones null, as seen live."""
    statuses = [entry for channel in ("email", "sms") if (entry := current_status(record, channel))]
    status_of = {entry[0]: entry for entry in statuses}
    identifiers = []
    for kind in ("email", "phone"):
        value = record["email"] if kind == "email" else record["phone"]
        if value is not None:
            channel = CHANNEL_OF[kind]
            entry = status_of.get(channel)
            channels = {channel: {"status": entry[1], "statusChangedAt": instant_text(entry[2])}} if entry else {}
            identifiers.append({"type": kind, "id": value, "channels": channels})
    return {
        "id": contact_id,
        "email": record["email"] or "",
        "phone": [record["phone"]] if record["phone"] else None,
        **{name: record["fields"].get(name, "") for name in TEXT_FIELDS},
        "tags": record["tags"],
        "segments": segments_of(record),
        "status": status_of["email"][1] if "email" in status_of else "nonSubscribed",
        "statuses": [
            {"channel": channel, "status": status, "statusChangedAt": instant_text(changed)}
            for channel, status, changed, _ in statuses
        ],
        "optIns": [
            {"channel": channel, "optInAt": instant_text(changed)}
            for channel, status, changed, _ in statuses
            if status == "subscribed"
        ],
        "consents": [{**consent, "createdAt": instant_text(consent["createdAt"])} for consent in record["consents"]],
        "identifiers": identifiers,
        "customProperties": record["properties"] or None,
        "createdAt": instant_text(record["created"]),
        "updatedAt": instant_text(record["updated"]),
    }
