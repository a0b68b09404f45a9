"""Omnisend's answers as plain data, read leniently: what is not documented as certain may be absent, null or odd.

Each `read` takes parsed JSON and raises `NotAsPromised` where the answer lacks what we can't do without.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from bot.omnisend.problems import Problem

FINAL_STATUSES = frozenset({"finished", "stopped"})  # Omnisend docs, Batches; any other word means: not yet

T = TypeVar("T")

_PERSONAL = ("email", "phone", "firstName", "lastName", "address", "postalCode", "birthdate")


class NotAsPromised(ValueError):
    """The answer is JSON, but not of the promised shape. Says what is missing, never what was there."""


@dataclass(frozen=True, slots=True)
class Brand:
    """The shop behind a key. `id` is None if the key may use contacts but not read brands: then nothing names it."""

    id: str | None
    name: str = ""
    website: str = ""

    @classmethod
    def read(cls, data: Any) -> "Brand":
        brand = _object(data)
        return cls(_required_text(brand, "brandID"), _text(brand, "name"), _text(brand, "website"))


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """How far a batch is. `finished` counts every item tried, `errors` those of them that failed."""

    id: str
    status: str  # pending, inProgress, finished, stopped, or a word not known yet
    total: int
    finished: int
    errors: int
    created_at: datetime | None

    @property
    def final(self) -> bool:
        """Nothing more will happen to it."""
        return self.status in FINAL_STATUSES

    @classmethod
    def read(cls, data: Any) -> "BatchInfo":
        batch = _object(data)
        return cls(
            id=_required_text(batch, "batchID"),
            status=_text(batch, "status"),
            total=_count(batch.get("totalCount")),
            finished=_count(batch.get("finishedCount")),
            errors=_count(batch.get("errorsCount")),
            created_at=_moment(batch.get("createdAt")),
        )


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """One contact of a batch that Omnisend did not take. `code` is 0 where none was given; `reason` is masked."""

    email: str  # lower-cased
    code: int
    reason: str

    @property
    def retryable(self) -> bool:
        """The same item may pass later."""
        return self.code in (408, 429) or self.code >= 500

    @property
    def stops_run(self) -> bool:
        """The key itself is refused: every further item would fail alike."""
        return self.code in (401, 403)


@dataclass(frozen=True, slots=True)
class BatchItems:
    """What became of the items of a batch, by lower-cased email. An email in neither has not been tried.

    `unnamed` counts failed items whose echoed request names no email, so that they can be tied to nobody.
    """

    info: BatchInfo
    done: frozenset[str]
    failed: list[ItemFailure]
    unnamed: int = 0

    @classmethod
    def read(cls, data: Any) -> "BatchItems":
        """Read both arrays. A request in both, or with an error code in `responses`, is a failure."""
        info = BatchInfo.read(data)
        errors = [_Item(entry) for entry in _list(data.get("errors"))]
        responses = [_Item(entry) for entry in _list(data.get("responses"))]
        failures = errors + [item for item in responses if not item.accepted]
        failed: dict[str, ItemFailure] = {}
        for item in failures:
            if item.email and item.email not in failed:
                failed[item.email] = item.failure()
        return cls(
            info=info,
            done=frozenset(item.email for item in responses if item.email and item.email not in failed),
            failed=list(failed.values()),
            unnamed=sum(not item.email for item in failures),
        )


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment of Omnisend's: a rule whose members it computes. `condition_groups` is the rule as plain data."""

    id: str
    name: str
    status: str  # ready, building, archived
    condition_groups: Any

    @classmethod
    def read(cls, data: Any) -> "SegmentInfo":
        segment = _object(data)
        return cls(
            id=_required_text(segment, "segmentID"),
            name=_text(segment, "name"),
            status=_text(segment, "status"),
            condition_groups=segment.get("conditionGroups"),
        )

    def follows(self, property_name: str) -> bool:
        """Is its rule exactly that this boolean property equals true? Fields that Omnisend may add don't count."""
        match self.condition_groups:
            case [{"conditions": [{"entity": "contact", "filters": [{"property": "custom", **rule}]}]}]:
                return (rule.get("name"), rule.get("operator"), rule.get("value")) == (property_name, "equals", True)
        return False


def membership_rule(property_name: str) -> list[dict[str, Any]]:
    """The condition groups of "this boolean custom property equals true" (Omnisend docs, Segments)."""
    rule = {"property": "custom", "name": property_name, "valueType": "bool", "operator": "equals", "value": True}
    return [{"conditions": [{"entity": "contact", "junction": "and", "filters": [rule]}]}]


@dataclass(frozen=True, slots=True)
class CursorPage(Generic[T]):
    """A page of a list: the entries under `key`, and the cursor of the next page (None at the end)."""

    entries: list[T]
    after: str | None

    @classmethod
    def read(cls, data: Any, key: str, read_entry: Callable[[Any], T]) -> "CursorPage[T]":
        entries = [read_entry(entry) for entry in _promised_list(data, key)]
        paging = _paging(data)
        cursors = paging.get("cursors")
        after = _text(cursors, "after") if isinstance(cursors, dict) else ""
        return cls(entries, after if after and paging.get("hasMore") else None)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of the batch list, which alone pages by offset; `more` says whether another one follows."""

    batches: list[BatchInfo]
    more: bool

    @classmethod
    def read(cls, data: Any) -> "BatchPage":
        batches = [BatchInfo.read(entry) for entry in _promised_list(data, "batches")]
        return cls(batches, bool(batches) and bool(_paging(data).get("next")))


def read_batch_id(data: Any) -> str:
    return _required_text(_object(data), "batchID")


def read_contacts_count(data: Any) -> int:
    statistics = _object(data)
    if not isinstance(statistics.get("contactsCount"), int | float):
        raise NotAsPromised("no contactsCount")
    return _count(statistics["contactsCount"])


def read_email(contact: Any) -> str:
    """The email of a contact as Omnisend has it; empty for one that has none, such as a phone-only contact."""
    return _text(_object(contact), "email")


class _Item:
    """An entry of a batch's `responses` or `errors`."""

    def __init__(self, entry: Any) -> None:
        item = _object(entry)
        request = item.get("request")
        self._request: dict[str, Any] = request if isinstance(request, dict) else {}
        self._response = item.get("response")
        self._code = _count(item.get("responseCode"))
        self._identifiers = [i for i in _list(self._request.get("identifiers")) if isinstance(i, dict)]
        self.email = self._find_email()

    @property
    def accepted(self) -> bool:
        """Judged by the code; an entry of `responses` without one counts as accepted."""
        return self._code == 0 or 200 <= self._code < 300

    def failure(self) -> ItemFailure:
        problem = Problem.read(self._response, secrets=self._personal())
        return ItemFailure(self.email, self._code, problem.detail or f"refused with status {self._code or 'unknown'}")

    def _find_email(self) -> str:
        by_identifier = (_text(i, "id") for i in self._identifiers if i.get("type") == "email")
        return (next(by_identifier, "") or _text(self._request, "email")).strip().lower()

    def _personal(self) -> Iterator[str]:
        """What the request says about the person: a reason may quote it."""
        yield from (_text(i, "id") for i in self._identifiers)
        yield from (_text(self._request, key) for key in _PERSONAL)


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise NotAsPromised("not a JSON object")
    return data


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _promised_list(data: Any, key: str) -> list[Any]:
    """A list that must be there; null stands for an empty one."""
    page = _object(data)
    value = page.get(key, False)
    if value is not None and not isinstance(value, list):
        raise NotAsPromised(f"no list of {key}")
    return value or []


def _paging(data: Any) -> dict[str, Any]:
    paging = _object(data).get("paging")
    return paging if isinstance(paging, dict) else {}


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _required_text(data: dict[str, Any], key: str) -> str:
    text = _text(data, key)
    if not text:
        raise NotAsPromised(f"no {key}")
    return text


def _count(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _moment(value: Any) -> datetime | None:
    """An aware time, UTC where no zone is given; None for one that is absent, empty, null, zero or no time at all."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if moment.year == 1:  # Go's zero time
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
