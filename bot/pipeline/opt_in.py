"""Opt-ins: what a profile says of a person's subscription, read by SQL and by rules that people can be told.

Omnisend keeps whichever status has the later date (Omnisend docs, Contacts). So a status goes only with the date that
the source gives for it. Whatever can't be read counts as no opt-in: the contact goes as non-subscribed at the epoch,
which never wins against what Omnisend has. A date to come is no date: it would win even against the person's own
unsubscribing until then, and to put today's in its place would invent a consent.
"""

from collections.abc import Mapping
from enum import StrEnum

from bot.duck import literal
from bot.omnisend.contacts import CONSENT_SOURCE, EPOCH


class Status(StrEnum):
    """Of the email channel, as Omnisend names it."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    NON_SUBSCRIBED = "nonSubscribed"


class Unreadable(StrEnum):
    """Why a profile's opt-in counts as none; also the kind of the note that counts them."""

    STATUS = "opt_in_status"
    DATE = "opt_in_date"
    FUTURE = "opt_in_future"


WORDS: Mapping[Status, tuple[str, ...]] = {
    Status.SUBSCRIBED: (
        "subscribed", "optedin", "optin", "true", "yes", "y", "1", "1.0", "granted", "given", "consented", "ja",
        "angemeldet", "oui", "abonné", "sí", "si", "suscrito", "是", "已订阅", "已訂閱",
    ),
    Status.UNSUBSCRIBED: (
        "unsubscribed", "optedout", "optout", "out", "false", "no", "n", "0", "0.0", "off", "denied", "withdrawn",
        "revoked", "nein", "abgemeldet", "non", "désabonné", "否", "已退订", "已退訂",
    ),
    Status.NON_SUBSCRIBED: ("nonsubscribed", "notsubscribed", "notset", "unknown", "none", "null", "pending"),
}  # fmt: skip
"""The words of each status, folded: lower case, no blanks, `_` or `-` between letters.

What makes a subscription says so: "in", "on" or "confirmed" might as well be a country, a switch or an order.
"""

_DAY = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)"
MOMENT_PATTERN = rf"^{_DAY}([T ]{_TIME}{_ZONE}?)?$"
"""ISO 8601. Without a zone it is UTC, a day alone its beginning. What could be read in two ways is not read."""

MACROS = f"""
CREATE MACRO opt_in_word(v) AS (MAP {{{
    ", ".join(f"{literal(word)}: {literal(status)}" for status, words in WORDS.items() for word in words)
}}})[regexp_replace(lower(v), '(\\p{{L}})[\\s_-]+(\\p{{L}})', '\\1\\2', 'g')];
CREATE MACRO opt_in_moment(v) AS CASE WHEN regexp_matches(v, {literal(MOMENT_PATTERN)})
    THEN epoch_ms(TRY_CAST(v AS TIMESTAMPTZ)) END;
"""  # the connection reckons in UTC


def reading_sql(status: str, date: str, now_ms: int) -> str:
    """From the texts of two fields: `opt_status`, `opt_since` (milliseconds since 1970; both NULL for no opt-in), and
    `opt_unreadable`, a reason or NULL."""
    word, at = f"opt_in_word({status})", f"opt_in_moment({date})"
    dated = f"{word} IN ('{Status.SUBSCRIBED}', '{Status.UNSUBSCRIBED}') AND {at} > 0 AND {at} <= {now_ms}"
    return f"""CASE WHEN {dated} THEN {word} END AS opt_status, CASE WHEN {dated} THEN {at} END AS opt_since,
        CASE WHEN {status} IS NULL OR {word} = '{Status.NON_SUBSCRIBED}' THEN NULL
             WHEN {word} IS NULL THEN '{Unreadable.STATUS}'
             WHEN {at} IS NULL OR {at} <= 0 THEN '{Unreadable.DATE}'
             WHEN {at} > {now_ms} THEN '{Unreadable.FUTURE}' END AS opt_unreadable"""


def channel_sql(status: str, at: str) -> str:
    """The JSON text of an email identifier's channels and, for a subscription, of the consent to it."""
    moment = f"strftime(make_timestamp_ms({at}), '%Y-%m-%dT%H:%M:%S.%gZ')"
    channel = f"""'{{"email":{{"status":"' || {status} || '","statusChangedAt":"' || {moment} || '"}}}}'"""
    source = literal(f',"consent":{{"source":"{CONSENT_SOURCE}","createdAt":"')
    consent = f"""CASE WHEN {status} = '{Status.SUBSCRIBED}' THEN {source} || {moment} || '"}}' ELSE '' END"""
    return f"CASE WHEN {status} IS NULL THEN {literal(NO_OPT_IN)} ELSE {channel} || {consent} END"


NO_OPT_IN = f'{{"email":{{"status":"{Status.NON_SUBSCRIBED}","statusChangedAt":"{EPOCH}"}}}}'
"""The channels of a contact without an opt-in: creates it as non-subscribed, changes nobody who is there."""
