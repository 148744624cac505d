"""Views that are added to the report: the button below a chart, and the list where the report is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.analysis import views
from core.system.access import read_only
from core.system.errors import UserError
from pages.shared.menu import PAGES, link
from pages.shared.text import plain, shorten

if TYPE_CHECKING:
    from core.labels.groups import Borders


def offer_view(page: str, view: str, data: str, title: str, *, borders: Borders | None = None, **shown: object) -> None:
    """Draws the button that adds a view as it stands to the report of its data set.

    Args:
        page: its name.
        view: its name on the page.
        data: title of the data set and split.
        title: above the view in the report.
        borders: of head, medium and tail, where it shows them.
        shown: what it takes to draw it again, as `core.figures.views` reads it.
    """
    if read_only():
        return
    if borders is not None:
        shown |= {"head": borders.head, "tail": borders.tail}
    query = {key: st.query_params.get_all(key) for key in st.query_params}
    try:
        made = views.make_view(page, view, data, title, shown, query)
    except UserError:
        return  # an address of thousands of letters
    st.button(
        "Add this view to the report",
        key=f"add-{page}-{view}",
        type="tertiary",
        icon=":material/add_chart:",
        on_click=_add,
        args=(made,),
        help="With its caption and its address. The page Compare makes the report and lists what was added.",
    )
    show_outcome()


def _add(view: views.View) -> None:
    """Adds a view and says so."""
    try:
        is_new = views.add_view(view)
    except UserError as error:
        st.session_state["view_problem"] = str(error)
        return
    said = "Added: Compare lists it under Report." if is_new else "The report has this view already."
    st.session_state["view_said"] = said


def show_outcome() -> None:
    """Draws what came of the last click: a callback draws nothing."""
    if problem := st.session_state.pop("view_problem", ""):
        st.toast(plain(problem), icon=":material/error:", duration="long")
    if said := st.session_state.pop("view_said", ""):
        st.toast(said, icon=":material/check:")


def show_added(data: str) -> list[views.View]:
    """Draws the views of a data set, each with a link to its page and what removes it, and returns them."""
    try:
        found = views.read_views(data)
    except UserError as error:
        st.warning(plain(str(error)))
        return []
    show_outcome()
    if not found:
        st.caption("No view was added yet: below a chart of Explorer, Label, Compare or Errors stands what adds it.")
    for one in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            link(
                one.page,
                f"{PAGES[one.page]}: {plain(shorten(one.title, 100))}",
                {key: list(value) for key, value in one.query.items()},
            )
            if not read_only():
                st.button("Remove", key=f"remove-{one.key}", type="tertiary", on_click=_remove, args=(one.key,))
    return found


def _remove(key: str) -> None:
    """Removes a view; why not is said."""
    try:
        views.remove_view(key)
    except UserError as error:
        st.session_state["view_problem"] = str(error)
