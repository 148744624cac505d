"""Choices that several pages offer, kept in the address: a label, the borders of head, medium and tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from core.data.sources import why_default
from core.labels.groups import Borders
from core.system.errors import UserError
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LABELS_OFFERED = 2000
"""Labels in one list to choose from."""


Option = TypeVar("Option", bound=str)


def pick_one(
    title: str,
    options: Iterable[Option],
    default: Option,
    *,
    key: str,
    words: Mapping[Option, str] | None = None,
    about: str | None = None,
    on_change: Callable[[], None] | None = None,
) -> Option:
    """Draws a choice of one of a few, kept in the address; where the address leaves it empty it is the default.

    Args:
        title: what is chosen.
        options: in order.
        default: one of them.
        key: of the widget, and in the address.
        words: of each option; its name where there are none.
        about: shown as help.
        on_change: called when another one is chosen.
    """
    chosen = st.segmented_control(
        title,
        list(options),
        format_func=words.__getitem__ if words else str,
        default=default,
        required=True,
        key=key,
        bind="query-params",
        help=about,
        on_change=on_change,
    )
    return chosen or default


def describe_default() -> str:
    """Which data set is shown first and why, in one sentence."""
    return f"{why_default().partition('. ')[0].rstrip('.')}."


def pick_label(title: str, key: str, names: Sequence[str], default: str | None) -> str | None:
    """Draws the choice of a label, kept in the address; where there are very many, after a part of the name."""
    offered = list(names)
    if len(offered) > LABELS_OFFERED:
        part = st.text_input(f"{title}: part of its name", key=f"{key}_part").strip().lower()
        kept = st.session_state.get(key) or st.query_params.get(key) or default
        offered = [name for name in names if part in name.lower()][:LABELS_OFFERED]
        if isinstance(kept, str) and kept in names and kept not in offered:
            offered.append(kept)
    index = offered.index(default) if default in offered else None
    return st.selectbox(title, offered, index, key=key, bind="query-params", placeholder="any label")


def pick_borders(kept: Borders) -> Borders:
    """Draws the borders between head, medium and tail; those of the runs' training are the default."""
    with st.popover("Head, medium, tail", width="stretch"):
        st.caption("By the number of documents of the train part that carry a label; medium lies between.")
        head = st.number_input("Head from", 1, value=None, placeholder=str(kept.head), key="head", bind="query-params")
        tail = st.number_input("Tail up to", 0, value=None, placeholder=str(kept.tail), key="tail", bind="query-params")
    try:
        return kept.moved(head=head, tail=tail)
    except UserError as error:
        st.error(plain(str(error)))
        return kept
