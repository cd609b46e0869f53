"""The numbered steps of the schema; `{schema}` stands for the schema's name."""
