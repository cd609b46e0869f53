"""Moving a store's rows: to a file, from a file, and to another store.

    from engine_store import transfer

    transfer.export(store, "engine.jsonl.gz")
    transfer.import_(other, "engine.jsonl.gz")
    transfer.copy(store, other)

Rows keep their ids, versions and times. The format is in `docs/export-format.md` of the project.
"""

from engine_store.transfer.files import File
from engine_store.transfer.lines import decode as decode_row
from engine_store.transfer.lines import encode as encode_row
from engine_store.transfer.moves import Report, copy, export, import_
from engine_store.transfer.rows import OnProgress
from engine_store.transfer.totals import Totals, totals

__all__ = [
    "File",
    "OnProgress",
    "Report",
    "Totals",
    "copy",
    "decode_row",
    "encode_row",
    "export",
    "import_",
    "totals",
]
