"""What Segment Ferry remembers. Small tables as models; the ledger is written in bulk by `storage.ledger`.

Everything a workspace owns carries its `team_id`. The ledger's rows reach theirs through the book they stand in: a
million rows need not repeat it. Personal data stands here only sealed or as a keyed digest.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from sqlalchemy import JSON, Column, DateTime, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

# Batch migrations on SQLite need every constraint to have a name.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Moment(TypeDecorator[datetime]):
    """An aware UTC time; SQLite itself keeps no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone is ambiguous")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


Word = TypeVar("Word", bound=StrEnum)


class OneOf(TypeDecorator[Word]):
    """A word of a closed list, stored as itself and read back as the enum's member."""

    impl = String(32)
    cache_ok = True

    def __init__(self, words: type[Word]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Word | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> Word | None:
        return None if value is None else self.words(value)


def now() -> datetime:
    return datetime.now(UTC)


class Stored(Protocol):
    id: int | None


def id_of(row: Stored) -> int:
    """The id of a row that has been stored; the checker can't know that it has one by then."""
    assert row.id is not None
    return row.id


def _moment(*, required: bool = False, default: bool = False) -> Any:
    if default:
        return Field(default_factory=now, sa_type=Moment, nullable=False)
    return Field(sa_type=Moment, nullable=False) if required else Field(default=None, sa_type=Moment)


def _word(words: type[StrEnum], default: StrEnum) -> Any:
    return Field(default=default, sa_column=Column(OneOf(words), nullable=False))


def _json(default: Any) -> Any:
    return Field(default_factory=default, sa_type=JSON, nullable=False)


# --- the installation, its workspaces and people


class Installation(SQLModel, table=True):
    """One row: the keys that never change, wrapped by the secret keys that may be rotated."""

    id: int = Field(default=1, primary_key=True)
    digest_key: str = Field(sa_type=Text)
    email_key: str = Field(sa_type=Text)
    created_at: datetime = _moment(default=True)


class Workspace(SQLModel, table=True):
    team_id: str = Field(primary_key=True)
    name: str = ""
    admins: list[str] | None = Field(default=None, sa_type=JSON)  # None: Slack's own admins and owners
    created_at: datetime = _moment(default=True)


class Person(SQLModel, table=True):
    """What Slack last said of a member of the workspace."""

    team_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    name: str = ""
    locale: str = "en-US"
    zone: str = "UTC"
    is_admin: bool = False
    seen_at: datetime = _moment(default=True)


# --- connections and consent


class ConnectionState(StrEnum):
    ACTIVE = "active"
    WITHDRAWN = "withdrawn"  # consent withdrawn: the key is erased, nothing runs


class Audience(StrEnum):
    """Who may use a connection, beside the admins."""

    ADMINS = "admins"
    PEOPLE = "people"  # those named by ConnectionGrant
    EVERYONE = "everyone"


class Connection(SQLModel, table=True):
    """One Omnisend brand: its key, who may use it, and as whom profiles are read."""

    __table_args__ = (UniqueConstraint("team_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    name: str
    state: ConnectionState = _word(ConnectionState, ConnectionState.ACTIVE)
    source: str = "tables"
    brand_id: str
    brand_name: str = ""
    brand_website: str = ""
    api_key: str | None = Field(default=None, sa_type=Text)  # sealed to this row; None once erased
    key_hint: str = ""  # the key's last four characters
    segments_scope: bool = True  # False once Omnisend said that the key lacks segments.write
    audience: Audience = _word(Audience, Audience.ADMINS)
    share: float | None = None  # of the brand's rate; None: the installation's setting
    export_user: str = ""
    created_by: str = ""
    created_at: datetime = _moment(default=True)
    updated_at: datetime = _moment(default=True)


class ReaderKind(StrEnum):
    """In whose name profiles are read."""

    PERSON = "person"  # who has signed in with a code
    APP = "app"  # the app registration of the settings, with its own secret or certificate


class ExportUser(SQLModel, table=True):
    """In whose name a connection reads profiles, where its source wants to know. An id never comes again.

    Without a connection: somebody has signed in, or is about to, and has not saved yet.
    """

    __tablename__ = "export_user"
    __table_args__ = {"sqlite_autoincrement": True}  # SQLite hands out ids again otherwise

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    connection_id: int | None = Field(default=None, foreign_key="connection.id", ondelete="CASCADE", unique=True)
    kind: ReaderKind = _word(ReaderKind, ReaderKind.PERSON)
    environment: str  # its origin: tokens are good there only
    tokens: str | None = Field(default=None, sa_type=Text)  # sealed to this row and its connection
    added_by: str  # user id
    added_at: datetime = _moment(default=True)
    warned_at: datetime | None = _moment()  # people were told that it ends soon
    ended_at: datetime | None = _moment()  # it was found to have ended, and people were told


class GrantKind(StrEnum):
    PERSON = "person"
    GROUP = "group"


class ConnectionGrant(SQLModel, table=True):
    """A person or user group that a connection is shared with."""

    __tablename__ = "connection_grant"

    connection_id: int = Field(foreign_key="connection.id", primary_key=True, ondelete="CASCADE")
    kind: GrantKind = Field(sa_column=Column(OneOf(GrantKind), primary_key=True))
    subject: str = Field(primary_key=True)  # a user id or a user group id
    team_id: str = Field(index=True)


class Consent(SQLModel, table=True):
    """An admin's agreement that personal data leaves through a connection. Never changed, only withdrawn."""

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    connection_id: int | None = Field(default=None, foreign_key="connection.id", ondelete="SET NULL", index=True)
    connection_name: str
    brand_id: str
    person: str  # user id of the admin who agreed
    text_version: str
    language: str
    text_digest: str  # SHA-256 of the text as it was shown
    full_values_in_slack: bool = False
    agreed_at: datetime = _moment(default=True)
    withdrawn_at: datetime | None = _moment()
    withdrawn_by: str | None = None


# --- exports


class When(StrEnum):
    """What makes an export run, beside a person."""

    REFRESH = "refresh"  # with each refresh of the workspace
    OWN = "own"  # its own recurrence
    MANUAL = "manual"


class Leavers(StrEnum):
    """What happens to contacts that left all segments of an export."""

    FLAG_FALSE = "false"
    KEEP = "keep"


class Export(SQLModel, table=True):
    """Connection + segments + mapping + schedule + channel."""

    __table_args__ = (UniqueConstraint("team_id", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    name: str
    connection_id: int | None = Field(default=None, foreign_key="connection.id", ondelete="SET NULL", index=True)
    owner: str
    channel: str = ""  # where results are reported; empty: nowhere but to the owner
    when: When = _word(When, When.MANUAL)
    leavers: Leavers = _word(Leavers, Leavers.FLAG_FALSE)
    paused: bool = False
    limits: dict[str, float] = _json(dict)  # guard limits that differ from the defaults
    notify: list[str] = _json(list)  # who is told of failures, beside owner and admins
    created_at: datetime = _moment(default=True)
    updated_at: datetime = _moment(default=True)


class SegmentState(StrEnum):
    SELECTED = "selected"
    DROPPING = "dropping"  # deselected; still to be sent as false to those who have it


class ExportSegment(SQLModel, table=True):
    """A segment that an export owns at a brand. Owned once: two exports of a brand never fight over one flag."""

    __tablename__ = "export_segment"
    __table_args__ = (UniqueConstraint("team_id", "brand_id", "source", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    export_id: int = Field(foreign_key="export.id", ondelete="CASCADE", index=True)
    brand_id: str
    source: str
    name: str
    property_name: str  # the boolean custom property at Omnisend
    state: SegmentState = _word(SegmentState, SegmentState.SELECTED)
    omnisend_id: str | None = None
    omnisend_name: str | None = None  # differs from `name` where Omnisend had one of that name already
    last_members: int | None = None  # in the last run that finished


class MappingKind(StrEnum):
    FIELD = "field"
    TEMPLATE = "template"  # text with {Field} in it; without any, a constant


class FieldMapping(SQLModel, table=True):
    """One line of an export's mapping: what an Omnisend attribute is made from."""

    __tablename__ = "field_mapping"
    __table_args__ = (UniqueConstraint("export_id", "attribute"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    export_id: int = Field(foreign_key="export.id", ondelete="CASCADE", index=True)
    position: int
    attribute: str  # such as `email`, `firstName`, or `custom:Loyalty_Tier`
    kind: MappingKind = _word(MappingKind, MappingKind.FIELD)
    value: str  # a field's name, or the template
    clear: bool = False  # an empty value blanks the attribute instead of leaving it as it is
    field_type: str = ""  # the field's type when it was mapped


class Schedule(SQLModel, table=True):
    """Local times on weekdays. Without an export: the workspace's refresh."""

    __table_args__ = (
        Index("one_refresh_per_workspace", "team_id", unique=True, sqlite_where=text("export_id IS NULL")),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    export_id: int | None = Field(default=None, foreign_key="export.id", ondelete="CASCADE", index=True, unique=True)
    active: bool = True
    times: list[str] = _json(list)  # such as ["06:00", "18:30"]
    weekdays: list[int] = Field(default_factory=lambda: list(range(7)), sa_type=JSON, nullable=False)  # Monday is 0
    zone: str = "UTC"
    next_due: datetime | None = _moment()


# --- runs


class Trigger(StrEnum):
    MANUAL = "manual"
    REFRESH = "refresh"
    OWN = "own"
    RETRY = "retry"  # a person asked for the rejected rows to be tried again
    RESYNC = "resync"  # everything is sent again, whatever the ledger says
    EMPTY = "empty"  # everybody is removed, before an export is
    ADOPT = "adopt"  # a lost ledger is rebuilt first, from Omnisend's segments


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    ASKING = "asking"  # the guard waits for a person's answer; nothing was sent
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # by the guard, in the middle
    CANCELLED = "cancelled"
    SKIPPED = "skipped"  # by a person's answer to the guard, or because it came too late

    @property
    def active(self) -> bool:
        return self in (RunStatus.QUEUED, RunStatus.RUNNING)

    @property
    def failed(self) -> bool:
        """People are told in private, and once it is over."""
        return self in (RunStatus.FAILED, RunStatus.STOPPED)


class Stage(StrEnum):
    WAITING = "waiting"
    REFRESHING = "refreshing"  # waits until the source has been refreshed
    DRAINING = "draining"
    ADOPTING = "adopting"
    READING = "reading"
    COMPARING = "comparing"
    SENDING = "sending"
    SETTLING = "settling"


class Run(SQLModel, table=True):
    """One reconciliation of an export: who or what started it, how far it is, what came of it."""

    __table_args__ = (
        UniqueConstraint("export_id", "due_at"),
        Index(
            "one_active_run_per_export",
            "export_id",
            unique=True,
            sqlite_where=text("status IN ('queued', 'running')"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    export_id: int | None = Field(default=None, foreign_key="export.id", ondelete="SET NULL", index=True)
    export_name: str = ""
    trigger: Trigger = _word(Trigger, Trigger.MANUAL)
    started_by: str = ""  # user id; empty for a schedule
    due_at: datetime | None = _moment()  # of the schedule's tick; None for runs started by people
    status: RunStatus = _word(RunStatus, RunStatus.QUEUED)
    stage: Stage = _word(Stage, Stage.WAITING)
    accept_guard: bool = False
    cancel_requested_by: str | None = None
    holder: str | None = None  # the process that executes it
    beat_at: datetime | None = _moment()  # when that process last wrote here
    attempts: int = 0  # more than one: resumed after a crash
    created_at: datetime = _moment(default=True)
    started_at: datetime | None = _moment()
    ended_at: datetime | None = _moment()

    profiles: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    rejected: int = 0
    in_doubt: int = 0
    kept: int = 0  # leavers left as they are
    sent: int = 0  # contacts in settled batches, so far
    total: int = 0  # contacts to send
    batches: int = 0
    requests: int = 0
    segments: list[dict[str, Any]] = _json(list)  # name, members, contacts_count, omnisend_name
    findings: list[dict[str, Any]] = _json(list)  # what the guard asks about
    notes: list[dict[str, Any]] = _json(list)  # what the report mentions
    error_code: str | None = None
    error_text: str | None = Field(default=None, sa_type=Text)
    reference: str | None = None
    report_channel: str | None = None  # where the live message is, once Slack has it
    report_ts: str | None = None


class BatchState(StrEnum):
    CLAIMED = "claimed"  # written down, perhaps posted: fate unknown
    SUBMITTED = "submitted"  # Omnisend has it and may still be working on it
    CONFIRMED = "confirmed"
    IN_DOUBT = "in_doubt"  # given up: it will not be heard of again

    @property
    def open(self) -> bool:
        return self in (BatchState.CLAIMED, BatchState.SUBMITTED)


class BatchKind(StrEnum):
    UPSERT = "upsert"
    REMOVAL = "removal"
    PATCH = "patch"  # a removal by single calls, which can't re-create anybody
    ADOPTED = "adopted"  # stands for what was found at Omnisend, never posted


class Batch(SQLModel, table=True):
    """Up to a hundred contacts that went to Omnisend together; a range of the ledger in digest order."""

    __table_args__ = (Index("open_batches", "book_id", sqlite_where=text("state IN ('claimed', 'submitted')")),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    book_id: int = Field(foreign_key="book.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", ondelete="SET NULL", index=True)
    kind: BatchKind = _word(BatchKind, BatchKind.UPSERT)
    state: BatchState = _word(BatchState, BatchState.CLAIMED)
    omnisend_id: str | None = None
    count: int
    rejected: int = 0
    first_digest: bytes = Field(sa_type=LargeBinary)
    last_digest: bytes = Field(sa_type=LargeBinary)
    claimed_at: datetime = _moment(default=True)
    settled_at: datetime | None = _moment()


class Book(SQLModel, table=True):
    """The ledger of one export at one brand."""

    __table_args__ = (UniqueConstraint("export_id", "brand_id"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    export_id: int | None = Field(default=None, foreign_key="export.id", ondelete="SET NULL")
    brand_id: str = Field(index=True)
    attributes: list[str] = _json(list)  # every attribute it has ever sent; those no longer mapped stay at Omnisend
    created_at: datetime = _moment(default=True)


class LedgerEntry(SQLModel, table=True):
    """What was submitted for one contact. `known`: Omnisend took, or may have taken, something for it before."""

    __tablename__ = "ledger"
    __table_args__ = {"sqlite_with_rowid": False}

    book_id: int = Field(sa_column=Column(ForeignKey("book.id", ondelete="CASCADE"), primary_key=True))
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))  # keyed, of the email
    payload: bytes = Field(sa_type=LargeBinary)  # keyed, of what was sent; empty: unlike anything
    email: bytes = Field(sa_type=LargeBinary)  # sealed to book and digest
    batch_id: int
    known: bool = False


class RejectedBy(StrEnum):
    SOURCE = "source"  # staging found the row unfit
    OMNISEND = "omnisend"


class Rejection(SQLModel, table=True):
    """A row that did not reach Omnisend, and why. Omnisend's own stand until the payload changes or someone retries."""

    __table_args__ = (Index("standing_rejections", "book_id", "digest"),)

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    book_id: int = Field(foreign_key="book.id", ondelete="CASCADE")
    run_id: int | None = Field(default=None, foreign_key="run.id", ondelete="CASCADE", index=True)
    by: RejectedBy = _word(RejectedBy, RejectedBy.SOURCE)
    customer_id: str = ""
    email: bytes = Field(default=b"", sa_type=LargeBinary)  # sealed
    reason: str
    detail: str = ""
    digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    payload: bytes | None = Field(default=None, sa_type=LargeBinary)


class Suppression(SQLModel, table=True):
    """A person erased through us: never exported again. Only the keyed digest of the email remains."""

    team_id: str = Field(primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    created_at: datetime = _moment(default=True)


class Lease(SQLModel, table=True):
    """The right of one process to send to a brand, and the requests of the last window that it leaves behind."""

    brand_id: str = Field(primary_key=True)
    holder: str
    renewed_at: datetime = _moment(default=True)
    released: bool = False
    window: list[float] = _json(list)  # wall-clock seconds of the requests that still count


# --- what people hear, and what is kept for the record


class OutboxState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    DROPPED = "dropped"  # Slack will never take it (channel gone, person gone)


class OutboxMessage(SQLModel, table=True):
    """Something that must reach a channel or person. Rendered when delivered, from the event and its facts."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("team_id", "key"),
        Index("waiting_messages", "not_before", sqlite_where=text("state = 'waiting'")),
    )

    id: int | None = Field(default=None, primary_key=True)
    team_id: str
    key: str  # says what and to whom, so that one event makes one message
    event: str
    channel: str  # a channel or user id
    facts: dict[str, Any] = _json(dict)
    state: OutboxState = _word(OutboxState, OutboxState.WAITING)
    attempts: int = 0
    not_before: datetime = _moment(default=True)
    created_at: datetime = _moment(default=True)
    delivered_channel: str | None = None
    delivered_ts: str | None = None
    last_error: str | None = None


class AuditEntry(SQLModel, table=True):
    """Who did what to which thing, and when. Never personal data of profiles, never secrets."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, primary_key=True)
    team_id: str = Field(index=True)
    at: datetime = _moment(default=True)
    actor: str  # a user id, `cli`, or `schedule`
    action: str
    subject: str
    facts: dict[str, Any] = _json(dict)


# --- what is heard of refreshes


class RefreshHook(SQLModel, table=True):
    """The workspace's webhook, called when Customer Insights has refreshed. The token itself is nowhere kept."""

    __tablename__ = "refresh_hook"

    team_id: str = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)  # SHA-256 of the token
    created_by: str = ""
    created_at: datetime = _moment(default=True)  # of this token
    refreshed_at: datetime | None = _moment()  # when the latest refresh was reported, by its first call
