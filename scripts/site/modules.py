"""The reference of the code: a page for every public module, made of its docstrings.

A page holds one line for mkdocstrings, which reads the source and imports nothing. A package's page
lists its modules with the first sentence of each; ``api/index.md`` lists the packages.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("onboard", "training", "ground")
ASIDE = {"cli", "__main__"}
"""Not of the reference: the commands have a page of their own."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    if not config.plugins["mkdocstrings"].config.enabled:
        return files
    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def pages() -> dict[str, str]:
    """Page → its Markdown."""
    made = {"api/index.md": _front()}
    for package in PACKAGES:
        for module in modules(ROOT / package):
            name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
            if module.name == "__init__.py":
                name = name.removesuffix(".__init__")
                below = _listing(module.parent, "")
                made[f"api/{name.replace('.', '/')}/index.md"] = f"::: {name}\n\n{below}"
            else:
                made[f"api/{name.replace('.', '/')}.md"] = f"::: {name}\n"
    return made


def modules(folder: Path) -> list[Path]:
    """Source files of a package's public modules, the packages in it included."""
    found = [path for path in folder.rglob("*.py") if not _aside(path.relative_to(ROOT))]
    return sorted(found)


def _aside(path: Path) -> bool:
    parts = path.with_suffix("").parts
    return any(part in ASIDE or (part[0] == "_" and part != "__init__") for part in parts)


def summary(module: Path) -> str:
    """The first paragraph of a module's docstring, up to its first full stop; in one line."""
    text = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def _front() -> str:
    parts = ["# API reference\n", "From the docstrings of the code. The rule of imports is in"]
    parts.append("[the architecture](../architecture.md).\n")
    for package in PACKAGES:
        about = summary(ROOT / package / "__init__.py")
        parts.append(f"\n## {package}\n\n{about}\n\n{_listing(ROOT / package, package + '/')}")
    return "\n".join(parts)


def _listing(package: Path, prefix: str) -> str:
    """A table of the modules right in a package: link and first sentence."""
    rows = []
    for module in modules(package):
        inner = module.relative_to(package).parts
        if len(inner) == 1 and inner[0] != "__init__.py":
            rows.append((module.stem, f"{prefix}{module.stem}.md", summary(module)))
        elif len(inner) == 2 and inner[1] == "__init__.py":
            rows.append((inner[0], f"{prefix}{inner[0]}/index.md", summary(module)))
    lines = [f"| [`{name}`]({link}) | {about} |" for name, link, about in sorted(rows)]
    return "\n".join(["| module | what it is |", "|---|---|", *lines, ""])
