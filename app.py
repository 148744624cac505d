"""Tailscope's dashboard: `streamlit run app.py`, or `make run`."""

from __future__ import annotations

import streamlit as st

from pages.shared import people
from pages.shared.menu import PAGES, STARTED, build_menu, show


def main(name: str = "") -> None:
    """Draws the menu and one page.

    Args:
        name: the page to show; empty for the one that the address asks for. A page's own file passes its name, for a
            server that has not run this file yet runs that file on a deep link.
    """
    st.set_page_config(layout="wide", initial_sidebar_state=220)
    chosen = st.navigation(build_menu(), expanded=True)
    if not STARTED.is_set():
        # A server's first run finds the folder pages/, and widgets in it would have other identities than later on.
        STARTED.set()
        st.rerun()
    people.show_sign_in()
    st.set_page_config(page_title=f"{PAGES[name] if name else chosen.title} · Tailscope")
    if name:
        show(name)
    else:
        chosen.run()


if __name__ == "__main__":
    main()
