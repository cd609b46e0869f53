"""Export the rows of a store to a file, import them, or copy them to another store.

    from engine_store import transfer

    transfer.export(store, "engine.jsonl.gz")
    transfer.import_(other, "engine.jsonl.gz")
    transfer.copy(store, other)

Rows keep their ids, versions and times. The format is in `docs/export-format.md` of the project.
"""

from engine_store.transfer.api import TransferReport, copy, export, import_
from engine_store.transfer.checksum import Checksum, checksum
from engine_store.transfer.codec import decode as decode_row
from engine_store.transfer.codec import encode as encode_row
from engine_store.transfer.files import File
from engine_store.transfer.rows import OnProgress

__all__ = [
    "Checksum",
    "File",
    "OnProgress",
    "TransferReport",
    "checksum",
    "copy",
    "decode_row",
    "encode_row",
    "export",
    "import_",
]
