"""The enumerations of the contract; each member equals its text."""

from __future__ import annotations

from enum import StrEnum, unique


@unique
class Status(StrEnum):
    """The status of a workflow or task execution (contract 5)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELED = "CANCELED"
    WAITING = "WAITING"
    PAUSED = "PAUSED"


TERMINAL = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMED_OUT, Status.CANCELED})
"""The statuses nothing follows."""


@unique
class Component(StrEnum):
    """What kind of component a task execution runs (contract 6)."""

    WORKFLOW = "workflow"
    TASK = "task"
    AGENT = "agent"
    TOOL = "tool"
    LOG = "log"


@unique
class ExecutionType(StrEnum):
    """How a task executes (contract 6)."""

    BASIC = "basic"
    ROUTER = "router"
    PARALLEL = "parallel"
    COLLECTION = "collection"
    COMPOSITE = "composite"
    WAIT = "wait"
    SIGNAL = "signal"
    AGGREGATE = "aggregate"
    MEMORY = "memory"


@unique
class Strategy(StrEnum):
    """How the statuses of children add up to one (contract 6.6)."""

    WAIT_ALL = "wait_all"
    FAIL_FAST = "fail_fast"
    BEST_EFFORT = "best_effort"
    RACE = "race"


@unique
class Role(StrEnum):
    """What a user may do (contract 4.1)."""

    ADMIN = "admin"
    USER = "user"
