"""Pages drawn without a browser, and what they say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from core.system.places import ROOT

# Streamlit looks through all installed packages for components at the first run of every `AppTest`, which takes several
# times as long as a page: what is installed stays the same.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


def open_page(name: str, /, **query: str) -> AppTest:
    """A page at an address, drawn once, without an error."""
    return draw(AppTest.from_file(str(ROOT / "pages" / f"{name}.py"), default_timeout=60), query)


def draw(page: AppTest, query: Mapping[str, str]) -> AppTest:
    """The page, drawn once at an address with this query, without an error."""
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def words(page: AppTest) -> str:
    """Everything the page says in sentences."""
    kinds = ("error", "warning", "info", "caption", "text", "markdown")
    return said([element for kind in kinds for element in page.get(kind)])


def said(elements: Iterable[Any]) -> str:
    """The elements' texts as a person reads them, without Markdown's backslashes."""
    return "\n".join(str(element.value).replace("\\", "") for element in elements)
