"""The statements of the PostgreSQL driver; `{schema}` stands for the schema's name."""
