"""A run in stages: which recipe holds in each, and at which step it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.training.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """A part of a run, or all of one that has none.

    Args:
        number: from 1.
        recipe: what holds in it.
        first_step: steps that are done when it begins.
        first_sample: samples that are seen by then.
        steps: how many it takes; ``None``: the clock decides.
    """

    number: int
    recipe: Recipe
    first_step: int
    first_sample: int
    steps: int | None

    def samples(self, step: int) -> int:
        """Samples that are seen after `step` steps of the run, for a step from this stage's first to its last."""
        return self.first_sample + (step - self.first_step) * self.recipe.batch

    def progress(self, step: int) -> float:
        """Share of the stage that is done after `step` steps of the run, 0…1."""
        return min(1.0, (step - self.first_step) / (self.steps or 1))


def plan(recipe: Recipe, length: int) -> tuple[Stage, ...]:
    """The stages of a run on a data set of `length` samples, in order."""
    stages: list[Stage] = []
    for number, part in enumerate(recipe.in_stages(), 1):
        step = stages[-1].first_step + (stages[-1].steps or 0) if stages else 0
        sample = stages[-1].samples(step) if stages else 0
        total = part.iterations or part.epochs * length / part.batch
        stages.append(Stage(number, part, step, sample, None if part.minutes else max(1, round(total))))
    return tuple(stages)


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """The stage to which the step after `step` others belongs; past the end the last."""
    return next(stage for stage in reversed(stages) if stage.first_step <= step)
