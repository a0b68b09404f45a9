"""What can go wrong between us and Dataverse, and which answer means what (Dataverse docs, "Web API client errors").

Dataverse's messages quote the query, and queries hold customer ids and names. So its words are looked through for what
is safe to show (a column's or a privilege's name) and are not passed on.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from bot.sources.base import FieldMissing, SourceBusy, SourceError
from bot.sources.dataverse.queries import PROFILE_TABLE, PROFILES, WHO_AM_I
from storage.errors import mark

PRIVILEGE_DENIED = "0x80040220"
NOT_A_MEMBER = "0x80072560"
SQL_TIMEOUT = "0x80044151"
THROTTLE_CODES = {
    "0x80072322": "too many requests",
    "0x80072321": "too much execution time",
    "0x80072326": "too many requests at once",
}
"""Which of the three limits of a user was reached (Dataverse docs, "Service protection API limits")."""

_COLUMN = re.compile(r"Could not find a property named '(\w{1,128})'")
_PRIVILEGE = re.compile(r"\bprvRead\w{1,100}")


class DataverseError(SourceError):
    """The root of what reading from Dataverse raises."""

    code = "dataverse"


class AddressRefused(DataverseError):
    code = "dataverse-address"
    what = mark("{url} is not the address of a Dataverse environment: {detail}.")
    consequence = mark("Nothing was read.")
    remedy = mark(
        "Use the environment's address as the Power Platform admin centre shows it, such as "
        "https://contoso.crm4.dynamics.com. Only a setting of whoever runs Segment Ferry can allow other hosts."
    )


class Unreachable(DataverseError):
    """No connection came about at all: most often the address is wrong."""

    code = "dataverse-unreachable"
    what = mark("Nothing can be reached at {source} ({reason}).")
    remedy = mark(
        "Check the environment's address, the network and any proxy on the way: whoever runs Segment Ferry can correct "
        "them, and a Power Platform admin knows the address."
    )


class NotDataverse(DataverseError):
    """Something answers, but not as Dataverse would."""

    code = "dataverse-not-there"
    what = mark("What answers at {source} is not Dataverse ({outcome}).")
    remedy = mark(
        "Whoever runs Segment Ferry can correct the environment's address: it is the one that the Power Platform admin "
        "centre shows, not that of an app or a portal."
    )


class TokenRefused(DataverseError):
    code = "dataverse-token-refused"
    what = mark("Dataverse ({source}) does not accept the sign-in, though it was renewed just now.")
    remedy = mark(
        "Check that environment and tenant belong together. A Power Platform admin can see whether the account, or the "
        "app as an application user, is enabled in the environment."
    )


class RoleMissing(DataverseError):
    code = "dataverse-role-missing"
    what = mark("The account that reads profiles is not allowed to read {call} ({privilege}).")
    remedy = mark(
        "An admin of Customer Insights can make it a Viewer (Settings > Permissions), which gives it the role Customer "
        "Insights Data Read Access in Dataverse; that takes up to 15 minutes. Then run again."
    )


class NotAMember(DataverseError):
    code = "dataverse-not-a-member"
    what = mark("The account that reads profiles is not a user of the environment {source}.")
    remedy = mark(
        "A Power Platform admin can add it as a user (an app: as an application user), and an admin of Customer "
        "Insights can then make it a Viewer."
    )


class DataSharingOff(DataverseError):
    code = "dataverse-no-tables"
    what = mark("{call} is not in the environment {source}: Customer Insights does not share its data there.")
    remedy = mark(
        "An admin of Customer Insights can turn on data sharing with Dataverse and wait for a refresh. If it is on, "
        "check that this is the environment Customer Insights is linked to."
    )


class QueryRefused(DataverseError):
    code = "dataverse-refused"
    what = mark("Dataverse did not accept a request ({call}: {outcome}).")
    remedy = mark("Report this to whoever looks after Segment Ferry, with Dataverse's reference {reference}.")


class NotSupported(QueryRefused):
    """501: these tables don't support what was asked; there is always a plainer way."""

    code = "dataverse-not-supported"


class TooSlow(QueryRefused):
    """The server ran out of its time for one request; a plainer question may be answered."""

    code = "dataverse-too-slow"


class LinkRefused(DataverseError):
    """The link of a next page is not accepted (any more): the reading has to start again."""

    code = "dataverse-link-refused"


class Interrupted(DataverseError):
    code = "dataverse-interrupted"
    what = mark("Dataverse refused {times} times to go on with the pages of {call} that it had begun to give.")
    remedy = mark("Run again later; if it stays so, report it to whoever looks after Segment Ferry.")


class Throttled(DataverseError):
    code = "dataverse-throttled"
    what = mark("Dataverse tells this account to wait for more than {minutes} minutes in all ({limit}).")
    remedy = mark(
        "Run again later. If other programs use the same account, an account of its own for Segment Ferry has limits "
        "of its own."
    )


class Unavailable(DataverseError):
    code = "dataverse-unavailable"
    what = mark("Dataverse can't be read just now ({call}: {tries} tries, the last with {outcome}).")
    remedy = mark("See the service health in the Power Platform admin centre, check {source}, then run again.")


class ForeignLink(DataverseError):
    code = "dataverse-foreign-link"
    what = mark("Dataverse's answer leads to another host ({host}) for its next page.")
    consequence = mark("It was not followed, so that the sign-in reaches nobody else. Nothing was sent.")
    remedy = mark("Check the environment's address and any proxy on the way.")


class TooManyMembers(DataverseError):
    code = "dataverse-too-many-members"
    what = mark("The chosen segments have more than {most} members, the most that one export may have.")
    remedy = mark("Choose smaller segments or spread them over several exports.")


class RefreshRunning(DataverseError, SourceBusy):
    code = "dataverse-refresh"
    what = mark("Customer Insights is being refreshed until about {until} UTC: its tables don't fit together now.")
    remedy = mark(
        "Try again after that; a run waits for the end by itself. If nothing is refreshed at this time, an admin can "
        "correct the times: /ferry refresh."
    )


class RefreshBegan(RefreshRunning):
    code = "dataverse-refresh-began"
    what = mark("A refresh of Customer Insights began while profiles were read (until about {until} UTC).")
    consequence = mark("What was read may be half old and half new, so nothing was sent.")
    remedy = mark("Try again after that. An admin can correct the times of the expected refreshes: /ferry refresh.")


def outcome_of(status: int, body: bytes) -> str:
    """A status with Dataverse's error code, in words that hold nothing of the query."""
    error = _error(body)
    return f"status {status}, {error}" if error else f"status {status}"


def code_of(body: bytes) -> str:
    """Dataverse's error code; empty where the body is not one of its own (a proxy's HTML)."""
    return _error(body)


def refusal(status: int, body: bytes, *, call: str, source: str, reference: str, is_link: bool) -> SourceError:
    """The error of an answer that no repetition would change. `is_link`: it was the link of a next page."""
    facts: Mapping[str, str] = {"call": call, "source": source, "reference": reference}
    outcome = outcome_of(status, body)
    match status:
        case _ if call == WHO_AM_I and (300 <= status < 400 or status in (404, 405, 410)):
            return NotDataverse(outcome=outcome, **facts)
        case 401:
            return TokenRefused(**facts)
        case 403 if _error(body) == NOT_A_MEMBER:
            return NotAMember(**facts)
        case 403:
            return RoleMissing(privilege=_found(_PRIVILEGE, body) or outcome, **facts)
        case 404:
            table = PROFILES if PROFILE_TABLE in call else call  # asked for its columns
            return DataSharingOff(**{**facts, "call": table})
        case 400 if call == PROFILES and (column := _found(_COLUMN, body)):
            return FieldMissing.among((), [column])
        case 400 | 410 if is_link:
            return LinkRefused(outcome=outcome, **facts)
        case 501:
            return NotSupported(outcome=outcome, **facts)
    return QueryRefused(outcome=outcome, **facts)


def _error(body: bytes) -> str:
    error = _json(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", code) else ""


def _found(pattern: re.Pattern[str], body: bytes) -> str:
    """What the pattern finds in Dataverse's message; its group, if it has one."""
    error = _json(body).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    match = pattern.search(message) if isinstance(message, str) else None
    return match[match.re.groups] if match else ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
