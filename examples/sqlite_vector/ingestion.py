"""The ingestion on the store: a workflow for each folder and place of vectors, a task for a file.

What a file holds is one execution of its task, whose input has the digest of the content: a file
that changed gets another execution, and so does one that is gone, with no paragraphs. What counts
is the latest execution that succeeded. The vectors are keyed by the execution, and the order of
the writes is what no kill can break:

1. the vectors of the new execution,
2. its state SUCCESS with the paragraphs: from here on it counts, and the one before does not,
3. the vectors of the one before are removed,
4. its paragraphs are.

Killed before 2, the vectors are there and nobody asks for them; the next run takes the execution
over and writes the same again. Killed before 4, the next run begins again at 3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from attrs import frozen

from engine_store import ErrorInfo, Status, Store, TaskState, WorkflowState, new_id
from engine_store.errors import AlreadyExistsError, VersionConflictError
from sqlite_vector.documents import digest, paragraphs
from sqlite_vector.embedder import EMBEDDER, embed
from sqlite_vector.vectors import VectorIndex

WORKFLOW = "ingestion"
MAX_BYTES = 1024 * 1024
UNFINISHED = (Status.PENDING, Status.RUNNING)


class NotTextError(Exception):
    """A content that cannot be ingested, and why."""


@frozen
class Answer:
    """A paragraph that was found. `number` is its place in the file, from 1."""

    score: float
    path: str
    number: int
    text: str


@frozen
class Ingestion:
    """The documents below `root`, their state in `store`, their vectors in `index`.

    `place` names the vector database: another one gets everything anew.
    """

    store: Store
    index: VectorIndex
    dimension: int
    place: str
    root: Path

    def run(self, paths: Collection[str]) -> list[TaskState]:
        """Ingest what is new, changed or gone; every execution that ended, in the order of time.

        `paths` are the files there are below `root`.
        """
        self._plan(paths)
        waiting = [task for status in UNFINISHED for task in self._tasks(status)]
        ended = [self._execute(task) for task in sorted(waiting, key=lambda t: t.task_exec_id)]
        self._forget_replaced()
        self.store.workflows.set_status(self.workflow_exec_id, Status.WAITING)
        return [task for task in ended if task is not None]

    def current(self) -> Mapping[str, TaskState]:
        """The execution that counts, for each path."""
        return {task.task_id: task for task in self._tasks(Status.SUCCESS)}

    def answer(self, question: str, limit: int) -> list[Answer]:
        """The paragraphs nearest to the question; the store says which ones there are."""
        tasks = {t.task_exec_id: t for t in self.current().values() if texts_of(t)}
        (vector,) = embed([question], self.dimension)
        if not tasks or not vector.any():
            return []
        hits = self.index.search(vector, tasks, limit)
        return [
            Answer(hit.score, task.task_id, hit.paragraph + 1, texts_of(task)[hit.paragraph])
            for hit in hits
            for task in [tasks[hit.task_exec_id]]
        ]

    # --- the plan ------------------------------------------------------------------------------

    @property
    def workflow_exec_id(self) -> str:
        """The same for the same documents, vector database and embedder."""
        parts = (str(self.root), self.place, str(self.dimension), EMBEDDER)
        return f"{WORKFLOW}-{blake2b('|'.join(parts).encode(), digest_size=16).hexdigest()}"

    def _plan(self, paths: Collection[str]) -> None:
        """Store an execution for each file whose content is not ingested, nor waiting to be."""
        done = self.current()
        waiting = {
            (task.task_id, digest_of(task)) for status in UNFINISHED for task in self._tasks(status)
        }
        contents = [(path, self._digest(path)) for path in sorted({*paths, *done})]
        missing = [
            (path, found)
            for path, found in contents
            if (path, found) not in waiting and not self._is_done(done.get(path), found)
        ]
        exec_id = self.workflow_exec_id
        with self.store.transaction() as tx:
            with suppress(AlreadyExistsError):
                tx.workflows.create(WorkflowState(exec_id, WORKFLOW))
            tx.workflows.set_status(exec_id, Status.RUNNING)
            for path, found in missing:
                task = TaskState(exec_id, new_id(), path, WORKFLOW, input={"sha256": found})
                tx.tasks.create(task)

    def _digest(self, path: str) -> str | None:
        try:
            return digest(self._read(path))
        except (OSError, NotTextError):
            return "unknown"  # the task will say why, and be tried again each time

    def _is_done(self, task: TaskState | None, found: str | None) -> bool:
        """Whether the content was ingested, and the vector database still has its vectors."""
        if task is None or digest_of(task) != found:
            return False
        return not texts_of(task) or self.index.has(task.task_exec_id)

    # --- the work ------------------------------------------------------------------------------

    def _execute(self, task: TaskState) -> TaskState | None:
        """Run a task to its end; None where another process has taken it.

        RUNNING tasks are run again: their process was killed, or else it does the same work.
        """
        try:
            claimed = self.store.tasks.update(task.evolve(status=Status.RUNNING))
            return self.store.tasks.update(claimed.evolve(**self._ingest(claimed)))
        except VersionConflictError:
            return None

    def _ingest(self, task: TaskState) -> dict[str, Any]:
        """Store the vectors of a file; what is then to be said of it in the store."""
        try:
            content = self._read(task.task_id)
            if digest(content) != digest_of(task):
                raise NotTextError("it has changed since it was looked at; run this again")
            texts = paragraphs(_decoded(content))
        except (OSError, NotTextError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            return {"status": Status.FAILED, "error": ErrorInfo(reason or "unreadable")}
        if texts:
            self.index.put(task.task_exec_id, embed(texts, self.dimension))
        return {"status": Status.SUCCESS, "output": {"paragraphs": texts}}

    def _read(self, path: str) -> bytes | None:
        """The content of a file; None where it is gone. Raises `OSError`, `NotTextError`."""
        try:
            with (self.root / path).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(content) > MAX_BYTES:
            raise NotTextError(f"larger than {MAX_BYTES:,} bytes")
        return content

    def _forget_replaced(self) -> None:
        """Remove what the executions that no longer count left behind."""
        succeeded = self._tasks(Status.SUCCESS)  # read once: meanwhile others may add to it
        current = {task.task_id: task for task in succeeded}
        replaced = [
            task
            for task in succeeded
            if task is not current[task.task_id] and task.output is not None
        ]
        if replaced:
            self.index.forget([task.task_exec_id for task in replaced])
        for task in replaced:
            with suppress(VersionConflictError):
                self.store.tasks.update(task.evolve(output=None))

    def _tasks(self, status: Status) -> tuple[TaskState, ...]:
        return self.store.tasks.by_status(self.workflow_exec_id, status)


def digest_of(task: TaskState) -> str | None:
    """Of the content that an execution is about."""
    found: str | None = (task.input or {})["sha256"]
    return found


def texts_of(task: TaskState) -> list[str]:
    """The paragraphs that were ingested."""
    found: list[str] = (task.output or {}).get("paragraphs", [])
    return found


def _decoded(content: bytes | None) -> str:
    """The text. What the store cannot keep in a document is refused here. Raises `NotTextError`."""
    try:
        text = (content or b"").decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise NotTextError(f"not UTF-8 at byte {exc.start}") from None
    if "\0" in text:
        raise NotTextError("it has a NUL in it")
    return text
