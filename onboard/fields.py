"""Fields of a table that a person or another program wrote: every one is checked as it is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from onboard.errors import FloodsatError
from onboard.formats import Format

_NEEDED = object()


class Fields:
    """A table of a JSON or TOML file.

    Every method raises an error of ``kind`` with one line that names the file and the field.

    Args:
        path: the file, for errors.
        table: its fields.
        kind: the error to raise.
        inside: name of the table within the file, for errors; empty for the whole file.
    """

    def __init__(self, path: Path, table: Any, kind: type[FloodsatError], inside: str = "") -> None:
        self._path, self._kind, self._inside = path, kind, inside
        if not isinstance(table, Mapping):
            raise kind(f"{path}: {inside or 'its content'} is no table of names and values")
        self._table = dict(table)
        self._taken: set[str] = set()
        self._asked: set[str] = set()

    def refuse(self, name: str, fault: str) -> NoReturn:
        """Raise the error for a field."""
        raise self._kind(f"{self._path}: its field {self._named(name)} {fault}")

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        self._asked.add(name)
        return name in self._table

    def take(self, name: str) -> Any:
        """A field of any kind, which must be there."""
        self._taken.add(name)
        if name not in self._table:
            raise self._kind(f"{self._path}: lacks the field {self._named(name)}; add it")
        return self._table[name]

    def table(self, name: str) -> Fields:
        """A table within."""
        value = self.take(name)
        return Fields(self._path, value, self._kind, self._named(name))

    def names(self) -> list[str]:
        """Every name in the table."""
        self._taken.update(self._table)
        return list(self._table)

    def text(self, name: str, choices: tuple[str, ...] = (), default: Any = _NEEDED) -> str:
        """A text of at least one character, out of ``choices`` where there are any."""
        if default is not _NEEDED and not self.has(name):
            return str(default)
        value = self.take(name)
        if not isinstance(value, str) or not value.strip():
            self.refuse(name, f"is {value!r}; write a text")
        if choices and value not in choices:
            self.refuse(name, f"is {value!r}; choose one of {', '.join(choices)}")
        return value

    def version(self, of: Format, unsaid: int | None = None) -> int:
        """The field ``format``: a version of the format ``of``; ``unsaid`` where it is not there.

        Without ``unsaid`` it must be there.
        """
        if unsaid is not None and not self.has("format"):
            return unsaid
        return of.check(self.take("format"), f"{self._path}:", self._kind)

    def number(self, name: str, low: float, high: float, default: Any = _NEEDED) -> float:
        """A finite number in ``low … high``."""
        if default is not _NEEDED and not self.has(name):
            return float(default)
        value = self.take(name)
        return checked_number(self, name, value, low, high)

    def whole(self, name: str, low: int, high: int, default: Any = _NEEDED) -> int:
        """A whole number in ``low … high``."""
        if default is not _NEEDED and not self.has(name):
            return int(default)
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(name, f"is {value!r}; write a whole number in {low}…{high}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A list of different texts, at least one."""
        value = self.take(name)
        good = isinstance(value, list) and value and all(isinstance(v, str) for v in value)
        if not good or len(set(value)) < len(value):
            self.refuse(name, f"is {value!r}; write a list of different names")
        return tuple(value)

    def done(self) -> None:
        """Refuse what nobody has taken: a misspelt field would else be passed over."""
        rest = sorted(set(self._table) - self._taken)
        if rest:
            self.refuse(rest[0], "is not known; mend its name or take it out")

    def _named(self, name: str) -> str:
        return f"{self._inside}.{name}" if self._inside else name


def checked_number(fields: Fields, name: str, value: Any, low: float, high: float) -> float:
    """``value`` as a finite number in ``low … high``, else the error for the field ``name``."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        fields.refuse(name, f"is {value!r}; write a number in {low:g}…{high:g}")
    return float(value)
