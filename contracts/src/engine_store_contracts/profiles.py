"""How long the suite looks: less at every commit, more before a release, for hours at a driver."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import evolve, frozen

from engine_store_contracts.faces import Face


class ProfileName(StrEnum):
    """What a profile is called."""

    QUICK = "quick"
    THOROUGH = "thorough"
    SOAK = "soak"


@frozen
class Profile:
    """How much of what is random or repeated is done.

    `examples`: sequences of random calls for each face. `steps`: calls of a sequence. `kills`:
    processes killed while they write. `processes`: how many race. `steps_of_workers`: what each
    worker does in a history of concurrent calls. A profile that soaks repeats its sequences, with
    new seeds, for as many minutes as it is given, each face by itself.
    """

    examples: Mapping[Face, int]
    steps: int
    kills: int
    processes: int
    steps_of_workers: int
    soaks: bool = False


_QUICK = Profile({Face.SYNC: 40, Face.ASYNC: 12}, 50, kills=50, processes=8, steps_of_workers=80)

PROFILES = {
    ProfileName.QUICK: _QUICK,
    ProfileName.THOROUGH: Profile(
        {Face.SYNC: 400, Face.ASYNC: 200}, 80, kills=200, processes=16, steps_of_workers=800
    ),
    ProfileName.SOAK: evolve(_QUICK, examples=dict.fromkeys(Face, 100), steps=80, soaks=True),
}
