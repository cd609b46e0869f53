"""The vectors in Qdrant: a collection with a point for each paragraph."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote, urlsplit
from uuid import NAMESPACE_URL, uuid5

from qdrant_client import QdrantClient
from qdrant_client.models import (
    Distance,
    FieldCondition,
    Filter,
    FilterSelector,
    MatchAny,
    PointStruct,
    VectorParams,
)

from sqlite_vector.embedder import Vectors
from sqlite_vector.vectors import Hit, IndexUnavailableError


class QdrantIndex:
    """`VectorIndex` on Qdrant: in this process, or on a server."""

    def __init__(self, url: str, collection: str, dimension: int) -> None:
        """In this process, on its folder, for `file:///...`, which one process has at a time.

        Another URL is a server's. Raises `IndexUnavailableError`.
        """
        place = urlsplit(url)
        try:
            if place.scheme == "file":
                self._client = QdrantClient(path=unquote(place.path))
            else:
                self._client = QdrantClient(url=url)
        except (RuntimeError, ValueError) as exc:  # another process is at it; it is damaged
            raise IndexUnavailableError(str(exc)) from exc
        self._collection = collection
        if not self._client.collection_exists(collection):
            shape = VectorParams(size=dimension, distance=Distance.COSINE)
            self._client.create_collection(collection, vectors_config=shape)

    def put(self, task_exec_id: str, vectors: Vectors) -> None:
        points = [
            PointStruct(
                id=_point(task_exec_id, number),
                vector=vector.tolist(),
                payload={"task": task_exec_id, "paragraph": number},
            )
            for number, vector in enumerate(vectors)
        ]
        self._client.upsert(self._collection, points, wait=True)

    def has(self, task_exec_id: str) -> bool:
        return bool(self._client.retrieve(self._collection, [_point(task_exec_id, 0)]))

    def forget(self, task_exec_ids: Collection[str]) -> None:
        self._client.delete(self._collection, FilterSelector(filter=_of(task_exec_ids)), wait=True)

    def search(self, vector: Vectors, task_exec_ids: Collection[str], limit: int) -> list[Hit]:
        found = self._client.query_points(
            self._collection,
            query=vector.tolist(),
            query_filter=_of(task_exec_ids),
            limit=limit,
        )
        return [
            Hit(point.score, point.payload["task"], point.payload["paragraph"])
            for point in found.points
            if point.payload is not None
        ]

    def close(self) -> None:
        self._client.close()


def _point(task_exec_id: str, number: int) -> str:
    """The id of a paragraph: the same each time, so that what is written again is not doubled."""
    return str(uuid5(NAMESPACE_URL, f"{task_exec_id}/{number}"))


def _of(task_exec_ids: Collection[str]) -> Filter:
    """The points of these tasks."""
    return Filter(must=[FieldCondition(key="task", match=MatchAny(any=list(task_exec_ids)))])
