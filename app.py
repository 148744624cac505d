"""Tailscope's dashboard: `streamlit run app.py`, or `make run`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.system.errors import UserError
from pages.shared import copy_link, current, listed, people
from pages.shared.menu import PAGES, STARTED, build_menu, show, show_menu, show_search
from pages.shared.text import plain

STYLE = Path(__file__).parent / "pages" / "shared" / "style.css"
"""What themes have no setting for."""


def main(name: str = "") -> None:
    """Draws the menu and one page.

    Args:
        name: the page to show; empty for the one that the address asks for. A page's own file passes its name, for a
            server that has not run this file yet runs that file on a deep link.
    """
    st.set_page_config(layout="wide", initial_sidebar_state=220)
    listed.forget()
    st.html(STYLE)
    chosen = st.navigation(build_menu(), position="hidden")  # the menu's own links hold what is current
    if not STARTED.is_set():
        # A server's first run finds the folder pages/, and widgets in it would have other identities than later on.
        STARTED.set()
        st.rerun()
    st.set_page_config(page_title=f"{PAGES[name] if name else chosen.title} · Tailscope")
    show_sidebar(name or chosen.url_path or "home")
    if name:
        show(name)
    else:
        chosen.run()


def show_sidebar(page: str) -> None:
    """Draws the current data set and run, the menu, and who is signed in."""
    with st.sidebar:
        try:
            current.settle(page)
            current.show()
        except UserError as error:
            st.error(plain(str(error)))
        show_menu()
        show_search()
        copy_link.show()
    people.show_sign_in()


if __name__ == "__main__":
    main()
