"""The source *tables*: a folder of unified profiles and segments as plain files.

    FOLDER/profiles.parquet | profiles.csv | profiles/*.parquet
    FOLDER/segments/NAME.sql | NAME.csv | NAME.parquet

or, as Customer Insights writes it (`data_out.py`, `model_json.py`):

    FOLDER/model.json
    FOLDER/TABLE/yyyy/MM/dd/HHmm/TABLE_PARTITION.csv

How a reading goes: each segment's member ids are computed by a limited child process (`program.py`, started and
watched by `child.py`) and come back as digests; `membership.py` folds the segments into one sorted array; `profiles.py`
streams the profiles once with DuckDB and keeps the members. `folder.py` and `files.py` know the layout and the
formats, `faults.py` words what can be wrong with them. Nothing is written to disk anywhere on the way.
"""

from bot.sources.tables.source import TablesSource

__all__ = ["TablesSource"]
