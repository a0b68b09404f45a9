"""What a person typed after `/ferry`: forgiving of case, quotes and synonyms."""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    HELP = "help"
    CONNECT = "connect"
    CONNECTIONS = "connections"
    REQUEST = "request"
    WITHDRAW = "withdraw"
    EXPORT = "export"
    EXPORTS = "exports"
    EDIT = "edit"
    DUPLICATE = "duplicate"
    PAUSE = "pause"
    RESUME = "resume"
    DETACH = "detach"
    REMOVE = "remove"
    RUN = "run"
    RUN_ALL = "run all"
    PREVIEW = "preview"
    STATUS = "status"
    HISTORY = "history"
    CANCEL = "cancel"
    RETRY = "retry"
    RESYNC = "resync"
    REFRESH = "refresh"
    ADMINS = "admins"


_SYNONYMS: dict[Verb, tuple[str, ...]] = {
    Verb.HELP: ("?", "h", "hi", "hello", "commands", "start here"),
    Verb.CONNECT: ("add connection", "new connection", "connection add", "connect omnisend", "link"),
    Verb.CONNECTIONS: ("connection", "connection list", "list connections", "show connections", "keys"),
    Verb.REQUEST: ("request connection", "ask", "ask for connection"),
    Verb.WITHDRAW: ("withdraw consent", "revoke", "disconnect", "stop sending"),
    Verb.EXPORT: ("new", "new export", "add export", "export new", "export add", "create", "create export", "add"),
    Verb.EXPORTS: ("list", "ls", "export list", "list exports", "show exports", "all exports"),
    Verb.EDIT: ("change", "update", "edit export", "export edit", "map", "mapping", "configure"),
    Verb.DUPLICATE: ("copy", "clone", "duplicate export", "copy export"),
    Verb.PAUSE: ("disable", "pause export", "hold"),
    Verb.RESUME: ("unpause", "enable", "continue", "resume export"),
    Verb.DETACH: ("unlink", "detach export"),
    Verb.REMOVE: ("delete", "rm", "del", "remove export", "delete export"),
    Verb.RUN: ("start", "sync", "send", "go", "run export", "export run", "execute", "now", "push"),
    Verb.RUN_ALL: ("runall", "run everything", "start all", "sync all"),
    Verb.PREVIEW: ("dry run", "dry-run", "dryrun", "test", "check", "what if", "export preview", "show"),
    Verb.STATUS: ("state", "stat", "progress", "health", "running", "runs"),
    Verb.HISTORY: ("log", "past", "runs of", "last", "chart"),
    Verb.CANCEL: ("stop", "abort", "halt", "cancel run"),
    Verb.RETRY: ("retry rejected", "again", "retry rejects"),
    Verb.RESYNC: ("full", "full resync", "resend", "full sync"),
    Verb.REFRESH: ("schedule", "schedules", "refresh schedule", "times"),
    Verb.ADMINS: ("admin", "owners", "who", "roles"),
}

_WORDS = {phrase: verb for verb in Verb for phrase in (verb.value, *_SYNONYMS[verb])}
_LONGEST = max(len(phrase.split()) for phrase in _WORDS)
_QUOTES = {"'": "'", '"': '"', "“": "”", "”": "”", "„": "“”", "‘": "’", "’": "’", "«": "»", "»": "«", "「": "」"}
_LIKENESS = 0.72  # how alike a mistyped verb must be to be guessed


@dataclass(frozen=True, slots=True)
class Request:
    """`verb` is None where the first word is no verb: then `near` may be what was meant. `rest`: names, unquoted."""

    verb: Verb | None
    rest: str = ""
    near: Verb | None = None


def parse(text: str) -> Request:
    """Read the text of a command. Nothing at all asks for help."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not text:
        return Request(Verb.HELP)
    words = text.split(" ")
    for count in range(min(_LONGEST, len(words)), 0, -1):  # "run all" before "run"
        verb = _WORDS.get(" ".join(words[:count]).casefold())
        if verb is Verb.RUN_ALL and count < len(words):  # an export named "All customers"
            continue
        if verb is not None:
            return Request(verb, unquote(" ".join(words[count:])))
    return Request(None, unquote(" ".join(words[1:])), _guess(words[0]))


def unquote(text: str) -> str:
    """Without the quotes around it, straight or curly, and without a stray one."""
    text = text.strip()
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES[text[0]]:
        return text[1:-1].strip()
    return re.sub(r"""^["“”„«»]|["“”„«»]$""", "", text).strip()


def _guess(word: str) -> Verb | None:
    single = [phrase for phrase in _WORDS if " " not in phrase and len(phrase) > 2]
    near = difflib.get_close_matches(word.casefold(), single, n=1, cutoff=_LIKENESS)
    return _WORDS[near[0]] if near else None
