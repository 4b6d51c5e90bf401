"""The same over many things: here, one after the other, or by the workers of a cluster.

Results come in the order of what they are of, so that whatever is summed over them is summed in
one order, and is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVar

from onboard.segment import Segmenter

if TYPE_CHECKING:
    from ground.archive.cluster import Cluster
    from ground.archive.recipe import Recipe

T = TypeVar("T")
R = TypeVar("R")


class Over(Protocol):
    """Does one thing many times."""

    def each(self, work: Callable[[Segmenter, T], R], many: Iterable[T]) -> Iterator[R]:
        """``work(segmenter, one)`` for every one, in order."""


@dataclass(frozen=True)
class Here:
    """In this process."""

    segmenter: Segmenter

    def each(self, work: Callable[[Segmenter, T], R], many: Iterable[T]) -> Iterator[R]:
        """One after the other."""
        return (work(self.segmenter, one) for one in many)


@dataclass(frozen=True)
class Spread:
    """By workers, each with a network of its own; what is worked on must be importable there."""

    recipe: Recipe
    cluster: Cluster

    def each(self, work: Callable[[Segmenter, T], R], many: Iterable[T]) -> Iterator[R]:
        """Side by side, and in order again."""
        return self.cluster.in_order(partial(_by, self.recipe, work), many)

    def engine(self) -> Elsewhere:
        """What runs there, for its name."""
        return Elsewhere(next(self.each(_name, [None])))


@dataclass(frozen=True)
class Elsewhere:
    """Fits `onboard.engines.Engine` where the engine runs in another process."""

    name: str
    tile_size: int | None = None

    def run(self, tile: object, masks: object) -> NoReturn:
        """Never called: the work goes to where the engine is."""
        raise NotImplementedError(f"{self.name} runs on the workers")


def _by(recipe: Recipe, work: Callable[[Segmenter, T], R], one: T) -> R:
    return work(recipe.ready().segmenter, one)


def _name(segmenter: Segmenter, _: None) -> str:
    return segmenter.engine.name
