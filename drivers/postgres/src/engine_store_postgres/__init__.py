"""The PostgreSQL driver of engine-store, found by the URL schemes `postgresql` and `postgres`."""

__version__ = "0.1.0"
