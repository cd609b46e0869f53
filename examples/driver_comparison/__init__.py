"""The same work on SQLite and on PostgreSQL, and how long each operation of it took."""
