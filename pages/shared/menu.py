"""The menu: every page with its address, links between pages, and how a page is drawn and its errors are shown."""

from __future__ import annotations

import gc
import math
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from threading import Event
from typing import TYPE_CHECKING

import streamlit as st
from streamlit import delta_generator

from core.system.errors import UserError
from core.system.files import describe_os_error, is_text
from core.system.places import cache_dir
from pages.shared import current
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlit.navigation.page import StreamlitPage

PAGES = {
    "home": "Home",
    "explorer": "Explorer",
    "label": "Label",
    "add_data": "Add data",
    "loss_weights": "Loss weights",
    "launcher": "Launcher",
    "compare": "Compare",
    "errors": "Errors",
    "try_it": "Try it",
}
"""Every page's file, address and folder of sections, which share one name, and its title; in the order of the menu."""
RUN_PAGES = ("errors", "label")
"""Pages that show one run, which their address names."""
STARTED = Event()
"""Set from a server's first run on."""


# Streamlit warns who draws without a server, and looks through all loaded modules for that: .2 s of the first page.
delta_generator._use_warning_has_been_displayed = True


def build_menu() -> list[StreamlitPage]:
    """Every page, and the address /home, which the menu does not show and which leads to Home at /."""
    home = st.Page(lambda: st.switch_page(build_page("home")), title="Home", url_path="home", visibility="hidden")
    return [*map(build_page, PAGES), home]


def build_page(name: str) -> StreamlitPage:
    """The page for the menu and for links; its module is imported when it is shown."""
    is_home = name == "home"
    return st.Page(partial(show, name), title=PAGES[name], url_path="" if is_home else name, default=is_home)


def show(name: str) -> None:
    """Draws a page; a `UserError` is shown as one sentence."""
    try:
        check_cache()
        refuse_infinite_numbers()
        module = import_module(f"pages.{name}")
        freeze_modules(name)
        module.show()
        freeze_modules(f"{name}, {len(sys.modules)} modules")
    except UserError as error:
        st.error(plain(str(error)))
    except OSError as error:
        if error.errno is None:
            raise
        st.error(plain(f"A file of this page cannot be read or written: {describe_os_error(error)}"))


def check_cache() -> None:
    """Raises `UserError` where pages cannot name the cache's folder, which commands can."""
    if not is_text(str(cache_dir())):
        raise UserError("TAILSCOPE_CACHE has bytes that are no UTF-8: name another folder, or rename that one.")


@st.cache_resource(show_spinner=False)
def freeze_modules(state: str) -> None:  # noqa: ARG001 - once for each page, and for the modules that it has loaded
    """Excludes the modules loaded by now from the full garbage collection that Streamlit makes after every run.

    It took 0.13 s of processor time a second for each browser that watches a run, the rest of a tick takes 0.03 s.
    """
    gc.collect()
    gc.freeze()


def refuse_infinite_numbers() -> None:
    """Refuses an address with an infinite number, which breaks every widget; a widget itself ignores other nonsense.

    Raises:
        UserError: an infinite number.
    """
    for key, value in st.query_params.items():
        with suppress(ValueError):
            if math.isinf(float(value)):
                raise UserError(f"The address says {key}={value}: leave that out, or open the page from the menu.")


def show_menu() -> None:
    """Draws a link to every page, with the current data set and run in its address."""
    with st.container(gap="xxsmall"):
        for name, title in PAGES.items():
            st.page_link(build_page(name), label=title, query_params=complete_query(name, {}))


def show_search() -> None:
    """Draws the search for a label, which leads to its page; an unknown name leads to those that are like it."""
    st.text_input("Go to a label", key="find_label", placeholder="name or a part of it", max_chars=200, on_change=_ask)
    if asked := st.session_state.pop("asked_label", ""):
        st.switch_page(build_page("label"), query_params=complete_query("label", {"name": asked}))


def _ask() -> None:
    st.session_state["asked_label"], st.session_state["find_label"] = st.session_state["find_label"].strip(), ""


def link(name: str, label: str = "", query: Mapping[str, str | list[str]] | None = None) -> None:
    """Draws a link to another page, by its name in `PAGES`.

    Args:
        name: of the page.
        label: the page's title where there is none.
        query: of the address; a list is a choice of several. It gets the current data set unless it names one, or runs.
    """
    query_params = complete_query(name, query or {})
    st.page_link(
        build_page(name), label=label or PAGES[name], icon=":material/arrow_forward:", query_params=query_params
    )


def link_labels(*names: str) -> None:
    """Draws links to the pages of labels."""
    with st.container(horizontal=True):
        for name in names:
            link("label", f"Everything about {plain(shorten(name, 60))}", {"name": name})


def complete_query(name: str, query: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    """A query with the current data set and, on pages that show one run, the current run."""
    if not query.keys().isdisjoint(("data", "run", "runs", "of")):
        return dict(query)
    run = current.run() if name in RUN_PAGES else None
    return {**current.query(), **({"run": run.id} if run else {}), **query}


def show_header(title: str, sentence: str) -> None:
    """Draws what a page begins with: its title, and what it is for."""
    st.title(title)
    st.caption(sentence)
