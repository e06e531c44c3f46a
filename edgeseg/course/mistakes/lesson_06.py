"""Known mistakes of lesson 06: the whole Cross-CBAM."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgeseg.course.mistakes import Make


def _one_step_only(coarse: int, fine: int) -> Make:
    return lambda _: lambda height, width: all(2 * -(-n // coarse) == -(-n // fine) for n in (height, width))


def _fewer(count: Callable[[int], int]) -> Make:
    return lambda right: lambda channels=256, classes=19: right(channels, classes) - count(classes)


MISTAKES: Mapping[str, Mapping[str, Make]] = {
    "06.1": {
        "only the first step is looked at, from 1/32 to 1/16": _one_step_only(32, 16),
        "only the last step is looked at, from 1/16 to 1/8": _one_step_only(16, 8),
    },
    "06.4": {
        "batch normalisation has one parameter a channel and not two": _fewer(lambda classes: 64),
        "batch normalisation is left out": _fewer(lambda classes: 128),
        "one classifier has no bias": _fewer(lambda classes: classes),
        "no classifier has a bias": _fewer(lambda classes: 2 * classes),
    },
    "06.5": {
        "the time that is saved is told and not the speed that is gained": lambda _: lambda a, b: 100 * (1 - b / a),
        "the speed is told as percent of the other and not what is gained": lambda _: lambda a, b: 100 * a / b,
    },
}
