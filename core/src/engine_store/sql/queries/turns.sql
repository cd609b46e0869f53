-- name: lock_turn :none
-- Waits for the turn of this key among late `modify`s, until the transaction ends. It locks no row
-- that they write; keys may share a turn.
-- takes: key
-- needed if: turns_after is set

