"""The optional kit for SQL drivers: everything that is true of every SQL database.

Operations (`operations`) are written once, as generators without I/O: each yields named statements
(`statements`, `catalogue`), receives rows and returns a model. Sessions, transactions, the migrator
and the stores run them on any `connection.Connection`, of both sides. A driver brings a
`dialect.Dialect`, a connection with its pool, its settings and its SQL.
"""
