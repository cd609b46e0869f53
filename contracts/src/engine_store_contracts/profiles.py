"""How long the suite looks: less at every commit, more before a release, for hours at a driver."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from engine_store_contracts.faces import Face


@frozen
class Profile:
    """How much of what is random or repeated is done.

    `examples`: sequences of random calls for each face. `steps`: calls of a sequence. `kills`:
    processes killed while they write. `processes`: how many race. `rounds`: how often each case
    of the concurrency checker records a history. The `soak` profile repeats its sequences, with new
    seeds, for as many minutes as it is told, each face for half of them.
    """

    name: str
    examples: Mapping[Face, int]
    steps: int
    kills: int
    processes: int
    rounds: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", {Face.SYNC: 60, Face.ASYNC: 20}, 50, kills=50, processes=8, rounds=1),
        Profile("thorough", {Face.SYNC: 400, Face.ASYNC: 200}, 80, 200, processes=16, rounds=10),
        Profile("soak", {Face.SYNC: 100, Face.ASYNC: 100}, 80, 50, processes=8, rounds=1),
    )
}
