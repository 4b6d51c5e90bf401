"""Paths and modules in the text become links, where the site has a page for them.

The docs name files as ``docs/maps.md`` or ``onboard/bundle.py``, docstrings a module as
``onboard.bundle``: they are read in the repository, too, where they are no links. On the site they
lead to the page, or to the reference of the module.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from mkdocs.utils import get_relative_url

CODE = re.compile(r"(<a\b[^>]*>.*?</a>|<pre\b.*?</pre>)|<code>([\w./-]+)</code>", re.DOTALL)
BESIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Link the paths in a page's text; what is a link or a listing already stays as it is."""
    return CODE.sub(partial(_linked, page=page, files=files), html)


def _linked(found: re.Match[str], page: Any, files: Any) -> str:
    if found[1] is not None:
        return found[1]
    for uri in candidates(found[2]):
        file = files.get_file_from_path(uri)
        if file is not None and file != page.file and file.inclusion.is_included():
            return f'<a href="{get_relative_url(file.url, page.url)}">{found[0]}</a>'
    return found[0]


def candidates(path: str) -> list[str]:
    """Pages that may stand for a path of the repository, the best first."""
    if path in BESIDE:
        return [BESIDE[path]]
    if path.startswith("docs/"):
        return [path.removeprefix("docs/").replace(".ipynb", ".md")]
    if path.endswith(".py"):
        return [f"api/{path[:-3]}.md", f"api/{path[:-3].removesuffix('/__init__')}/index.md"]
    if path.endswith("/"):
        return [f"api/{path}index.md"]
    if re.fullmatch(r"(onboard|training|ground)(\.\w+)+", path):
        inside = path.replace(".", "/")
        return [f"api/{inside}.md", f"api/{inside}/index.md"]
    return []
