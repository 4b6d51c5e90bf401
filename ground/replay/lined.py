"""Fields of a scenario's TOML: every one is checked as it is taken, and an error names its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NoReturn

from onboard.errors import ConfigError
from onboard.fields import Fields

_YEARS = range(1957, 2100)
_NEAR = 0.7
"""How alike two names are, of 1, for one to be meant by the other."""


class LinedFields(Fields):
    """`onboard.fields.Fields` that knows the lines.

    Args:
        path: the file.
        table: its values.
        lines: of `ground.replay.lines.lines_of`.
        inside: path of the table within the file.
    """

    def __init__(self, path: Path, table: Any, lines: Mapping[str, int], inside: str = "") -> None:
        super().__init__(path, table, ConfigError, inside)
        self.path, self.lines, self.inside = path, lines, inside

    def where(self, name: str = "") -> str:
        """The file and the line of a field, or of the table."""
        key = self._named(name) if name else self.inside
        line = self.lines.get(key) or self.lines.get(self.inside)
        return f"{self.path}:{line}" if line else f"{self.path}"

    def refuse(self, name: str, fault: str) -> NoReturn:
        """Raise the error for a field.

        Raises:
            ConfigError: always; names file, line and field.
        """
        raise ConfigError(f"{self.where(name)}: {name} {fault}")

    def take(self, name: str) -> Any:
        """A field of any kind, which must be there.

        Raises:
            ConfigError: it is missing; names the field that was meant, where one is near.
        """
        if not self.has(name):
            for near in difflib.get_close_matches(
                name, sorted(set(self._table) - self._asked), 1, _NEAR
            ):
                self.refuse(near, f"is not known here; did you mean {name}?")
            table = f" in [{self.inside.split('.')[0]}]" if self.inside else ""
            raise ConfigError(f"{self.where()}: {name} is missing{table}; add it")
        return super().take(name)

    def table(self, name: str) -> LinedFields:
        """A table within; empty where there is none."""
        value = self.take(name) if self.has(name) else {}
        if not isinstance(value, Mapping):
            self.refuse(name, f"is {value!r}; write a table [{name}]")
        return LinedFields(self.path, value, self.lines, self._named(name))

    def tables(self, name: str) -> list[LinedFields]:
        """The tables of a list ``[[name]]``; none where there is none."""
        value = self.take(name) if self.has(name) else []
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            self.refuse(name, f"is no list of tables; write [[{name}]] over each")
        path = self._named(name)
        return [
            LinedFields(self.path, one, self.lines, f"{path}.{index}")
            for index, one in enumerate(value)
        ]

    def plain(self, name: str) -> dict[str, Any]:
        """A table of numbers, texts and truth values whose names are checked elsewhere."""
        table = self.table(name)
        for one in table.names():
            if not isinstance(table.take(one), (bool, int, float, str)):
                table.refuse(one, "is no number, text or truth value; write one of these")
        return {one: table.take(one) for one in table.names()}

    def flag(self, name: str, default: bool) -> bool:
        """A truth value."""
        value = self.take(name) if self.has(name) else default
        if not isinstance(value, bool):
            self.refuse(name, f"is {value!r}; write true or false")
        return value

    def file(self, name: str) -> Path:
        """A path, from the folder of the scenario, to what exists."""
        path = self.path.parent / Path(self.text(name)).expanduser()
        if not path.exists():
            self.refuse(
                name, f"is {path}, which is not there; paths start at the scenario's folder"
            )
        return path

    def file_if(self, name: str) -> Path | None:
        """`file`, or None where the field is not there."""
        return self.file(name) if self.has(name) else None

    def instant(self, name: str, start: datetime) -> datetime:
        """A time with a zone, or days from the start."""
        return self.as_instant(name, self.take(name), start)

    def as_instant(self, name: str, value: Any, start: datetime | None) -> datetime:
        """A value of the field as a UTC time; ``start`` is None where days mean nothing yet."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            if value.year not in _YEARS:
                self.refuse(name, f"is in {value.year}; write a time of the space age")
            return value.astimezone(UTC)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and start is not None and abs(value) < 1e5:
            return start + timedelta(days=value)
        how = "2021-03-15T06:00:00Z"
        days = "" if start is None else ", or a number of days from the start"
        if isinstance(value, (datetime, date)):
            self.refuse(name, f"is {value} without a zone; write it as {how}{days}")
        self.refuse(name, f"is {value!r}, no time; write one as {how}{days}")

    def clock(self, name: str, value: Any) -> time:
        """A time of day, UTC; ``06:00`` as a text or TOML's own ``06:00:00``."""
        if isinstance(value, time):
            return value
        try:
            read = time.fromisoformat(value)
        except (TypeError, ValueError):
            read = None
        if read is None or read.tzinfo is not None:
            self.refuse(name, f'has {value!r}, no time of day; write it as "06:00"')
        return read

    def pairs(self, name: str) -> list[tuple[Any, Any]]:
        """A list of pairs."""
        value = self.take(name)
        whole = isinstance(value, list) and value
        if not whole or not all(isinstance(one, list) and len(one) == 2 for one in value):
            self.refuse(name, f"is {value!r}; write a list of pairs")
        return [(first, second) for first, second in value]

    def done(self) -> None:
        """Refuse what nobody has taken, and say what was perhaps meant."""
        for name in sorted(set(self._table) - self._taken):
            self.unknown(name, self._taken | self._asked)

    def unknown(self, name: str, known: Iterable[str]) -> NoReturn:
        """Refuse a field that is none of those that are known."""
        near = difflib.get_close_matches(name, sorted(known), 1, _NEAR)
        cure = f"did you mean {near[0]}?" if near else "mend its name or take it out"
        self.refuse(name, f"is not known here; {cure}")
