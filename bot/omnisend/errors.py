"""What can go wrong between us and Omnisend, one class for each answer that asks for something different of us.

No error carries a key, a body or an email: details from Omnisend are masked before they come here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

from storage.errors import FerryError, mark


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that Omnisend did not accept: its path as Omnisend wrote it, a code or "", and a message."""

    field: str
    code: str
    message: str

    def __str__(self) -> str:
        text = self.message or self.code
        return f"{self.field}: {text}" if self.field and text else self.field or text


class Circumstances(TypedDict, total=False):
    """What every error of this module may know."""

    call: str
    """Method and path, without query."""
    status: int | None
    """The HTTP status; None where no answer came."""
    detail: str
    """Omnisend's own words, short and masked."""
    trace: str | None
    """Omnisend's id of the failed request, where it gave one."""


class OmnisendError(FerryError):
    """The root of what talking to Omnisend raises. The circumstances are attributes, and facts for the texts."""

    code = "omnisend"

    def __init__(
        self,
        *,
        call: str = "",
        status: int | None = None,
        detail: str = "",
        trace: str | None = None,
        **facts: object,
    ) -> None:
        self.call = call
        self.status = status
        self.detail = detail
        self.trace = trace
        super().__init__(call=call, status=status, detail=detail or "it gave no reason", trace=trace, **facts)


class KeyRefused(OmnisendError):
    """401: no key, a wrong one or a revoked one; Omnisend's answer is the same."""

    code = "omnisend-key-refused"
    what = mark("Omnisend does not accept the API key: it is wrong or was revoked.")
    consequence = mark("Nothing more was sent; what Omnisend had accepted before stays there.")
    remedy = mark(
        "An admin can make a new key in Omnisend (Store settings → API → API keys) and enter it in the connection; "
        "the next run goes on where this one stopped."
    )


class ScopeMissing(OmnisendError):
    """403: the key lacks a permission. `scope` is the missing one where Omnisend names it."""

    code = "omnisend-scope-missing"
    what = mark("Omnisend does not let this API key do what is needed ({detail}). Missing permission: {scope}.")
    consequence = mark("Nothing more was sent; what Omnisend had accepted before stays there.")
    remedy = mark(
        "An admin can make a key in Omnisend (Store settings → API → API keys) that may read and write contacts and "
        "read brands, and for segments also read and write segments, and enter it in the connection."
    )

    def __init__(self, *, scope: str | None = None, **circumstances: Unpack[Circumstances]) -> None:
        self.scope = scope
        super().__init__(scope=scope or "not named by Omnisend", **circumstances)


class PlanRefused(OmnisendError):
    """402: the brand's plan does not cover it."""

    code = "omnisend-plan-refused"
    what = mark("Omnisend says that the plan of this brand does not cover what was asked ({detail}).")
    consequence = mark("Nothing more was sent; what Omnisend had accepted before stays there.")
    remedy = mark("Check plan and billing in Omnisend, then run the export again: it goes on where it stopped.")


class VersionRetired(OmnisendError):
    """410: Omnisend no longer serves the API version that this program speaks."""

    code = "omnisend-version-retired"
    what = mark("Omnisend no longer serves the version of its API that Segment Ferry uses ({version}).")
    consequence = mark("Nothing more was sent, and no export to Omnisend can run.")
    remedy = mark("Install a newer release of Segment Ferry; state and settings are kept.")


STOPS_RUN = (KeyRefused, ScopeMissing, PlanRefused, VersionRetired)
"""The errors that every further request would meet as well: a run stops at once."""


class NotFound(OmnisendError):
    """404: no such batch (or it is older than 7 days), contact or segment."""

    code = "omnisend-not-found"
    what = mark("Omnisend does not know what was asked for ({call}).")
    consequence = mark("Nothing was changed. A batch that is gone may or may not have been carried out.")
    remedy = mark("Run the export again: it sends whatever is not known to have arrived.")


class Conflict(OmnisendError):
    """409: the identifier belongs to another contact, or the segment is still being built."""

    code = "omnisend-conflict"
    what = mark("Omnisend refused a change since it clashes with what is there ({detail}).")
    consequence = mark("This one change was not made; nothing else is touched by it.")
    remedy = mark("Try again in a few minutes; if it stays so, look at the contact or segment in Omnisend.")


class Refused(OmnisendError):
    """400, 422 and other 4xx: the request itself is not accepted, and repeating it would not help."""

    code = "omnisend-refused"
    what = mark("Omnisend did not accept a request ({call}, status {status}): {detail}.")
    consequence = mark("Nothing of that request was done.")
    remedy = mark(
        "Omnisend keeps the details under Store settings → API. If the mapping does not explain it, report the error "
        "to whoever looks after Segment Ferry."
    )

    def __init__(self, *, fields: Sequence[FieldProblem] = (), **circumstances: Unpack[Circumstances]) -> None:
        self.fields = tuple(fields)
        super().__init__(**circumstances)


class TooLarge(OmnisendError):
    """413: the body is too large; half of it may pass."""

    code = "omnisend-too-large"
    what = mark("Omnisend found a request too large ({call}).")
    consequence = mark("Nothing of that request was done.")
    remedy = mark("Map fewer or shorter attributes if this comes again with a single contact.")


class Unavailable(OmnisendError):
    """Omnisend refused to serve, or could not be reached, in every try; nothing was changed by them."""

    code = "omnisend-unavailable"
    what = mark("Omnisend can't be used just now ({call}: {tries} tries, the last with {outcome}).")
    consequence = mark("This request changed nothing; what Omnisend had accepted before stays there.")
    remedy = mark("See https://status.omnisend.com, then run the export again: it goes on where it stopped.")

    def __init__(self, *, tries: int, outcome: str, **circumstances: Unpack[Circumstances]) -> None:
        self.tries = tries
        self.outcome = outcome
        super().__init__(tries=tries, outcome=outcome, **circumstances)


class FateUnknown(OmnisendError):
    """A change was sent and no usable answer came: it may have been made, or may yet be made, or not."""

    code = "omnisend-fate-unknown"
    what = mark("No usable answer came from Omnisend to a change that was sent ({call}: {outcome}).")
    consequence = mark("Nobody knows yet whether it was made: the contacts in it count as in doubt.")
    remedy = mark("Nothing is lost: the next run finds out, or sends it again, which does no harm.")

    def __init__(self, *, outcome: str, **circumstances: Unpack[Circumstances]) -> None:
        self.outcome = outcome
        super().__init__(outcome=outcome, **circumstances)


class RubbishAnswer(OmnisendError):
    """An answer that is not what the API promises: HTML, a redirect, or JSON of another shape."""

    code = "omnisend-rubbish-answer"
    what = mark("Something answered in place of Omnisend, or Omnisend's answer has changed ({call}: {detail}).")
    consequence = mark("It was not used.")
    remedy = mark("Check FERRY_OMNISEND_URL and any proxy on the way; if they are right, look for a newer release.")
