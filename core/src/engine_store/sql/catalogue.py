"""The statements that every SQL driver has: what each is given, returns and promises.

A driver's statements are held to them when they are loaded, and the page "Writing a SQL driver"
lists them.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from engine_store.entities import API_KEY, TASK, USER, WORKFLOW
from engine_store.sql.statements import Result


@frozen
class Entry:
    """A statement as operations and the migrator know it."""

    name: str
    result: Result
    purpose: str
    given: str = ""
    """The parameters. One that ends in `?` is left out of the text if it is None."""
    columns: str = ""
    missing: str = ""
    """What no row means."""
    writes: bool = False
    needed_if: str = ""
    """What a dialect says that needs it; empty: every driver does."""

    @property
    def needed(self) -> bool:
        """Whether every driver has to have it."""
        return not self.needed_if

    @property
    def optional(self) -> frozenset[str]:
        """The parameters without which a part of the text is left out."""
        return frozenset(name[:-1] for name in self.given.split() if name.endswith("?"))

    @property
    def parameters(self) -> frozenset[str]:
        """All parameters."""
        return frozenset(name.rstrip("?") for name in self.given.split())


ONE, MANY, NONE = Result.ONE, Result.MANY, Result.NONE

_USER, _API_KEY, _WORKFLOW, _TASK = (
    f"the {entity.label}: {', '.join(entity.fields)}" for entity in (USER, API_KEY, WORKFLOW, TASK)
)
_USER_VALUES = "user_id email email_folded role"
_WORKFLOW_VALUES = "workflow_exec_id workflow_id status input output error usage"
_TASK_VALUES = " ".join(TASK.fields[:15])
_SAVED = " version created_at updated_at"
_CAS = " version created_at? now"
_MISSING = "it is missing"
_NO_DDL = "transactional_ddl is false"
_PAGE = "One row more than a page is asked for. "

USERS = (
    Entry("get_user", ONE, "Reads a user.", "user_id", _USER, _MISSING),
    Entry("get_user_by_email", ONE, "Reads a user.", "email_folded", _USER, _MISSING),
    Entry(
        "list_users",
        MANY,
        f"By created_at, user_id; after the given place. {_PAGE}",
        "role? after_created_at after_id? limit",
        _USER,
    ),
    Entry(
        "create_user",
        ONE,
        "Stores a new user, or a restored one.",
        _USER_VALUES + _SAVED,
        _USER,
        "the id or the email is taken",
        writes=True,
    ),
    Entry(
        "update_user",
        ONE,
        "Compare-and-set: version + 1; updated_at never goes back.",
        _USER_VALUES + _CAS,
        _USER,
        "it is missing, has another version or created_at, or the email is taken",
        writes=True,
    ),
    Entry(
        "upsert_user",
        ONE,
        "Stores a user with version 1, or updates the one that is there.",
        f"{_USER_VALUES} created_at? now",
        _USER,
        "another created_at is stored, or the email is taken",
        writes=True,
    ),
    Entry(
        "delete_user",
        ONE,
        "Deletes a user and its API keys.",
        "user_id",
        "user_id",
        _MISSING,
        writes=True,
    ),
    Entry(
        "lock_admins",
        NONE,
        "Keeps every other `create_initial_admin_if_none` waiting until the transaction ends.",
    ),
    Entry("find_admin", ONE, "Finds any user who is an admin.", "", "user_id", "there is none"),
)

API_KEYS = (
    Entry("get_api_key", ONE, "Reads an API key.", "key_id", _API_KEY, _MISSING),
    Entry("get_api_key_by_fingerprint", ONE, "Reads it.", "fingerprint", _API_KEY, _MISSING),
    Entry("get_api_key_by_prefix", ONE, "Reads it.", "prefix", _API_KEY, _MISSING),
    Entry(
        "list_api_keys",
        MANY,
        f"By created_at, key_id; after the given place. {_PAGE}",
        "user_id? after_created_at after_id? limit",
        _API_KEY,
    ),
    Entry(
        "create_api_key",
        ONE,
        "Stores a new key, or a restored one.",
        " ".join(API_KEY.fields),
        _API_KEY,
        "the id, the fingerprint or the prefix is taken, or the user is missing",
        writes=True,
    ),
    Entry(
        "touch_api_key",
        ONE,
        "Sets last_used to `used`, but never back.",
        "key_id used",
        _API_KEY,
        _MISSING,
        writes=True,
    ),
    Entry("delete_api_key", ONE, "Deletes it.", "key_id", "key_id", _MISSING, writes=True),
)

WORKFLOWS = (
    Entry("get_workflow", ONE, "Reads a workflow.", "workflow_exec_id", _WORKFLOW, _MISSING),
    Entry(
        "lock_workflow",
        ONE,
        "Reads what is committed, and holds the row until the transaction ends; also against "
        "a new task of the workflow.",
        "workflow_exec_id",
        _WORKFLOW,
        _MISSING,
    ),
    Entry(
        "get_workflow_with_tasks",
        MANY,
        "The workflow, with null where only a task has a value, and the latest execution of each "
        "task_id, in any order and of one snapshot.",
        "workflow_exec_id",
        _TASK,
        _MISSING,
    ),
    Entry(
        "list_workflows",
        MANY,
        f"By created_at, workflow_exec_id, newest first; before the given place. {_PAGE}",
        "workflow_id? statuses? workflow_exec_ids? created_from? created_before? before_created_at "
        "before_id? limit",
        _WORKFLOW,
    ),
    Entry(
        "latest_workflow",
        ONE,
        "The newest execution; with `by_task` of those that have a task that fits.",
        "workflow_id by_task? task_id? agent_id? tool_id?",
        _WORKFLOW,
        "none fits",
    ),
    Entry(
        "create_workflow",
        ONE,
        "Stores a new workflow, or a restored one.",
        _WORKFLOW_VALUES + _SAVED,
        _WORKFLOW,
        "the id is taken",
        writes=True,
    ),
    Entry(
        "update_workflow",
        ONE,
        "Compare-and-set: version + 1; updated_at never goes back.",
        _WORKFLOW_VALUES + _CAS,
        _WORKFLOW,
        "it is missing, has another version, or an immutable field differs",
        writes=True,
    ),
    Entry(
        "upsert_workflow",
        ONE,
        "Stores a workflow with version 1, or updates the one that is there.",
        f"{_WORKFLOW_VALUES} created_at? now",
        _WORKFLOW,
        "an immutable field differs from what is stored",
        writes=True,
    ),
    Entry(
        "set_workflow_status",
        ONE,
        "Sets the status if the guards hold; version + 1.",
        "workflow_exec_id status expected_version? expected_statuses? now",
        _WORKFLOW,
        "it is missing, or a guard does not hold",
        writes=True,
    ),
    Entry(
        "lock_workflow_usage",
        ONE,
        "Reads the usage that is committed, and holds the row.",
        "workflow_exec_id",
        "usage",
        _MISSING,
    ),
    Entry(
        "set_workflow_usage",
        ONE,
        "Stores the usage of a row that is held; version + 1.",
        "workflow_exec_id usage now",
        _WORKFLOW,
        writes=True,
    ),
    Entry(
        "delete_workflow",
        ONE,
        "Deletes a workflow and its tasks, however deep and however many.",
        "workflow_exec_id",
        "workflow_exec_id",
        _MISSING,
        writes=True,
    ),
    Entry(
        "lock_purgeable",
        MANY,
        "Holds the next batch, longest untouched first. It may leave out rows that others hold.",
        "statuses older_than limit",
        "workflow_exec_id",
    ),
    Entry(
        "count_purgeable",
        ONE,
        "Counts what `purge` would delete.",
        "statuses older_than",
        "workflows, tasks",
    ),
    Entry("count_tasks_of", ONE, "Counts tasks.", "workflow_exec_ids", "tasks"),
    Entry(
        "delete_workflows",
        NONE,
        "Deletes workflows and their tasks.",
        "workflow_exec_ids",
        writes=True,
    ),
)

OTHERS = (
    Entry(
        "lock_turn",
        NONE,
        "Waits for the turn of this key among late `modify`s, until the transaction ends. It "
        "locks no row that they write; keys may share a turn.",
        "key",
        needed_if="turns_after is set",
    ),
)

_IN_WORKFLOW = "workflow_exec_id?"

TASKS = (
    Entry("get_task", ONE, "Reads a task.", f"task_exec_id {_IN_WORKFLOW}", _TASK, _MISSING),
    Entry(
        "lock_task",
        ONE,
        "Reads what is committed, and holds the row until the transaction ends.",
        f"task_exec_id {_IN_WORKFLOW}",
        _TASK,
        _MISSING,
    ),
    Entry("get_task_usage", ONE, "Reads the usage alone.", "task_exec_id", "usage", _MISSING),
    Entry(
        "list_tasks",
        MANY,
        f"By created_at, task_exec_id; after the given place. {_PAGE}Without `limit`: all.",
        "workflow_exec_id? statuses? task_exec_ids? task_id? parent_state_id? agent_id? action_id? "
        "tool_id? execution_type? after_created_at after_id? limit?",
        _TASK,
    ),
    Entry(
        "create_task",
        ONE,
        "Stores a new task, or a restored one.",
        _TASK_VALUES + _SAVED,
        _TASK,
        "the id is taken, or the workflow, or the parent in it, is missing",
        writes=True,
    ),
    Entry(
        "update_task",
        ONE,
        "Compare-and-set: version + 1; updated_at never goes back.",
        _TASK_VALUES + _CAS,
        _TASK,
        "it is missing, has another version, or an immutable field differs",
        writes=True,
    ),
    Entry(
        "upsert_task",
        ONE,
        "Stores a task with version 1, or updates the one that is there.",
        f"{_TASK_VALUES} created_at? now",
        _TASK,
        "an immutable field differs from what is stored, or a reference of a new one is missing",
        writes=True,
    ),
    Entry(
        "lock_task_usage",
        ONE,
        "Reads the usage that is committed, and holds the row.",
        "task_exec_id",
        "usage",
        _MISSING,
    ),
    Entry(
        "set_task_usage",
        ONE,
        "Stores the usage of a row that is held; version + 1.",
        "task_exec_id usage now",
        _TASK,
        writes=True,
    ),
    Entry(
        "latest_child",
        ONE,
        "The latest execution of a task_id below a parent.",
        f"parent_state_id task_id {_IN_WORKFLOW}",
        _TASK,
        "there is none",
    ),
    Entry(
        "children_outputs",
        MANY,
        "Of the children that have an output, in creation order.",
        f"parent_state_id {_IN_WORKFLOW}",
        "task_id, output",
    ),
    Entry(
        "count_children",
        MANY,
        "Counts the children of each status.",
        f"parent_state_id {_IN_WORKFLOW}",
        "status, tasks",
    ),
    Entry(
        "latest_tasks",
        MANY,
        "The latest execution of each task_id, in creation order.",
        "workflow_exec_id",
        _TASK,
    ),
    Entry(
        "latest_tasks_and_roots",
        MANY,
        "The latest execution of each task_id, and the latest one of each that has no parent, "
        "which may be another one; in creation order.",
        "workflow_exec_id",
        f"{_TASK}, is_latest, is_latest_root",
    ),
    Entry(
        "task_tree",
        MANY,
        "A task and its descendants down to `max_depth` levels: by depth, created_at, "
        "task_exec_id. Trees have thousands of tasks and levels.",
        f"root max_depth {_IN_WORKFLOW}",
        _TASK,
        "the root is missing",
    ),
)

MIGRATIONS = (
    Entry("has_schema", ONE, "Whether `create_schema` has run.", missing="it has not", columns="1"),
    Entry("create_schema", NONE, "Makes what the tables lie in.", writes=True),
    Entry("create_migrations", NONE, "Makes the record of steps, if it is missing.", writes=True),
    Entry("has_migrations", ONE, "Whether the record is there.", missing="it is not", columns="1"),
    Entry(
        "try_migration_lock",
        ONE,
        "Tries the migration lock without waiting. It is held to the end of the transaction; "
        "without transactional DDL, to `release_migration_lock`.",
        columns="held",
    ),
    Entry("release_migration_lock", NONE, "Releases the migration lock.", needed_if=_NO_DDL),
    Entry(
        "record_started",
        NONE,
        "Records that a step runs: from now on it does not count as applied.",
        "version name checksum",
        writes=True,
        needed_if=_NO_DDL,
    ),
    Entry(
        "record_applied",
        NONE,
        "Records that a step is applied.",
        "version name checksum applied_at",
        writes=True,
    ),
    Entry("forget_applied", NONE, "Removes a step from the record.", "version", writes=True),
    Entry(
        "list_applied",
        MANY,
        "The applied steps by version.",
        columns="version, name, checksum, applied_at",
    ),
    Entry(
        "server_state",
        ONE,
        "The version of the server, and why the tables cannot be written; null: they can.",
        columns="version, problem",
    ),
)

STATEMENTS: Mapping[str, Entry] = {
    entry.name: entry for entry in (*USERS, *API_KEYS, *WORKFLOWS, *TASKS, *OTHERS, *MIGRATIONS)
}
"""Every statement by name. A driver may have others, for itself."""
