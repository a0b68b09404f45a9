"""Adopting: rebuild an export's lost ledger from the members of its segments at Omnisend."""

from collections.abc import Callable

from bot.omnisend.client import OmnisendClient
from bot.pipeline.omnisend_segments import OmnisendSegments
from bot.pipeline.reconcile import Job
from storage import ledger
from storage.database import Database
from storage.ledger import UNLIKE_ANYTHING, Entry
from storage.secrets import Keys


async def adopt(
    job: Job, client: OmnisendClient, database: Database, keys: Keys, on_page: Callable[[], None] = lambda: None
) -> int:
    """Take over whoever is in the export's segments at Omnisend and not in its ledger; the number of contacts.

    Doing it again takes over nobody twice. What they hold at Omnisend is not known, so that the next comparison sends
    those who are still members again, and takes out the others. `on_page` may raise to break it off in between.
    """
    adopted = 0
    await OmnisendSegments(client, database, job.selected).count()  # finds the segments
    for segment in job.selected:
        if segment.omnisend_id is not None:
            async for emails in client.contact_emails(segment.omnisend_id):
                on_page()
                adopted += await _adopt_page(job, emails, database, keys)
    return adopted


async def _adopt_page(job: Job, emails: list[str], database: Database, keys: Keys) -> int:
    digest, seal = keys.digest.of_email, keys.email.seal
    lowered = {digest(email): email for email in (found.strip().lower() for found in emails)}
    async with database.write() as session:
        known = await ledger.sealed_emails(session, job.book_id, list(lowered))
        entries = [
            Entry(key, UNLIKE_ANYTHING, seal(email, job.book_id, key), True)
            for key, email in lowered.items()
            if key not in known
        ]
        if entries:
            await ledger.adopt(session, job.book, entries)
    return len(entries)
