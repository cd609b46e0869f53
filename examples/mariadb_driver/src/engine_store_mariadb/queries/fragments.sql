-- Two updates of a row wait for each other if they find it by different indexes.

-- fragment: is_same_as
<=>

-- fragment: workflows_by_id
workflows FORCE INDEX (PRIMARY)

-- fragment: tasks_by_id
tasks FORCE INDEX (PRIMARY)
