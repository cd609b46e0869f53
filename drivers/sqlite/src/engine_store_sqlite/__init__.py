"""The SQLite driver of engine-store, found by the URL scheme `sqlite`."""

__version__ = "0.1.0"
