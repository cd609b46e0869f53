"""A store for an engine's own tests: SQLite in memory, with a clock that the tests move."""
