"""A report as a table on the terminal and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import Figure, Report

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("figure", "engine", "value", "bound", "note")


def cells(figure: Figure) -> tuple[str, ...]:
    """One row, in the order of `COLUMNS`."""
    return (figure.text, figure.engine, figure.shown, figure.verdict, figure.note)


def table(report: Report) -> Table:
    """The figures for a terminal."""
    from rich.table import Table

    shown = Table(*COLUMNS, box=None, pad_edge=False)
    for figure in report.figures:
        shown.add_row(*cells(figure), style="bold red" if figure.holds is False else None)
    return shown


def budget_table(report: Report) -> Table:
    """The seconds by stage for a terminal."""
    from rich.table import Table

    names = list(report.budgets)
    shown = Table("stage of `segment`", *names, box=None, pad_edge=False)
    for row in budget_rows(report):
        shown.add_row(*row)
    return shown


def budget_rows(report: Report) -> list[list[str]]:
    """Stage, and for every engine its seconds and share."""
    budgets = report.budgets.values()
    rows = []
    for stage in next(iter(budgets)):
        shares = [f"{b[stage]:.2f} s, {b[stage] / sum(b.values()):.1%}" for b in budgets]
        rows.append([stage, *shares])
    return rows


def markdown(report: Report, picture: str | None) -> str:
    """The report as a page.

    Args:
        report: what was found.
        picture: address of the plot from the page, if there is one.
    """
    sections = [
        "# Benchmarks\n\nMade by `floodsat bench`, on the machine below: the last run. The ratios "
        "compare things\nmeasured in that one run; the times are of this machine alone.\n",
        lines(list(COLUMNS), [list(cells(figure)) for figure in report.figures]),
    ]
    if picture is not None:
        sections.append(f"![Throughput, and where the time of segment goes]({picture})\n")
    sections += [
        "## Where the time goes\n",
        lines(["stage of `segment`", *report.budgets], budget_rows(report)),
        "## Machine and run\n",
        lines(["", ""], [[key, value] for key, value in report.facts.items()]),
        "## How it is measured\n",
        "\n".join(f"- **{term}**: {text}." for term, text in report.definitions.items()) + "\n",
    ]
    return "\n".join(sections)


def lines(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    body = [head, ["---"] * len(head), *rows]
    return (
        "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in body)
        + "\n"
    )
