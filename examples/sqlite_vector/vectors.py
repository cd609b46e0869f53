"""What the example asks of a vector database, and the smallest one: a folder of files.

The vectors of a task never change once they are written: a task is about one content of one file.
So writing them again, after a kill or by two processes at once, changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np
from attrs import frozen

from sqlite_vector.embedder import Vectors


class IndexUnavailableError(Exception):
    """The vector database cannot be used now."""


@frozen
class Hit:
    """A paragraph that was found: the task that ingested it, and its number there, from 0."""

    score: float
    task_exec_id: str
    paragraph: int


class VectorIndex(Protocol):
    """Vectors by the task that made them and the number of the paragraph."""

    def put(self, task_exec_id: str, vectors: Vectors) -> None:
        """Store a task's vectors, a row for each paragraph; they are durable when it returns."""
        ...

    def has(self, task_exec_id: str) -> bool:
        """Whether the vectors of a task are there."""
        ...

    def forget(self, task_exec_ids: Collection[str]) -> None:
        """Remove the vectors of these tasks, where there are any."""
        ...

    def search(self, vector: Vectors, task_exec_ids: Collection[str], limit: int) -> list[Hit]:
        """The nearest paragraphs of these tasks by cosine similarity, the best first."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


class FileIndex:
    """A folder with a file for each task. A search reads all of them: for some thousands, not more.

    Any number of processes may use it at once.
    """

    def __init__(self, folder: Path) -> None:
        """The index in `folder`, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, task_exec_id: str, vectors: Vectors) -> None:
        # The rename shows the whole file or none. File and name are forced to the disk, as the
        # state that follows in SQLite will be: no power cut leaves a state without its vectors.
        unfinished = self._folder / f"{task_exec_id}.{os.getpid()}.tmp"
        with unfinished.open("wb") as file:
            np.save(file, vectors)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file(task_exec_id))
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def has(self, task_exec_id: str) -> bool:
        return self._file(task_exec_id).exists()

    def forget(self, task_exec_ids: Collection[str]) -> None:
        for task_exec_id in task_exec_ids:
            self._file(task_exec_id).unlink(missing_ok=True)

    def search(self, vector: Vectors, task_exec_ids: Collection[str], limit: int) -> list[Hit]:
        hits = [
            Hit(float(score), task_exec_id, number)
            for task_exec_id in task_exec_ids
            for number, score in enumerate(np.load(self._file(task_exec_id)) @ vector)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def close(self) -> None:
        pass

    def _file(self, task_exec_id: str) -> Path:
        return self._folder / f"{task_exec_id}.npy"
