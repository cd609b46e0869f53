"""Benchmarks: the store beside the bare `sqlite3` module, doing the same in the same run."""
