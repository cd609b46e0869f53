"""The default texts of statements."""
