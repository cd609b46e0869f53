-- Two updates of a row wait for each other if they find it by different indexes.

-- fragment: is_same_as
<=>

-- fragment: workflows_by_id
workflows FORCE INDEX (PRIMARY)

-- fragment: tasks_by_id
tasks FORCE INDEX (PRIMARY)

-- fragment: for_update_skip_locked
-- Waits: a list that is sorted locks all it sorts, so that of two purges each would pass over what the
-- other one holds and does not delete.
FOR UPDATE
