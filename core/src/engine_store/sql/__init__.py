"""The optional kit for SQL drivers: operations written once, without I/O.

An operation (`engine_store.sql.operations`) is a generator: it yields named statements, receives
rows and returns a model. A driver brings its SQL text (`statements`), a codec for values its
database has no type for (`rows.Codec`) and a session that runs operations on a connection
(`operation`, `store`), synchronously and asynchronously from the same bodies.
"""
