"""The frame of all pages: the menu, links, the choice of a data set, cached loading, and how errors are said."""

from __future__ import annotations

import gc
import math
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from core import data
from core.config import DataConfig, SyntheticConfig, UserError, choose, parse
from core.data import Corpus

PAGES = {
    "home": "Home",
    "explorer": "Data set",
    "add_data": "Add data",
    "loss_weights": "Loss weights",
    "launcher": "Training",
    "compare": "Compare",
    "errors": "Errors",
    "try_it": "Try it",
}
"""Every page's module, which is also its address, and its title; in the order of the menu."""
STARTED = Event()
"""Set from a server's first run on."""
LABELS_OFFERED = 2000
"""Labels in one list to choose from."""


def page(name: str) -> StreamlitPage:
    """The page for the menu and for links; its module is imported when it is shown."""
    return st.Page(partial(show, name), title=PAGES[name], url_path=name, default=name == "home")


def show(name: str) -> None:
    """Draws a page; what a person can put right is said in one sentence."""
    try:
        refuse_endless_numbers()
        module = import_module(f"pages.{name}")
        spare_the_collector(name)
        module.show()
        spare_the_collector(f"{name}, {len(sys.modules)} modules")
    except UserError as error:
        st.error(plain(str(error)))


@st.cache_resource(show_spinner=False)
def spare_the_collector(state: str) -> None:  # noqa: ARG001 - once for each page, and for what it has loaded
    """Leaves the modules loaded by now out of the full garbage collection that Streamlit makes after every run.

    It took 0.13 s of processor time a second for each browser that watches a run, the rest of a tick takes 0.03 s.
    """
    gc.collect()
    gc.freeze()


def refuse_endless_numbers() -> None:
    """Stops an address with an infinite number, which no widget survives; other nonsense gives a widget's default."""
    for key, value in st.query_params.items():
        with suppress(ValueError):
            if math.isinf(float(value)):
                raise UserError(f"The address says {key}={value}: leave that out, or open the page from the menu.")


def link(name: str, label: str = "", query: Mapping[str, str] | None = None) -> None:
    """Draws a link to another page, by its name in `PAGES`."""
    st.page_link(
        page(name), label=label or PAGES[name], icon=":material/arrow_forward:", query_params=dict(query or {})
    )


def header(title: str, sentence: str) -> None:
    """Draws what a page begins with: its title, and what it is for."""
    st.title(title)
    st.caption(sentence)


def plain(text: str) -> str:
    """Text that st.error, st.caption and the like show as it is, not as Markdown, HTML, a formula or an icon."""
    text = re.sub(r"[\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=\w)|^[#+-]|(?<=^\d)\.", r"\\\g<0>", text, flags=re.M)
    return text.replace("\n", "  \n")


def pick_data() -> DataConfig:
    """Draws the choice of data set and split, kept in the address, and for `synthetic` that of its size.

    Raises:
        UserError: a data set or split that does not exist, a size that makes no sense.
    """
    sources = {source.name: source for source in data.available()}
    names = [source.name for source in sources.values() if source.found]
    asked = st.query_params.get("data")
    if asked is not None and asked not in names:
        choose("data set", asked, sources)
        raise UserError(sources[asked].sentence)
    left, right, rest = st.columns([2, 2, 3], vertical_alignment="bottom")
    name = left.selectbox("Data set", names, names.index(data.default_name()), key="data", bind="query-params")
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


def pick_label(title: str, key: str, names: Sequence[str], default: str | None) -> str | None:
    """Draws the choice of a label, kept in the address; where there are very many, a part of the name is asked for."""
    offered = list(names)
    if len(offered) > LABELS_OFFERED:
        part = st.text_input(f"{title}: part of its name", key=f"{key}_part").strip().lower()
        kept = st.session_state.get(key) or st.query_params.get(key) or default
        offered = [name for name in names if part in name.lower()][:LABELS_OFFERED]
        if isinstance(kept, str) and kept in names and kept not in offered:
            offered.append(kept)
    index = offered.index(default) if default in offered else None
    return st.selectbox(title, offered, index, key=key, bind="query-params", placeholder="any label")


def why_first() -> str:
    """Which data set is shown first and why, in one sentence."""
    return f"{data.why_default().partition('. ')[0].rstrip('.')}."


def corpus_of(config: DataConfig) -> Corpus:
    """The data set, opened once for all sessions and again when its source changes; says what is done meanwhile."""
    place = next((source.place for source in data.available() if source.name == config.name), "")
    return _corpus_of(config.model_dump_json(), _changes(Path(place)) if place else ())


def _changes(path: Path) -> tuple[tuple[str, int], ...]:
    """What tells that a source has changed: names and times of an archive, or of a folder and what lies in it."""
    entries = [path, *sorted(path.iterdir())] if path.is_dir() else [path]
    return tuple((str(entry), entry.stat().st_mtime_ns) for entry in entries if entry.exists())


@st.cache_resource(max_entries=4, show_spinner="Opening the data set")
def _corpus_of(config: str, changes: tuple[tuple[str, int], ...]) -> Corpus:  # noqa: ARG001 - a part of the key
    return data.load(parse(DataConfig, config))
