"""Event loops and threads: shields against cancellation, and asynchronous sides of threads."""
