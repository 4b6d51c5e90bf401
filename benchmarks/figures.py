"""A figure, the bound it must keep, and the report that holds them all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

DIGITS = {"MB": 0, "%": 1}
"""Unit → digits behind the point; other units have three significant ones."""


@dataclass(frozen=True)
class Bound:
    """What a figure must keep.

    Attributes:
        value: in the figure's unit.
        at_most: True for ``≤ value``, False for ``≥ value``.
    """

    value: float
    at_most: bool = True

    def keeps(self, value: float) -> bool:
        """Whether ``value`` is within the bound; the bound itself is."""
        return value <= self.value if self.at_most else value >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        key: name in the JSON file.
        engine: what ran, as "tflite"; empty where the figure is of no engine.
        text: what it is, for people.
        value: None where it could not be measured; ``note`` says why then.
        unit: "×", "%", "MB", "MP/s", "ms" or "s".
        bound: what it must keep, if anything.
        note: how it was measured, or the aim behind the bound.
    """

    key: str
    engine: str
    text: str
    value: float | None
    unit: str
    bound: Bound | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None without a bound or without a value."""
        if self.bound is None or self.value is None:
            return None
        return self.bound.keeps(self.value)

    @property
    def shown(self) -> str:
        """The value with its unit, to the digits that carry meaning."""
        if self.value is None:
            return "not measured"
        if self.unit in DIGITS:
            return f"{self.value:.{DIGITS[self.unit]}f} {self.unit}"
        # Three significant digits, never an exponent.
        whole = len(str(int(abs(self.value)))) if abs(self.value) >= 1 else 0
        return f"{self.value:.{max(3 - whole, 0)}f} {self.unit}"

    @property
    def verdict(self) -> str:
        """The bound and whether it holds, or nothing."""
        if self.bound is None:
            return ""
        said = {True: "holds", False: "DOES NOT HOLD", None: "not measured"}[self.holds]
        return f"{self.bound} {self.unit}: {said}"

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "bound": str(self.bound or "") or None, "holds": self.holds}


@dataclass(frozen=True)
class Report:
    """All that one run found.

    Attributes:
        figures: in the order they are shown: ratios first.
        budgets: engine → stage → seconds of one frame, file to file.
        facts: what was run on what: machine, versions, bundle, tiles, seed.
        definitions: term → how it is measured, for the reader of the table.
    """

    figures: list[Figure]
    budgets: dict[str, dict[str, float]]
    facts: dict[str, str]
    definitions: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[Figure]:
        """Figures whose bound does not hold."""
        return [figure for figure in self.figures if figure.holds is False]

    def value(self, key: str, engine: str = "") -> float:
        """The value of a figure that was measured.

        Raises:
            KeyError: there is none of that name, or it was not measured.
        """
        for figure in self.figures:
            if (figure.key, figure.engine) == (key, engine) and figure.value is not None:
                return figure.value
        raise KeyError((key, engine))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "facts": self.facts,
            "figures": [figure.to_json() for figure in self.figures],
            "seconds_by_stage": self.budgets,
            "definitions": self.definitions,
        }
