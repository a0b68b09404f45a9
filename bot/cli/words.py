"""Texts for a terminal: the shared ones are written for Slack, with its markup and its commands."""

import html
import re
from collections.abc import Mapping, Sequence

from bot.omnisend.errors import KeyRefused, ScopeMissing
from bot.pipeline.errors import EnvironmentChanged
from bot.pipeline.mapping import EmailNotMapped, UnknownField
from bot.services.errors import (
    ConnectionInUse,
    ConsentOutdated,
    ConsentWithdrawn,
    ExportUserMissing,
    KeyMissing,
    NotAgreed,
    SegmentNotOffered,
    SourceNotOffered,
)
from bot.sources.base import Field, FieldMissing, Segment, SegmentMissing
from bot.sources.entra.errors import MoreProofNeeded, NotSignedIn, SignInAgain
from storage.errors import FerryError

SHOWN_NAMES = 100  # Customer Insights' profiles have many fields, and --map takes their names

_BOLD = re.compile(r"(?<![\w*])\*(?! )([^*\n]+?)(?<! )\*(?![\w*])")

_COMMANDS: Mapping[str, str] = {
    "/ferry connect": "ferry connection add",
    "/ferry status": "ferry export list",
    "/ferry history": "ferry export list",
}

_HINTS: Mapping[str, str] = {
    NotAgreed.code: "Answer y, or give --agree.",
    KeyMissing.code: "Set FERRY_API_KEY, or type the key when asked.",
    KeyRefused.code: "Here: ferry connection key NAME",
    ScopeMissing.code: "Here: ferry connection key NAME",
    ConsentOutdated.code: "Here: ferry connection agree NAME",
    ConsentWithdrawn.code: "Here an export is moved by removing it and adding it again.",
    ExportUserMissing.code: "Here: ferry connection sign-in NAME",
    EnvironmentChanged.code: "Here: ferry connection sign-in NAME",
    NotSignedIn.code: "Here: ferry connection sign-in NAME",
    SignInAgain.code: "Here: ferry connection sign-in NAME",
    MoreProofNeeded.code: "Here: ferry connection sign-in NAME",
    ConnectionInUse.code: "Here: ferry export remove NAME",
    SourceNotOffered.code: "Set FERRY_SOURCE to a folder with profiles and segments, or FERRY_DATAVERSE_URL.",
    SegmentNotOffered.code: "ferry doctor shows what the source offers.",
    SegmentMissing.code: "ferry doctor shows what the source offers.",
    FieldMissing.code: "ferry doctor shows the fields that there are.",
    UnknownField.code: "ferry doctor shows the fields that there are.",
    EmailNotMapped.code: "Name it with --map email=FIELD.",
}
"""What to do next on the command line, by the error's code, where the shared text speaks of forms and buttons."""


def plain(text: str) -> str:
    """A text with Slack's markup as a terminal shows it: quotes for bold, `ferry` for `/ferry`."""
    text = html.unescape(_BOLD.sub(r"'\1'", text))
    for command, ours in _COMMANDS.items():
        text = text.replace(command, ours)
    return text


def unmarked(text: str) -> str:
    """A longer text with its emphasis left out."""
    return html.unescape(_BOLD.sub(r"\1", text))


def explained(error: FerryError) -> str:
    """What happened, what it means for the data, what to do next."""
    return with_hint(str(error), error.code)


def with_hint(text: str, code: str | None) -> str:
    """The text of an error, with what to do about it on the command line. `code`: the error's."""
    return f"{plain(text)} {_HINTS.get(code or '', '')}".rstrip()


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def on_offer(fields: Sequence[Field], segments: Sequence[Segment]) -> str:
    """What a source offers: how many fields and segments, and their names, or as many as a line holds."""
    return f"{counted(len(fields), 'field')} ({_some(fields)}), {counted(len(segments), 'segment')} ({_some(segments)})"


def _some(named: Sequence[Field] | Sequence[Segment]) -> str:
    names = [each.name for each in named[:SHOWN_NAMES]]
    return ", ".join(names) + (", …" if len(named) > SHOWN_NAMES else "")
