"""The table that names the segments: a standard one, small enough to be held."""

from collections.abc import Iterable, Mapping

import orjson

from bot.sandbox.dataverse.population import Column, Value
from bot.sandbox.dataverse.tables import CREATED, FIRST_VERSION, REFRESHED, SYSTEM_COLUMNS, RecordBatch, Table, guid
from bot.sandbox.dataverse.world import World


class SegmentMetadata(Table[RecordBatch]):
    """`mscipriv_segmentmetadatas`: one row per segment, deleted ones and older versions included."""

    logical_name = "mscipriv_segmentmetadata"
    schema_name = "mscipriv_SegmentMetadata"
    set_name = "mscipriv_segmentmetadatas"
    primary_key = "mscipriv_segmentmetadataid"
    primary_name = "msdyn_name"
    elastic = False
    columns = {  # noqa: RUF012 (read only)
        "mscipriv_segmentmetadataid": Column("Uniqueidentifier", "SegmentMetadata"),
        "msdyn_name": Column("String", "Name"),
        "mscipriv_payload1": Column("Memo", "Payload 1"),
        "mscipriv_payload2": Column("Memo", "Payload 2"),
        "msdyn_isdeleted": Column("Boolean", "Is deleted"),
        "msdyn_ishistoryentry": Column("Boolean", "Is history entry"),
        "statecode": Column("State", "Status"),
        "statuscode": Column("Status", "Status Reason"),
        "createdon": SYSTEM_COLUMNS["createdon"],
        "modifiedon": SYSTEM_COLUMNS["modifiedon"],
        "versionnumber": SYSTEM_COLUMNS["versionnumber"],
    }

    def __init__(self, world: World, payload: str) -> None:
        self._world = world
        self._payload = payload

    def estimate(self) -> int:
        return len(self._batch())

    def scan(self, after: int, limit: int) -> tuple[RecordBatch, int | None]:
        batch = self._batch()
        rows = batch.rows[after + 1 : after + 1 + limit]
        left = bool(rows) and rows[-1] + 1 < len(batch)
        return batch.of(rows), rows[-1] if left else None

    def find(self, customer_ids: Iterable[str]) -> RecordBatch:
        return self._batch().of(())  # it knows no customers

    def _batch(self) -> RecordBatch:
        records: list[Mapping[str, Value]] = []
        for index, segment in enumerate(self._world.segments):
            version = self._record(len(records), segment.name, segment.friendly_name, segment.active)
            records.append({**version, "msdyn_isdeleted": segment.deleted})
            if index % 4 == 1:  # some have been edited before
                older = self._record(len(records), segment.name, f"{segment.friendly_name} (draft)", active=True)
                records.append({**older, "msdyn_ishistoryentry": True})
        return RecordBatch(records)

    def _record(self, row: int, name: str, friendly_name: str, active: bool) -> dict[str, Value]:
        match self._payload:
            case "broken":
                payload = '{"friendlyName": '
            case "unknown":
                payload = orjson.dumps({"v": 3, "d": {"n": friendly_name}}).decode()
            case _:
                payload = orjson.dumps(
                    {"name": name, "friendlyName": friendly_name, "segmentType": "Dynamic", "version": 1}
                ).decode()
        return {
            "mscipriv_segmentmetadataid": guid(row, row),
            "msdyn_name": name,
            "mscipriv_payload1": payload,
            "mscipriv_payload2": None,
            "msdyn_isdeleted": False,
            "msdyn_ishistoryentry": False,
            "statecode": 0 if active else 1,
            "statuscode": 1 if active else 2,
            "createdon": CREATED,
            "modifiedon": REFRESHED,
            "versionnumber": FIRST_VERSION + row,
        }
