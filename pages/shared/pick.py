"""Choices that several pages offer, kept in the address: a data set, a label, the borders of head, medium and tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from core.config.parse import parse
from core.config.schema import DataConfig, SyntheticConfig
from core.data.sources import available, default_name, why_default
from core.labels.groups import Borders
from core.system.errors import UserError, choose
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


def pick_data() -> DataConfig:
    """Draws the choice of data set and split, kept in the address, and for `synthetic` that of its size.

    Raises:
        UserError: a data set or split that does not exist, a size that makes no sense.
    """
    sources = {source.name: source for source in available()}
    names = [source.name for source in sources.values() if source.found]
    asked = st.query_params.get("data")
    if asked is not None and asked not in names:
        choose("data set", asked, sources)
        raise UserError(sources[asked].sentence)
    left, right, rest = st.columns([2, 2, 3], vertical_alignment="bottom")
    name = left.selectbox("Data set", names, names.index(default_name()), key="data", bind="query-params")
    split = right.selectbox(
        "Split",
        sources[name].splits,
        key="split",
        bind="query-params",
        help="paper: 1,000 train documents of Reuters are held out for validation, as the paper's authors did. "
        "original: train and test alone. An added data set has the one that was made when it was added.",
    )
    if name != "synthetic":
        return DataConfig(name=name, split=split)
    with rest.popover("Size of the synthetic set"):
        fields = SyntheticConfig.model_fields
        chosen = {key: _number(key) for key in fields}
    return DataConfig(name=name, split=split, synthetic=parse(SyntheticConfig, chosen, where="Synthetic set"))


def _number(key: str) -> float:
    field = SyntheticConfig.model_fields[key]
    low, high = (next((getattr(m, side) for m in field.metadata if hasattr(m, side)), None) for side in ("ge", "le"))
    return st.number_input(
        key.capitalize(), low, high, field.default, key=f"synthetic_{key}", bind="query-params", help=field.description
    )


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
        return Borders(kept.head if head is None else head, kept.tail if tail is None else tail)
    except UserError as error:
        st.error(plain(str(error)))
        return kept
