"""What the use cases refuse, and why.

A `FieldError` names the field of the draft that can't be taken, so that a form can show it there.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import ClassVar

from bot.pipeline.errors import NoConnection, NoKey, NoSegments, RunError
from storage.errors import FerryError, mark

__all__ = ["NoConnection", "NoSegments"]  # the pipeline's own, raised by the services as well


class ServiceError(FerryError):
    """The root of what the services raise. Nothing was changed when it is raised."""

    code = "service"
    consequence = mark("Nothing was changed.")


class FieldError(ServiceError):
    """Something typed or chosen can't be taken. `field`: of the draft it came in."""

    code = "field"
    consequence = ""
    field: ClassVar[str] = ""


class ChangedMeanwhile(ServiceError):
    """Somebody else saved it after the window had been opened: saving now would undo that unseen."""

    code = "changed-meanwhile"
    what = mark("*{name}* was changed since this window was opened.")
    remedy = mark("Open it again to see how it stands now.")


# --- names


class NameMissing(FieldError):
    code = "name-missing"
    field = "name"
    what = mark("A name is missing.")
    remedy = mark("Give it one that your team will recognise.")


class NameTooLong(FieldError):
    code = "name-too-long"
    field = "name"
    what = mark("The name is longer than {most} characters.")
    remedy = mark("Shorten it.")


class ConnectionNameTaken(FieldError):
    code = "connection-name-taken"
    field = "name"
    what = mark("There is a connection named *{name}* already.")
    remedy = mark("Choose another name, or edit that connection.")


class ExportNameTaken(FieldError):
    code = "export-name-taken"
    field = "name"
    what = mark("There is an export named *{name}* already.")
    remedy = mark("Choose another name, or edit that export.")


# --- connections


class AudienceEmpty(FieldError):
    code = "audience-empty"
    field = "people"
    what = mark("Nobody is named with whom the connection is to be shared.")
    remedy = mark("Name people or user groups, or share it with admins only or with everyone.")


class KeyMissing(FieldError):
    code = "key-missing"
    field = "api_key"
    what = mark("The API key is missing.")
    remedy = mark("Copy it from Omnisend: Store settings → API → API keys.")


class KeyNotAccepted(FieldError):
    code = "key-not-accepted"
    field = "api_key"
    what = mark("Omnisend does not accept this API key: it is wrong or was revoked.")
    remedy = mark("Copy the whole key from Omnisend (Store settings → API → API keys), or make a new one there.")


class KeyLacksScope(FieldError):
    """`scope` is the missing permission as Omnisend names it."""

    code = "key-lacks-scope"
    field = "api_key"
    what = mark("This API key lacks a permission: {scope}.")
    remedy = mark(
        "Make a key in Omnisend (Store settings → API → API keys) that may read and write contacts, read brands, and "
        "read and write segments."
    )


class KeyNotChecked(FieldError):
    """Omnisend could not say whether the key is good. `cause` is what happened."""

    code = "key-not-checked"
    field = "api_key"
    what = mark("The key could not be checked.")
    remedy = mark("It was not stored. Try again in a minute.")

    def __init__(self, cause: FerryError) -> None:
        self.cause = cause
        super().__init__()

    def explain(self, translate: Callable[[str], str] = str) -> str:
        why = translate(self.cause.what).format_map(defaultdict(str, self.cause.facts))
        return f"{translate(self.what)} {why} {translate(self.remedy)}"


class NotAgreed(FieldError):
    code = "not-agreed"
    field = "agreed"
    what = mark("Without an agreement to the privacy text no data may leave.")
    remedy = mark("Read it and tick *I agree*.")


class ConsentTextChanged(FieldError):
    """What was shown is not the present text: the form is older than this version of the program."""

    code = "consent-text-changed"
    field = "agreed"
    what = mark("The privacy text has changed since it was shown to you.")
    remedy = mark("Open the form again, read the new text and agree to it.")


class SourceNotOffered(FieldError):
    code = "source-not-offered"
    field = "source"
    what = mark("The source {source} is not configured here.")
    remedy = mark("Choose one of those on offer, or ask whoever runs Segment Ferry to configure it.")


class ExportUserMissing(FieldError):
    code = "export-user-missing"
    field = "export_user"
    what = mark("Nobody is there yet in whose name profiles can be read.")
    remedy = mark("Choose *Add yourself as export user* and sign in, then save.")


class AppIdentityMissing(FieldError):
    code = "app-identity-missing"
    field = "export_user"
    what = mark("The app has neither a secret nor a certificate here, so it can't read in its own name.")
    remedy = mark(
        "Sign in yourself, or ask whoever runs Segment Ferry to set FERRY_ENTRA_APP_SECRET or "
        "FERRY_ENTRA_APP_CERTIFICATE."
    )


class ExportUserUnfit(FieldError):
    """Whoever signed in can't read what is needed. `cause` says why, and who can mend it."""

    code = "export-user-unfit"
    field = "export_user"

    def __init__(self, cause: FerryError) -> None:
        self.cause = cause
        super().__init__()

    def explain(self, translate: Callable[[str], str] = str) -> str:
        parts = (
            translate(text).format_map(defaultdict(str, self.cause.facts)) for text in _what_and_remedy(self.cause)
        )
        return " ".join(parts)


class ExportUserUnwanted(ServiceError):
    code = "export-user-unwanted"
    what = mark("The connection *{connection}* reads a folder of tables, and nobody has to sign in for that.")
    remedy = mark("There is nothing to do.")


class SignInOver(ServiceError):
    code = "sign-in-over"
    what = mark("This sign-in is no longer there: it was used, replaced, or waited for more than a day.")
    remedy = mark("Get a new code and sign in again.")


def _what_and_remedy(error: FerryError) -> list[str]:
    return [text for text in (error.what, error.remedy) if text]


class ConnectionUnknown(ServiceError):
    code = "connection-unknown"
    what = mark("This connection is no longer there.")
    remedy = mark("Open the list of connections again to see how it stands now.")


class ConnectionInUse(ServiceError):
    """`exports`: id and name of each export that uses it."""

    code = "connection-in-use"
    what = mark("The connection *{connection}* is used by {names}.")
    consequence = mark("It was not removed.")
    remedy = mark("Remove or detach each of them first, then remove the connection.")

    def __init__(self, connection: str, exports: Sequence[tuple[int, str]]) -> None:
        self.exports = tuple(exports)
        super().__init__(connection=connection, names=", ".join(f"*{name}*" for _, name in exports))


class ConnectionBusy(ServiceError):
    code = "connection-busy"
    what = mark("The key belongs to another brand, and {names} is running to the present one.")
    consequence = mark("The key was not replaced.")
    remedy = mark("Wait for the run to end or cancel it, then replace the key.")


class RequestUnknown(ServiceError):
    code = "request-unknown"
    what = mark("This request is no longer there.")
    remedy = mark("Ask the person to send it again with /ferry connect.")


class RequestAnswered(ServiceError):
    code = "request-answered"
    what = mark("This request was answered already: {verdict} by {by}.")
    remedy = mark("There is nothing left to do.")


class AdminsEmpty(FieldError):
    code = "admins-empty"
    field = "admins"
    what = mark("Somebody has to be an admin.")
    remedy = mark("Name at least one person, or leave it to Slack's own admins and owners.")


# --- consent


class ConsentWithdrawn(NoKey):
    code = "consent-withdrawn"
    what = mark("The consent of the connection *{connection}* was withdrawn and its key erased.")
    consequence = mark("Nothing was sent.")
    remedy = mark("An admin can add a new connection with /ferry connect; the export can then be moved to it.")


class ConsentOutdated(RunError):
    code = "consent-outdated"
    what = mark(
        "The consent of the connection *{connection}* does not cover this: the privacy text or the brand changed."
    )
    consequence = mark("Nothing was sent.")
    remedy = mark("An admin has to read the present text and agree to it (edit the connection), then run again.")


# --- exports


class ExportUnknown(ServiceError):
    """`suggestions`: names of exports that were perhaps meant."""

    code = "export-unknown"
    what = mark("There is no export named *{name}*.{near}")
    remedy = mark("/ferry status lists those that exist.")

    def __init__(self, name: str, suggestions: Sequence[str] = ()) -> None:
        self.suggestions = tuple(suggestions)
        near = f" Did you mean {' or '.join(f'*{each}*' for each in suggestions)}?" if suggestions else ""
        super().__init__(name=name, near=near)


class ExportGone(ServiceError):
    code = "export-gone"
    what = mark("This export is no longer there.")
    remedy = mark("/ferry status lists those that exist.")


class ExportBusy(ServiceError):
    code = "export-busy"
    what = mark("*{export}* is running.")
    remedy = mark("Wait for the run to end or cancel it, then try again.")


class ConnectionMissing(FieldError):
    code = "connection-missing"
    field = "connection_id"
    what = mark("The connection was removed, or its consent was withdrawn.")
    remedy = mark("Choose another one, or ask an admin for one.")


class ExportUnfit(FieldError):
    """It was moved to a connection with another source. `missing` names the fields and segments it does not have."""

    code = "export-unfit"
    field = "connection_id"
    what = mark("The connection reads from another source ({source}), which does not have: {missing}.")
    consequence = mark("Nothing was changed.")
    remedy = mark("Choose other fields and segments for this connection, or keep the export where it is.")


class SegmentsMissing(FieldError):
    code = "segments-missing"
    field = "segments"
    what = mark("No segment is chosen.")
    remedy = mark("Choose at least one.")


class TooManySegments(FieldError):
    code = "too-many-segments"
    field = "segments"
    what = mark("{count} segments are more than the {most} that one export may have.")
    remedy = mark("Spread them over several exports.")


class SegmentNotOffered(FieldError):
    code = "segment-not-offered"
    field = "segments"
    what = mark("The segment *{segment}* is not in the source ({source}).{near}")
    remedy = mark("Choose one of those on offer.")


class SegmentOwned(FieldError):
    """Two exports of one brand would fight over one flag. `export` is the first one's name."""

    code = "segment-owned"
    field = "segments"
    what = mark("The segment *{segment}* goes to this brand through the export *{export}* already.")
    remedy = mark("Leave it out here, or deselect it there first: a segment goes to a brand through one export only.")


class SegmentOwnedElsewhere(SegmentOwned):
    code = "segment-owned-elsewhere"
    what = mark("The segment *{segment}* goes to this brand from another workspace already.")
    remedy = mark("Leave it out here: a segment goes to a brand through one export only.")


class SegmentsAlike(FieldError):
    code = "segments-alike"
    field = "segments"
    what = mark("The segments *{one}* and *{other}* would share one property at Omnisend: their names look the same.")
    remedy = mark("Choose one of the two, or rename one in the source.")


class LimitUnknown(FieldError):
    code = "limit-unknown"
    field = "limits"
    what = mark("There is no limit named {limit}.")
    remedy = mark("Known limits: {known}.")


class LimitBad(FieldError):
    code = "limit-bad"
    field = "limits"
    what = mark("The limit {limit} must be a number from 0 to {most}.")
    remedy = mark("Correct it, or leave it out to keep the default.")


# --- schedules


class ScheduleMissing(FieldError):
    code = "schedule-missing"
    field = "schedule"
    what = mark("An export with its own schedule needs days and times.")
    remedy = mark("Choose when it runs, or let it run with each refresh or by hand only.")


class TimesMissing(FieldError):
    code = "times-missing"
    field = "times"
    what = mark("No time of day is chosen.")
    remedy = mark("Choose one to {most} times.")


class TooManyTimes(FieldError):
    code = "too-many-times"
    field = "times"
    what = mark("{count} times a day are more than the {most} that a schedule may have.")
    remedy = mark("Choose fewer.")


class TimeBad(FieldError):
    code = "time-bad"
    field = "times"
    what = mark("{time} is no time of day.")
    remedy = mark("Write it as hours and minutes, such as 06:30.")


class WeekdaysBad(FieldError):
    code = "weekdays-bad"
    field = "weekdays"
    what = mark("No weekday is chosen.")
    remedy = mark("Choose at least one.")


class ZoneUnknown(FieldError):
    code = "zone-unknown"
    field = "zone"
    what = mark("There is no time zone named {zone}.")
    remedy = mark("Write it as continent and city, such as Europe/Berlin.")


# --- runs


class Paused(RunError):
    code = "paused"
    what = mark("*{export}* is paused.")
    consequence = mark("Nothing was sent.")
    remedy = mark("Resume it, then run it.")


class RunUnknown(ServiceError):
    code = "run-unknown"
    what = mark("This run is no longer on record.")
    remedy = mark("/ferry history shows the runs that are.")


class RunOver(ServiceError):
    """`status` is how the run stands now."""

    code = "run-over"
    what = mark("This run of *{export}* is over already ({status}).")
    remedy = mark("/ferry status shows how things stand now.")


class QuestionClosed(ServiceError):
    """`status` is how the run stands now."""

    code = "question-closed"
    what = mark("The question about *{export}* is no longer open: the run is now {status}.")
    remedy = mark("/ferry status shows how things stand now.")


class NothingToAdopt(ServiceError):
    code = "nothing-to-adopt"
    what = mark("*{export}* remembers whom it has exported: there is nothing to rebuild.")
    remedy = mark("Answer the question with Send or Skip.")


class RejectsReplaced(ServiceError):
    code = "rejects-replaced"
    what = mark("The rejected rows of this run of *{export}* are no longer kept: a newer run made its own list.")
    remedy = mark("Ask for the list of the last run.")
