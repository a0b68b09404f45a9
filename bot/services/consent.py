"""Consent: the text that an admin agrees to, and the record of it.

What the text must say: data with personal data leaves Customer Insights; it is moved at the customer's instruction; the
customer answers for consent and for the third party's duties; it may be withdrawn at any time (Customer Insights docs,
Connections). What is stored here and what Slack gets to see is added, since both are places the data goes to.
"""

import hashlib
from collections.abc import Callable

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.services.actor import Actor
from bot.services.errors import ConsentTextChanged, NotAgreed
from storage.errors import mark
from storage.models import Connection, Consent, now

CONSENT_VERSION = "2026-11.3"  # a new one asks every admin again before the next run: change it with the text

_PARAGRAPHS = (
    mark(
        "*What leaves, and where it goes.* Exports over this connection send data of your customers, personal data "
        "included, from where your unified profiles are kept (Dynamics 365 Customer Insights, or a folder of tables) "
        "to Omnisend, a third party: the email address, the fields that an export maps, an opt-in among them if one is "
        "mapped, and which of the exported segments a person is in."
    ),
    mark(
        "*Who answers for it.* Segment Ferry moves this data at the instruction of your organisation. Your "
        "organisation answers for being allowed to share it, for the consent of the people concerned where it is "
        "needed, and for Omnisend keeping the duties that your organisation has towards them."
    ),
    mark(
        "*What is stored here.* The settings, a record of who did what, the API key and the sign-in of the export user "
        "(both encrypted), and for each contact sent its email address (encrypted, so that people who leave a segment "
        "can be taken out again) with keyed digests of what was sent. Rejected rows are kept with their customer id "
        "and encrypted email until a later run finds them mended. No profile is kept in clear."
    ),
    mark(
        "*Slack.* Messages in Slack show customer ids and masked values. Only if you also choose to show full values "
        "do examples and lists of rejected rows carry full email addresses and values: they then go to Slack too, a "
        "further third party, and to whoever may see those messages."
    ),
    mark(
        "*Changing your mind.* An admin can withdraw this agreement at any time. Running exports then stop, nothing "
        "further is sent, and the key and the sign-in are erased. The encrypted addresses stay here until the export "
        "that they belong to is removed. What Omnisend has received stays there until it is deleted there."
    ),
)


def consent_text(translate: Callable[[str], str] = str) -> str:
    """The whole text, in a language, with its version at the end. Paragraphs are separated by empty lines."""
    version = translate(mark("Text version {version}.")).format(version=CONSENT_VERSION)
    return "\n\n".join([*(translate(paragraph) for paragraph in _PARAGRAPHS), version])


def check_agreement(*, agreed: bool, text_shown: str) -> None:
    """Raises `NotAgreed`, or `ConsentTextChanged` if what was shown is not the present text."""
    if not agreed:
        raise NotAgreed
    if CONSENT_VERSION not in text_shown:
        raise ConsentTextChanged


def record_consent(
    session: AsyncSession,
    actor: Actor,
    connection: Connection,
    *,
    language: str,
    text_shown: str,
    full_values_in_slack: bool,
) -> Consent:
    """Write down an agreement: who, when, to which text as it was shown, for which brand."""
    consent = Consent(
        team_id=connection.team_id,
        connection_id=connection.id,
        connection_name=connection.name,
        brand_id=connection.brand_id,
        person=actor.user_id,
        text_version=CONSENT_VERSION,
        language=language,
        text_digest=hashlib.sha256(text_shown.encode()).hexdigest(),
        full_values_in_slack=full_values_in_slack,
    )
    session.add(consent)
    return consent


async def standing_consent(session: AsyncSession, connection_id: int | None) -> Consent | None:
    """The newest agreement that was not withdrawn."""
    statement = (
        select(Consent)
        .where(Consent.connection_id == connection_id, col(Consent.withdrawn_at).is_(None))
        .order_by(col(Consent.id).desc())
    )
    return (await session.exec(statement)).first()


async def withdraw_consents(session: AsyncSession, actor: Actor, connection: Connection) -> None:
    """End every agreement for a connection. The records stay."""
    statement = select(Consent).where(Consent.connection_id == connection.id, col(Consent.withdrawn_at).is_(None))
    for consent in (await session.exec(statement)).all():
        consent.withdrawn_at, consent.withdrawn_by = now(), actor.user_id
        session.add(consent)


def covers(consent: Consent | None, connection: Connection) -> bool:
    """Whether an agreement holds for what the connection does now: the present text, and the present brand."""
    return consent is not None and (consent.text_version, consent.brand_id) == (CONSENT_VERSION, connection.brand_id)


async def full_values_allowed(session: AsyncSession, connection: Connection | None) -> bool:
    """Whether unmasked values may be shown in Slack: only if a consent that holds says so."""
    if connection is None:
        return False
    consent = await standing_consent(session, connection.id)
    return consent is not None and covers(consent, connection) and consent.full_values_in_slack
