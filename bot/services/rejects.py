"""The rejected rows of a run as a CSV file: who, and why, in words."""

import asyncio
import csv
import io
from collections.abc import Callable, Mapping, Sequence

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.pipeline.staging import Reason
from bot.services.masking import mask_email, mask_id
from storage.errors import SecretUnreadable, mark
from storage.ledger import rejected_email
from storage.models import Book, RejectedBy, Rejection, Run
from storage.secrets import EmailSeal

ROWS = 500  # read at once, and made into text in a worker thread; more would hold up the loop
BOM = "\ufeff"  # without it spreadsheet programs take UTF-8 for something else

_WORDS: Mapping[str, str] = {
    Reason.MISSING_EMAIL: mark("no email address"),
    Reason.EMAIL_TOO_LONG: mark("the email address is too long"),
    Reason.INVALID_EMAIL: mark("not a valid email address"),
    Reason.SUPPRESSED: mark("erased on request: never exported again"),
    "omnisend": mark("refused by Omnisend"),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet program compute a cell


async def rejects_csv(
    session: AsyncSession,
    run: Run,
    brand_id: str | None,
    seal: EmailSeal,
    *,
    full: bool,
    translate: Callable[[str], str] = str,
) -> bytes:
    """Customer id, email (masked unless `full`) and reason of each row, as UTF-8 for spreadsheet programs.

    Rows that Omnisend refused in an earlier run and that have not changed since are counted by the run too, so they
    are here as well.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([translate(mark("customer id")), translate(mark("email")), translate(mark("reason"))])
    last = 0
    while rows := await _page(session, run, brand_id, last):
        last = rows[-1].id or 0
        await asyncio.to_thread(_write, writer.writerow, rows, seal, full, translate)
    return (BOM + text.getvalue()).encode()


async def has_rejects(session: AsyncSession, run: Run, brand_id: str | None) -> bool:
    """Whether any of a run's rejects are still kept: a newer run's take the place of those that the source caused."""
    return bool(await _page(session, run, brand_id, 0, limit=1))


async def _page(
    session: AsyncSession, run: Run, brand_id: str | None, after: int, *, limit: int = ROWS
) -> Sequence[Rejection]:
    standing = select(Book.id).where(Book.export_id == run.export_id, Book.brand_id == brand_id)
    statement = (
        select(Rejection)
        .where(
            or_(
                Rejection.run_id == run.id,
                (col(Rejection.book_id).in_(standing))
                & (col(Rejection.by) == RejectedBy.OMNISEND)
                & (col(Rejection.run_id) < run.id),
            ),
            col(Rejection.id) > after,
        )
        .order_by(col(Rejection.id))
        .limit(limit)
    )
    rows = (await session.exec(statement)).all()
    session.expunge_all()
    return rows


def _write(
    writerow: Callable[[list[str]], object],
    rows: Sequence[Rejection],
    seal: EmailSeal,
    full: bool,
    translate: Callable[[str], str],
) -> None:
    for row in rows:
        email = _email(row, seal)
        reason = translate(_WORDS.get(row.reason, row.reason))
        cells = [
            row.customer_id if full else mask_id(row.customer_id),
            email if full else mask_email(email),
            f"{reason}: {row.detail}" if row.detail else reason,
        ]
        writerow([_harmless(cell) for cell in cells])


def _email(row: Rejection, seal: EmailSeal) -> str:
    """One that can't be opened must not keep people from seeing the others."""
    try:
        return rejected_email(seal, row)
    except SecretUnreadable:
        return ""


def _harmless(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA) else cell
