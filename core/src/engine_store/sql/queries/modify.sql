-- name: lock_modify :none
-- Holds the lock of this key among late `modify`s, until the transaction ends. It locks no row
-- that they write; keys may share a lock.
-- takes: key
-- needed if: lock_after is set

