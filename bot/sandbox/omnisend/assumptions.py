"""What is not known of the real service, as switches: one value each is in force at any time."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switch:
    """One open question: its possible answers, the assumed one first, and what they mean."""

    values: tuple[str, ...]
    meaning: str


TABLE: Mapping[str, Switch] = {
    "retry-after-body": Switch(("on", "off"), "a 429 body carries `retryAfter`"),
    "retry-after-header": Switch(("off", "on"), "a 429 answer carries the header `Retry-After`"),
    "pots": Switch(
        ("one", "per-endpoint"),
        "one: all requests of a brand count toward one limit, named endpoints have a smaller one inside it; "
        "per-endpoint: each of contacts, batches, brands, contacts/tags, segments has its own",
    ),
    "tags-limit": Switch(("shared", "separate"), "POST and DELETE /contacts/tags share 60 a minute"),
    "item-code": Switch(
        ("201", "200", "as-single"),
        "code of a batch item that succeeded; as-single: 201 for created, 200 for updated",
    ),
    "item-response": Switch(("full", "v3"), "response of a batch item: the full contact, or `{email, contactID}`"),
    "item-error": Switch(("problem", "v3", "text"), "form of the error body of a batch item"),
    "error-path": Switch(("dotted", "brackets"), "how `errors[].field` writes an index: `a.0.b` or `a[0].b`"),
    "responses": Switch(("successes", "everything"), "what `responses` of a batch's items holds beside `errors`"),
    "absent-dates": Switch(("omitted", "empty", "null"), "`startedAt` and `endedAt` before they are known"),
    "batch-tags": Switch(("replace", "add"), "what `tags` inside a batch item do to the contact's tags"),
    "stop-after-errors": Switch(("off", "on"), "a batch with 10 failed items stops, the rest is not tried"),
    "batch-delay": Switch(("seconds", "minutes", "hours"), "from POST /batches to its end: 2 s, 3 min or 3 h"),
    "batch-order": Switch(("newest-first", "oldest-first"), "order of GET /batches"),
    "origin": Switch(("dropped", "kept"), "`origin` of a batch: always `api`, or the text that was sent"),
    "execution": Switch(("in-order", "shuffled"), "whether items of a batch, batches and tag calls keep their order"),
    "tag-delay": Switch(("1s", "60s"), "how long a tag call takes to show"),
    "tag-effect": Switch(("applied", "lost"), "lost: tag calls are accepted and never take effect"),
    "big-body": Switch(("accepted", "413"), "a body over 1 MB"),
    "equal-status-date": Switch(
        ("keeps", "replaces"), "a status with the very date of the stored one: stored status stays, or changes"
    ),
    "property-errors": Switch(
        ("refused", "ignored"),
        "custom properties with a bad name, too long a text or no allowed type, and those beyond 200",
    ),
    "property-type-change": Switch(
        ("accepted", "refused"), "a custom property sent with another type than the brand has for it"
    ),
    "segment-property": Switch(
        ("free", "known-first"), "known-first: a rule on a custom property never sent gives 400"
    ),
    "segment-statistics-lag": Switch(
        ("0s", "60s"), "60s: `contactsCount` is counted once a minute, first a minute after the segment is ready"
    ),
    "segment-building": Switch(("0s", "5s"), "how long a new or changed segment stays `building`"),
}

SWITCHES: Mapping[str, tuple[str, ...]] = {name: switch.values for name, switch in TABLE.items()}
"""Each switch with its values, the default first."""

BATCH_DELAYS = {"seconds": 2.0, "minutes": 180.0, "hours": 10_800.0}  # virtual seconds


class UnknownAssumption(ValueError):
    """A switch or value that does not exist; the message lists those that do."""


class Assumptions:
    """The switches as they stand. `batch_delay` (virtual seconds) overrides the switch `batch-delay`."""

    def __init__(self, chosen: Mapping[str, str] | None = None, batch_delay: float | None = None) -> None:
        self._values = {name: values[0] for name, values in SWITCHES.items()}
        self.set(chosen or {})
        self._batch_delay = batch_delay

    def set(self, chosen: Mapping[str, str]) -> None:
        """Turn switches; nothing changes if one of them is unknown (`UnknownAssumption`)."""
        for name, value in chosen.items():
            _check(name, value)
        if "batch-delay" in chosen:
            self._batch_delay = None
        self._values.update(chosen)

    def says(self, name: str, value: str) -> bool:
        """Whether switch `name` stands at `value`."""
        return self._values[name] == value

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def seconds(self, name: str) -> float:
        """The value of a switch such as `60s` as a number."""
        return float(self._values[name].removesuffix("s"))

    @property
    def batch_delay(self) -> float:
        """Virtual seconds from the posting of a batch to its end."""
        if self._batch_delay is not None:
            return self._batch_delay
        return BATCH_DELAYS[self._values["batch-delay"]]

    def as_dict(self) -> dict[str, str]:
        """All switches as they stand."""
        return dict(self._values)


def parse_assumption(text: str) -> tuple[str, str]:
    """`NAME=VALUE` as a pair; raises `UnknownAssumption`."""
    name, _, value = text.partition("=")
    _check(name, value)
    return name, value


def _check(name: str, value: object) -> None:
    if name not in SWITCHES:
        raise UnknownAssumption(f"There is no switch {name!r}. Switches: {', '.join(SWITCHES)}.")
    if value not in SWITCHES[name]:
        raise UnknownAssumption(f"Switch {name!r} has no value {value!r}. Values: {', '.join(SWITCHES[name])}.")
