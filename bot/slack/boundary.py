"""The error boundary: whatever goes wrong is answered where the person is, and stands in the log without their data."""

import re
import secrets
import traceback

import structlog

from bot.slack.errors import SlackRefused, ViewGone
from bot.slack.views.common import unexpected
from bot.slack.views.words import explained
from bot.slack.visit import Flow, Visit
from storage.errors import FerryError

log = structlog.get_logger(__name__)

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none that look alike
_PRIVATE = re.compile(
    r"""[^\s"'<>(]+@[^\s"'<>)]+ | xox[a-z]-[\w-]+ | xapp-[\w-]+ | https?://\S+ | \b[0-9a-f]{24}-\w{20,}\b""", re.VERBOSE
)


def new_reference() -> str:
    """A short code that ties what a person reads to the log, such as `F-7K2Q`."""
    return "F-" + "".join(secrets.choice(_LETTERS) for _ in range(4))


async def guarded(visit: Visit, flow: Flow) -> None:
    """Carry out a flow. Errors with an answer are told in their own words, others with a reference. Never raises."""
    try:
        await flow(visit)
    except ViewGone as error:
        log.info("a window was gone", method=error.method, error=error.error)
        if error.method != "views.update":  # it never opened; one that was closed needs no word
            await _tell(visit, explained(visit.t, error))
    except FerryError as error:
        if isinstance(error, SlackRefused):
            await _tell_reference(visit, error)
        else:
            log.info("answered with an error", code=error.code)
            await _tell(visit, explained(visit.t, error))
    except Exception as error:
        await _tell_reference(visit, error)


async def _tell_reference(visit: Visit, error: Exception) -> None:
    reference = report(error)
    await _tell(visit, unexpected(visit.t, reference))


async def _tell(visit: Visit, text: str) -> None:
    try:
        await visit.fail(text)
    except Exception as error:
        report(error)


def report(error: BaseException) -> str:
    """Log an unexpected error with its traceback, freed of addresses, tokens and links; the reference for it."""
    reference = new_reference()
    lines = "".join(traceback.format_exception(error))
    log.error("unexpected error", reference=reference, kind=type(error).__name__, traceback=scrubbed(lines))
    return reference


def scrubbed(text: str) -> str:
    return _PRIVATE.sub("[…]", text)
