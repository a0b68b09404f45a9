"""What an Omnisend contact can hold, and how our segments stand on it.

Rules: Omnisend docs, Contacts; where the docs are silent, the safe assumption stands beside the rule.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

MAX_BATCH_ITEMS = 100  # Omnisend docs, Batches
MAX_BATCH_BYTES = 1_000_000  # a recommendation of the docs; nobody has published the hard limit
MAX_CUSTOM_PROPERTIES = 200
MAX_PROPERTY_NAME = 128
MAX_PROPERTY_TEXT = 2_048  # characters
MAX_EMAIL = 254
EPOCH = "1970-01-01T00:00:00.000Z"
CONSENT_SOURCE = "Customer profile, by Segment Ferry"  # said with a subscription that a profile vouches for
CUSTOM = "custom:"  # prefix of mapping attributes that are custom properties

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")


class ValueKind(StrEnum):
    TEXT = "text"
    COUNTRY = "country"  # a name or code, resolved to ISO 3166-1 alpha-2
    EMAIL = "email"
    OPT_IN = "opt_in"  # a person's subscription: see `bot.pipeline.opt_in`


@dataclass(frozen=True, slots=True)
class Attribute:
    """A standard attribute of a contact. Lengths are in characters; Omnisend publishes none, so these are careful."""

    name: str
    label: str
    kind: ValueKind = ValueKind.TEXT
    max_length: int = 255


EMAIL = Attribute("email", "Email", ValueKind.EMAIL, MAX_EMAIL)
STANDARD: Mapping[str, Attribute] = {
    attribute.name: attribute
    for attribute in (
        EMAIL,
        Attribute("firstName", "First name"),
        Attribute("lastName", "Last name"),
        Attribute("address", "Address", max_length=1_000),
        Attribute("country", "Country/Region", ValueKind.COUNTRY),
        Attribute("state", "State"),
        Attribute("city", "City"),
        Attribute("postalCode", "Postal code"),
    )
}


OPT_IN_STATUS = Attribute("optInStatus", "Opt-in status", ValueKind.OPT_IN)
OPT_IN_DATE = Attribute("optInDate", "Opt-in date", ValueKind.OPT_IN)
OPT_IN: Mapping[str, Attribute] = {attribute.name: attribute for attribute in (OPT_IN_STATUS, OPT_IN_DATE)}
"""Mapped both or neither: Omnisend keeps whichever status has the later date."""
ATTRIBUTES: Mapping[str, Attribute] = {**STANDARD, **OPT_IN}


def property_name(text: str) -> str:
    """A valid custom property name made from a field's name: Latin letters, digits and `_`, at most 128."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_IN_NAMES.sub("_", plain).strip("_")[:MAX_PROPERTY_NAME]


def segment_property(segment: str) -> str:
    """The boolean property that stands for a segment, such as `segment_vip_3f9a1c20`.

    A slug for people and a hash for uniqueness, since Chinese names slug to nothing. The same segment gets the same
    property on every installation, so that a lost ledger can be rebuilt from what is at Omnisend.
    """
    name = unicodedata.normalize("NFC", segment)
    slug = property_name(name).lower()[:40].strip("_")
    return "_".join(part for part in ("segment", slug, hashlib.sha256(name.encode()).hexdigest()[:8]) if part)


def removal_item(email: str, properties: Iterable[str]) -> bytes:
    """The batch item that takes a contact out of segments and changes nothing else."""
    return orjson.dumps(
        {
            "identifiers": [
                {
                    "type": "email",
                    "id": email,
                    "channels": {"email": {"status": "nonSubscribed", "statusChangedAt": EPOCH}},
                    "sendWelcomeMessage": False,
                }
            ],
            "customProperties": dict.fromkeys(properties, False),
        }
    )


def removal_patch(properties: Iterable[str]) -> bytes:
    """The body of a PATCH that takes one contact out of segments."""
    return orjson.dumps({"customProperties": dict.fromkeys(properties, False)})


def batch_body(items: Sequence[bytes]) -> bytes:
    """The envelope of `POST /batches` around items that are JSON already."""
    return b'{"method":"POST","endpoint":"contacts","items":[' + b",".join(items) + b"]}"


def pack(sizes: Sequence[int]) -> list[range]:
    """Cut a row of items, given their sizes in bytes, into batches within both of Omnisend's limits, in order."""
    batches: list[range] = []
    start, total = 0, 0
    for index, size in enumerate(sizes):
        too_many = index - start >= MAX_BATCH_ITEMS
        too_big = total + size + 1 > MAX_BATCH_BYTES - 100 and index > start
        if too_many or too_big:
            batches.append(range(start, index))
            start, total = index, 0
        total += size + 1
    if start < len(sizes):
        batches.append(range(start, len(sizes)))
    return batches
