"""Waiting for what others write: a notification is only a hint, and looking is the truth.

- `notifier`: the waiters of a store, and the hints that wake them.
- `waits`: what is waited for, as looks and sleeps without I/O.
- `following`: events, one by one, as they come.
"""
