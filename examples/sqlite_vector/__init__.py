"""SQLite beside a vector database: the state in the one, the vectors in the other."""
