"""The ledger: claimed in bulk before the posts, settled by batch, read in digest order. Held against the design."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from sqlmodel import select

from storage import ledger
from storage.database import Database
from storage.ledger import LEDGER_SCHEMA, UNLIKE_ANYTHING, Claim, Entry
from storage.models import Batch, BatchKind, BatchState, Book, Export, LedgerEntry, RejectedBy, Rejection, Run, id_of

TEAM, BRAND = "T0TEST", "5f92cbf10cf217478ba93561"
A, B, C, D = (bytes([n]) * 16 for n in (1, 2, 3, 4))  # contacts, in digest order
OLD, NEW = b"o" * 16, b"n" * 16  # payloads


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path / 'ferry.sqlite3'}")
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def book(database: Database) -> Book:
    return await make_book(database, "one")


async def make_book(database: Database, name: str, brand: str = BRAND) -> Book:
    async with database.write() as session:
        export = Export(team_id=TEAM, name=name, owner="U")
        session.add(export)
        await session.flush()
        return await ledger.open_book(session, TEAM, id_of(export), brand)


async def claim(
    database: Database,
    book: Book,
    *digests: bytes,
    payload: bytes = NEW,
    kind: BatchKind = BatchKind.UPSERT,
    known: bool = False,
) -> Batch:
    """Claim one batch of these contacts."""
    entries = [Entry(digest, payload, b"sealed " + digest, known) for digest in digests]
    async with database.write() as session:
        (batch_id,) = await ledger.claim(session, book, None, [Claim(kind, entries)])
    async with database.read() as session:
        return await session.get_one(Batch, batch_id)


async def confirm(
    database: Database, batch: Batch, rejected: Sequence[bytes] = (), untried: Sequence[bytes] = ()
) -> None:
    async with database.write() as session:
        await ledger.confirm(session, batch, [rejection(batch, digest) for digest in rejected], untried)


def rejection(batch: Batch, digest: bytes, payload: bytes = NEW) -> Rejection:
    return Rejection(
        team_id=TEAM, book_id=batch.book_id, by=RejectedBy.OMNISEND, reason="omnisend", digest=digest, payload=payload
    )  # fmt: skip


async def entries(database: Database, book: Book) -> dict[bytes, tuple[bytes, bool]]:
    """Payload and whether known, by contact."""
    async with database.read() as session:
        found = (await session.exec(select(LedgerEntry).where(LedgerEntry.book_id == book.id))).all()
    return {entry.digest: (entry.payload, bool(entry.known)) for entry in found}


async def state(database: Database, batch: Batch) -> BatchState:
    async with database.read() as session:
        return (await session.get_one(Batch, batch.id)).state


async def read(database: Database, book: Book) -> pa.Table:
    return pa.Table.from_batches([batch async for batch in ledger.read_book(database, id_of(book))], LEDGER_SCHEMA)


# --- claims


async def test_a_claim_writes_batches_and_contacts_before_anything_is_posted(database: Database, book: Book) -> None:
    batch = await claim(database, book, A, B)
    assert (batch.state, batch.count, batch.first_digest, batch.last_digest) == (BatchState.CLAIMED, 2, A, B)
    assert await entries(database, book) == {A: (NEW, False), B: (NEW, False)}


async def test_a_group_of_batches_is_claimed_at_once_and_the_ids_come_in_order(database: Database, book: Book) -> None:
    claims = [Claim(BatchKind.UPSERT, [Entry(digest, NEW, b"e", False)]) for digest in (A, B, C)]
    async with database.write() as session:
        ids = await ledger.claim(session, book, None, claims)
    async with database.read() as session:
        firsts = [(await session.get_one(Batch, batch_id)).first_digest for batch_id in ids]
    assert firsts == [A, B, C]


async def test_a_claim_that_is_not_committed_leaves_nothing(database: Database, book: Book) -> None:
    with pytest.raises(ZeroDivisionError):
        await _failing_claim(database, book)
    assert await entries(database, book) == {}


async def _failing_claim(database: Database, book: Book) -> None:
    async with database.write() as session:
        await ledger.claim(session, book, None, [Claim(BatchKind.UPSERT, [Entry(A, NEW, b"e", False)])])
        raise ZeroDivisionError


async def test_a_newer_claim_takes_a_contact_over_and_keeps_its_sealed_email(database: Database, book: Book) -> None:
    first = await claim(database, book, A, B, payload=OLD)
    second_entries = [Entry(A, NEW, b"", True)]
    async with database.write() as session:
        (second,) = await ledger.claim(session, book, None, [Claim(BatchKind.UPSERT, second_entries)])
        emails = await ledger.sealed_emails(session, id_of(book), [A, B])
        left = await ledger.batch_payloads(session, first)
        taken = await ledger.batch_payloads(session, await session.get_one(Batch, second))
    assert emails == {A: b"sealed " + A, B: b"sealed " + B}
    assert (left, taken) == ({B: OLD}, {A: NEW})


async def test_one_contact_in_two_books_has_two_rows(database: Database, book: Book) -> None:
    other = await make_book(database, "two")
    await claim(database, book, A, payload=OLD)
    await claim(database, other, A, payload=NEW)
    assert (await entries(database, book), await entries(database, other)) == ({A: (OLD, False)}, {A: (NEW, False)})


async def test_an_export_has_one_book_at_a_brand_and_another_at_another(database: Database, book: Book) -> None:
    assert book.export_id is not None
    async with database.write() as session:
        same = await ledger.open_book(session, TEAM, book.export_id, BRAND)
        other = await ledger.open_book(session, TEAM, book.export_id, "another brand")
    assert same.id == book.id != other.id


# --- reading back


async def test_a_book_is_read_in_digest_order_with_the_state_of_each_contacts_batch(
    database: Database, book: Book
) -> None:
    await claim(database, book, C, payload=OLD)
    await confirm(database, await claim(database, book, A, B, known=True))
    await claim(database, await make_book(database, "two"), D)
    assert (await read(database, book)).to_pylist() == [
        {"digest": A, "payload": NEW, "state": "confirmed", "known": True},
        {"digest": B, "payload": NEW, "state": "confirmed", "known": True},
        {"digest": C, "payload": OLD, "state": "claimed", "known": False},
    ]


async def test_a_book_of_several_pages_is_read_whole(
    database: Database, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "READ_ROWS", 2)
    await claim(database, book, A, B, C)
    assert (await read(database, book)).column("digest").to_pylist() == [A, B, C]


async def test_an_empty_book_is_read_as_nothing(database: Database, book: Book) -> None:
    assert (await read(database, book)).num_rows == 0


# --- settling


async def test_settling_a_clean_batch_changes_the_batch_and_no_contact(database: Database, book: Book) -> None:
    batch = await claim(database, book, A, B)
    before = await entries(database, book)
    await confirm(database, batch)
    assert await state(database, batch) is BatchState.CONFIRMED
    assert await entries(database, book) == before


async def test_a_confirmed_removal_takes_contacts_and_their_sealed_emails_out(database: Database, book: Book) -> None:
    await confirm(database, await claim(database, book, A, B, C))
    await confirm(database, await claim(database, book, A, C, kind=BatchKind.REMOVAL, known=True))
    assert await entries(database, book) == {B: (NEW, False)}


async def test_a_confirmed_removal_leaves_a_contact_that_has_been_sent_again_since(
    database: Database, book: Book
) -> None:
    removal = await claim(database, book, A, B, kind=BatchKind.REMOVAL, known=True)
    await claim(database, book, A, known=True)
    await confirm(database, removal)
    assert await entries(database, book) == {A: (NEW, True)}


async def test_a_rejected_contact_that_omnisend_never_had_is_forgotten(database: Database, book: Book) -> None:
    batch = await claim(database, book, A, B)
    await confirm(database, batch, rejected=[A])
    assert await entries(database, book) == {B: (NEW, False)}
    async with database.read() as session:
        assert await ledger.standing_rejections(session, id_of(book)) == [(A, NEW)]


async def test_a_rejected_contact_that_omnisend_had_stays_ours_and_is_like_nothing(
    database: Database, book: Book
) -> None:
    batch = await claim(database, book, A, B, known=True)
    await confirm(database, batch, rejected=[A])
    assert await entries(database, book) == {A: (UNLIKE_ANYTHING, True), B: (NEW, True)}


async def test_a_contact_whose_removal_was_rejected_stays(database: Database, book: Book) -> None:
    removal = await claim(database, book, A, B, kind=BatchKind.PATCH, known=True)
    await confirm(database, removal, rejected=[A])
    assert await entries(database, book) == {A: (UNLIKE_ANYTHING, True)}


@pytest.mark.parametrize("kind", [BatchKind.UPSERT, BatchKind.REMOVAL])
async def test_an_untried_contact_stays_and_is_like_nothing(database: Database, book: Book, kind: BatchKind) -> None:
    batch = await claim(database, book, A, kind=kind, known=True)
    await confirm(database, batch, untried=[A])
    assert await entries(database, book) == {A: (UNLIKE_ANYTHING, True)}


async def test_a_contact_rejected_twice_has_one_rejection(database: Database, book: Book) -> None:
    for _ in range(2):
        await confirm(database, await claim(database, book, A), rejected=[A])
    async with database.read() as session:
        assert len(await ledger.standing_rejections(session, id_of(book))) == 1


async def test_a_batch_given_up_is_in_doubt_and_its_contacts_stay(database: Database, book: Book) -> None:
    batch = await claim(database, book, A)
    async with database.write() as session:
        await ledger.give_up(session, batch)
    assert await state(database, batch) is BatchState.IN_DOUBT
    assert await entries(database, book) == {A: (NEW, False)}


async def test_a_batch_that_was_never_posted_forgets_who_is_new_and_keeps_the_others_in_doubt(
    database: Database, book: Book
) -> None:
    new, known = Entry(A, NEW, b"e", False), Entry(B, NEW, b"e", True)
    async with database.write() as session:
        (batch_id,) = await ledger.claim(session, book, None, [Claim(BatchKind.UPSERT, [new, known])])
        batch = await session.get_one(Batch, batch_id)
        await ledger.withdraw(session, batch)
    assert (await read(database, book)).to_pylist() == [
        {"digest": B, "payload": NEW, "state": "in_doubt", "known": True}
    ]


async def test_an_answer_written_down_late_does_not_reopen_a_settled_batch(database: Database, book: Book) -> None:
    batch = await claim(database, book, A)
    await confirm(database, batch)
    async with database.write() as session:
        await ledger.mark_submitted(session, [(id_of(batch), "omnisend's id")])
    assert await state(database, batch) is BatchState.CONFIRMED
    async with database.read() as session:
        assert await ledger.known_omnisend_ids(session, ["omnisend's id", "another"]) == {"omnisend's id"}


# --- what may still run


async def test_open_batches_are_those_of_the_brand_whatever_export_oldest_first(database: Database, book: Book) -> None:
    first = await claim(database, book, A)
    second = await claim(database, await make_book(database, "two"), B)
    await confirm(database, await claim(database, book, C))
    await claim(database, await make_book(database, "three", "another brand"), D)
    async with database.write() as session:
        await ledger.mark_submitted(session, [(id_of(first), "x")])
        assert [batch.id for batch in await ledger.open_batches(session, BRAND)] == [first.id, second.id]
        assert set(await ledger.held_digests(session, BRAND)) == {A, B}


async def test_a_contact_taken_over_by_a_settled_batch_is_not_held_by_the_older_one(
    database: Database, book: Book
) -> None:
    await claim(database, book, A, B)
    await confirm(database, await claim(database, book, A, known=True))
    async with database.read() as session:
        assert await ledger.held_digests(session, BRAND) == [B]


# --- rejections, suppressions, adoption


async def test_a_retry_forgets_all_of_omnisends_rejections_and_none_of_the_sources(
    database: Database, book: Book
) -> None:
    await confirm(database, await claim(database, book, A, B), rejected=[A, B])
    book_id = id_of(book)
    async with database.write() as session:
        run = Run(team_id=TEAM)
        session.add(run)
        await session.flush()
        await ledger.add_source_rejections(session, book_id, [(TEAM, run.id, "c1", b"", "missing_email")])
        await ledger.forget_rejections(session, book_id, [A])
        some = await ledger.standing_rejections(session, book_id)
        await ledger.forget_rejections(session, book_id)
    async with database.read() as session:
        left = (await session.exec(select(Rejection))).all()
    assert some == [(B, NEW)]
    assert [rejection.customer_id for rejection in left] == ["c1"]


async def test_the_sources_rejections_make_room_for_the_next_runs(database: Database, book: Book) -> None:
    await confirm(database, await claim(database, book, A), rejected=[A])
    async with database.write() as session:
        run = Run(team_id=TEAM)
        session.add(run)
        await session.flush()
        await ledger.add_source_rejections(session, id_of(book), [(TEAM, run.id, "c1", b"", "missing_email")])
        await ledger.forget_source_rejections(session, id_of(book))
        assert [found.by for found in (await session.exec(select(Rejection))).all()] == [RejectedBy.OMNISEND]


async def test_a_rejection_is_named_once_the_customer_is_known(database: Database, book: Book) -> None:
    await confirm(database, await claim(database, book, A, B), rejected=[A, B])
    book_id = id_of(book)
    async with database.write() as session:
        nameless = await ledger.nameless_rejections(session, book_id)
        await ledger.name_rejections(session, book_id, {A: "c1"})
        assert set(nameless) == {A, B}
        assert await ledger.nameless_rejections(session, book_id) == [B]


async def test_adopted_contacts_are_confirmed_known_and_like_nothing(database: Database, book: Book) -> None:
    async with database.write() as session:
        await ledger.adopt(
            session, book, [Entry(B, UNLIKE_ANYTHING, b"e", True), Entry(A, UNLIKE_ANYTHING, b"e", True)]
        )
    assert (await read(database, book)).to_pylist() == [
        {"digest": digest, "payload": UNLIKE_ANYTHING, "state": "confirmed", "known": True} for digest in (A, B)
    ]
    async with database.read() as session:
        assert await ledger.open_batches(session, BRAND) == []
        assert await ledger.count_entries(session, id_of(book)) == 2


async def test_emails_of_very_many_contacts_are_found_at_once(database: Database, book: Book) -> None:
    digests = [number.to_bytes(16, "big") for number in range(1_203)]
    await claim(database, book, *digests)
    async with database.read() as session:
        assert (await ledger.sealed_emails(session, id_of(book), digests)).keys() == set(digests)
