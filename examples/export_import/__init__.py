"""A store moves from SQLite to PostgreSQL and back, and nothing of it changes."""
