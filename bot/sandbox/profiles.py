"""Made-up unified profiles with the usual dirt, for the demo and for benchmarks: seeded, and fast at any size.

Every value is a function of row number, seed and generation, computed by DuckDB. The second generation is the same
world some days later: some have joined a segment, some have left, some have moved or changed their email address.
"""

from pathlib import Path

import duckdb

from bot.duck import literal

_FIRST = ["Anna", "Bruno", "Chloé", "Dmitri", "Éloïse", "François", "Gülsüm", "Håkon", "Íñigo", "Jörg", "Łukasz",
          "Mónica", "Noël", "Søren", "Žofia", "小明", "淑芬", "Ana María", "Jean-Luc", "Zoë"]  # fmt: skip
_LAST = ["Müller", "García López", "O'Neil", "Nuñez", "Škoda", "van der Berg", "Sørensen", "Çelik", "王", "陳",
         "Dupont-Durand", "Ångström", "Kowalska", "Silva", "Smith", "Rossi"]  # fmt: skip
_PLACES = [("Berlin", "Deutschland", "10115"), ("München", "Germany", "80331"), ("Paris", "France", "75001"),
           ("São Paulo", "Brasil", "01310-100"), ("Łódź", "Polska", "90-001"), ("台北市", "台灣", "100"),
           ("London", "United Kingdom", "SW1A 1AA"), ("Zürich", "CH", "8001"), ("Boston", "USA", "02108"),
           ("Atlantis", "Nowhere Land", "00000")]  # fmt: skip

SEGMENTS = {
    "VIP": "SELECT CustomerId FROM profiles WHERE LoyaltyPoints >= 800",
    "Newsletter": "SELECT CustomerId FROM profiles WHERE Interest IN ('garden', 'books', 'travel')",
    "重要客戶": "SELECT CustomerId FROM profiles WHERE LoyaltyPoints >= 950 AND Interest <> 'none'",
}


def make_folder(folder: Path, *, count: int, seed: int = 1) -> Path:
    """Write `count` profiles and a few segments; the folder, in the layout of the tables source."""
    segments = folder / "segments"
    segments.mkdir(parents=True, exist_ok=True)
    for name, sql in SEGMENTS.items():
        (segments / f"{name}.sql").write_text(sql + "\n")
    write_profiles(folder, count=count, seed=seed, generation=0)
    return folder


def write_profiles(folder: Path, *, count: int, seed: int = 1, generation: int = 0) -> None:
    """(Re)write the profiles as they are in a generation."""
    draft = folder / ".profiles.parquet.tmp"
    with duckdb.connect(":memory:") as con:
        con.execute(f"COPY ({_profiles_sql(count, seed, generation)}) TO {literal(str(draft))} (FORMAT parquet)")
    draft.rename(folder / "profiles.parquet")


def _profiles_sql(count: int, seed: int, generation: int) -> str:
    """Dirt, one row in so many: no email 37, invalid 53, shared with the row before 41, mixed case 5, very long 997."""
    return f"""
        WITH base AS (
            SELECT i, hash(i, {int(seed)}, 'kind') AS kind, hash(i, {int(seed)}, 'name') AS name,
                   hash(i, {int(seed)}, 'place') AS place, hash(i, {int(seed)}, 'points') AS points,
                   {int(generation)} > 0 AND hash(i, {int(seed)}, 'later') % 20 = 0 AS later
            FROM range({int(count)}) AS rows(i)
        ), owner AS (
            SELECT *, CASE WHEN kind % 41 = 0 AND i > 0 THEN i - 1 ELSE i END AS mailbox FROM base
        )
        SELECT md5({int(seed)} || '/' || i) AS "CustomerId",
               {_pick(_FIRST, "name")} AS "FirstName",
               CASE WHEN kind % 997 = 0 THEN repeat('Très-Long ', 60) ELSE {_pick(_LAST, "name // 64")} END
                   AS "LastName",
               CASE WHEN kind % 37 = 0 THEN NULL
                    WHEN kind % 53 = 0 THEN 'no address ' || i
                    WHEN kind % 5 = 0 THEN ' User.' || mailbox || '@Example.COM '
                    ELSE 'user.' || mailbox || CASE WHEN later AND i % 7 = 0 THEN '.new' ELSE '' END || '@example.com'
               END AS "Email",
               (1 + name % 99) || ' ' || {_pick(["Main Street", "Hauptstraße", "Rue de l’Église", "中山路"], "place")}
                   AS "Street",
               {_pick([place[0] for place in _PLACES], "place // 8 + later::UBIGINT")} AS "City",
               {_pick([place[1] for place in _PLACES], "place // 8 + later::UBIGINT")} AS "Country",
               {_pick([place[2] for place in _PLACES], "place // 8 + later::UBIGINT")} AS "PostalCode",
               {_pick(["garden", "books", "travel", "sport", "none"], "points // 1024")} AS "Interest",
               CAST((points + CASE WHEN later THEN 500 ELSE 0 END) % 1000 AS INTEGER) AS "LoyaltyPoints"
        FROM owner ORDER BY i"""


def _pick(values: list[str], number: str) -> str:
    return f"([{', '.join(literal(value) for value in values)}])[1 + CAST(({number}) % {len(values)} AS BIGINT)]"
