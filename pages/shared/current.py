"""The current data set and run: chosen in the sidebar or by an address, kept for the session and in every address."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.analysis.run_names import name_runs
from core.config.parse import parse
from core.config.schema import DataConfig, SyntheticConfig
from core.data.sources import available, default_name
from core.runs import folder
from core.runs.folder import Run
from core.system.errors import UserError, choose
from pages.shared import listed
from pages.shared.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_RUNS = ("compare", "errors", "label", "try_it")
"""Pages on which a run of the address that names no data set brings its own."""
KEPT, PROBLEM, KEPT_RUN, CHOSEN = "current_data", "current_problem", "current_run", "current_chosen"
"""Of the session: the data set, why it cannot be had, the run, and whether somebody has chosen a data set."""
PAGE = "current_page"
"""Of the session: the page that was drawn last."""
SIZES = {f"synthetic_{name}": name for name in SyntheticConfig.model_fields}
"""Keys of an address, and of the sidebar's entries, for the size of the synthetic set."""
HEARD = " of the address"
"""Ends the key of what a page that draws itself again has chosen, and of all that its address has said so far."""
OF_DATA = ("run", "second", "runs", "of")
"""Keys of an address that name runs on one data set: another one empties them."""


def settle(page: str) -> None:
    """Finds the current data set and run: those of the address, else those of the session, else the usual set.

    Args:
        page: name of the page that will be drawn.
    """
    st.session_state[PROBLEM] = ""
    if st.session_state.get(PAGE) != page:
        st.session_state[PAGE] = page
        for key in OF_DATA:
            st.session_state.pop(f"{key}{HEARD}", None)
    asked = st.query_params.to_dict()
    if (found := _find_run(page, asked)) is not None:
        choose_run(found)
        return
    if page in OF_RUNS and not st.session_state.get(CHOSEN) and (first := _find_first_run(asked)) is not None:
        choose_data(first.config.data)
        return
    try:
        choose_data(_read(page, asked))
    except UserError as error:
        st.session_state[PROBLEM] = str(error)


def _read(page: str, asked: Mapping[str, str]) -> DataConfig:
    """The data set of an address, else the one of the session; a split that it does not have is ignored.

    Raises:
        UserError: unknown, not found, or sizes that make no sense.
    """
    kept, sizes = _kept(), _sizes_of(asked)
    name = asked.get("data", kept.name)
    source = next((source for source in available() if source.name == name), None)
    if source is None or not source.found:
        # Runs stay readable where their data set is not: a page that needs the data itself says what is missing.
        if name == kept.name or page in OF_RUNS:
            split = asked.get("split") or (kept.split if name == kept.name else _split_of_runs(name, kept.split))
            return parse(DataConfig, {"name": name, "split": split}, where="Address")
        choose("data set", name, [source.name for source in available()])
        raise UserError(source.sentence if source else "")
    same = name == kept.name
    wanted = (asked.get("split"), *([kept.split] if same else []), *source.splits)
    split = next(split for split in wanted if split in source.splits)
    kept_size = same and not sizes
    synthetic = kept.synthetic if kept_size else parse(SyntheticConfig, sizes, where="Synthetic set")
    return DataConfig(name=name, split=split, synthetic=synthetic)


def _split_of_runs(name: str, otherwise: str) -> str:
    """The split that the finished runs on a data set were made on, the newest of them."""
    runs = (run for run in listed.list_runs() if run.state == "finished" and run.config.data.name == name)
    return next((run.config.data.split for run in runs), otherwise)


def _sizes_of(asked: Mapping[str, str]) -> dict[str, Any]:
    """Sizes of the synthetic set that an address names, as numbers where they are."""
    sizes: dict[str, Any] = {}
    for key, name in SIZES.items():
        if text := asked.get(key, ""):
            sizes[name] = text
            with suppress(ValueError):
                number = float(text)
                sizes[name] = int(number) if number.is_integer() else number
    return sizes


def _find_run(page: str, asked: Mapping[str, str]) -> Run | None:
    """The run that an address names: by its id, or by the title of its data."""
    if page not in OF_RUNS:
        return None
    with suppress(UserError):
        if run_id := asked.get("run") or next(iter(st.query_params.get_all("runs")), ""):
            return folder.as_run(folder.get_folder(run_id))
        if (title := asked.get("of")) and title != _kept().title:
            return next(
                (run for run in listed.list_runs() if run.state == "finished" and run.config.data.title == title), None
            )
    return None


def _find_first_run(asked: Mapping[str, str]) -> Run | None:
    """A finished run, where nobody has chosen a data set yet and the usual one has none."""
    usual = DataConfig(name=default_name())
    if asked.get("data", usual.name) != usual.name or _sizes_of(asked):
        return None
    st.session_state[CHOSEN] = True
    finished = [run for run in listed.list_runs() if run.state == "finished" and not run.about.archived]
    return None if any(run.config.data == usual for run in finished) else next(iter(finished), None)


def _kept() -> DataConfig:
    kept = st.session_state.get(KEPT)
    return kept if isinstance(kept, DataConfig) else DataConfig(name=default_name())


def data() -> DataConfig:
    """The current data set.

    Raises:
        UserError: the one that the address asks for, or that was current, does not exist or cannot be had.
    """
    if problem := st.session_state.get(PROBLEM, ""):
        raise UserError(problem)
    return _kept()


def run() -> Run | None:
    """The current run, as it was when it was chosen; None where none is chosen yet."""
    kept = st.session_state.get(KEPT_RUN)
    return kept if isinstance(kept, Run) else None


def choose_data(config: DataConfig) -> None:
    """Makes a data set the current one, here and in the address; a run of another one is no longer current."""
    st.session_state[KEPT] = config
    kept = run()
    if kept and kept.config.data.title != config.title:
        st.session_state[KEPT_RUN] = None
    wanted = query()
    for key in ("data", "split", *SIZES):
        if key not in wanted:
            st.query_params.pop(key, None)
        elif st.query_params.get_all(key) != [wanted[key]]:
            st.query_params[key] = wanted[key]


def choose_run(run: Run) -> None:
    """Makes a run the current one, and its data set with it."""
    st.session_state[KEPT_RUN] = run
    choose_data(run.config.data)


def ask_for_run(run_id: str) -> None:
    """Puts a run into the address; it is the current one when the page is drawn again."""
    write_address("run", run_id)


def write_address(key: str, value: str | list[str] | None) -> None:
    """Puts a choice into the address, or takes it out."""
    wanted = [value] if isinstance(value, str) else list(value or [])
    _, heard = st.session_state.get(f"{key}{HEARD}", ([], []))
    st.session_state[f"{key}{HEARD}"] = (wanted, heard if wanted in heard else [*heard, wanted])
    if wanted:
        st.query_params[key] = wanted
    else:
        st.query_params.pop(key, None)


def read_address(key: str) -> list[str]:
    """What is chosen, for a part of a page that draws itself again: what the address says that it has not said before.

    A request that was on its way when a choice was written brings the address as it was: the choice counts, and is
    written again. Who comes from another page brings an address that counts.
    """
    asked = st.query_params.get_all(key)
    held, heard = st.session_state.get(f"{key}{HEARD}", ([], []))
    if asked not in heard:
        held = asked
        st.session_state[f"{key}{HEARD}"] = (asked, [*heard, asked])
    elif asked != held:
        write_address(key, held)
    return list(held)


def query() -> dict[str, str]:
    """What an address says of the current data set: its name and split, and a size that is not the usual one."""
    config = _kept()
    sizes = {f"synthetic_{name}": f"{value}" for name, value in config.synthetic_changes().items()}
    return {"data": config.name, "split": config.split, **sizes}


def show() -> None:
    """Draws the choice of the current data set, and names the current run, in the sidebar."""
    sources = {source.name: source for source in available()}
    config, problem = _kept(), st.session_state.get(PROBLEM, "")
    names = [source.name for source in sources.values() if source.found]
    if not problem and config.name not in names:
        names.append(config.name)  # of a run that came from elsewhere
    # The entries show what is current, whatever they held before.
    st.session_state["data"] = None if problem else config.name
    first = None if problem else 0  # one that is shown cannot be emptied
    st.selectbox("Data set", names, first, key="data", on_change=_take, placeholder="Choose a data set")
    if problem:
        return
    splits = sources[config.name].splits if config.name in sources else ()
    splits = splits if config.split in splits else (*splits, config.split)
    st.session_state["split"] = config.split
    if len(splits) > 1:
        st.selectbox(
            "Split",
            splits,
            key="split",
            on_change=_take,
            help="paper: 1,000 train documents of Reuters are held out for validation, as the paper's authors did. "
            "original: train and test alone. An added data set has the one that was made when it was added.",
        )
    if config.name == "synthetic":
        with st.popover("Size of the synthetic set", width="stretch"):
            for key, name in SIZES.items():
                _pick_size(key, name, getattr(config.synthetic, name))
    if (kept := run()) is not None:
        st.caption(plain(f"Run: {name_current(kept)}"), help=plain(f"Its id is {kept.id}."))


def name_current(kept: Run) -> str:
    """The name of the current run among the finished runs on its data set."""
    title = kept.config.data.title
    beside = [run for run in listed.list_runs() if run.state == "finished" and run.config.data.title == title]
    return {**name_runs([kept]), **name_runs(beside)}[kept.id]


def _pick_size(key: str, name: str, value: float) -> None:
    field = SyntheticConfig.model_fields[name]
    low, high = (next((getattr(m, side) for m in field.metadata if hasattr(m, side)), None) for side in ("ge", "le"))
    st.session_state[key] = value
    st.number_input(name.capitalize(), low, high, key=key, on_change=_take, help=field.description)


def _take() -> None:
    """Makes what the sidebar's entries hold the current data set."""
    name = st.session_state["data"]
    if name is None:
        return
    st.session_state[CHOSEN] = True
    old = _kept()
    for key in OF_DATA:
        st.query_params.pop(key, None)
        st.session_state.pop(key, None)
        st.session_state.pop(f"{key}{HEARD}", None)
    if name != old.name or st.session_state.get(PROBLEM):
        splits = next(source.splits for source in available() if source.name == name)
        split = old.split if old.split in splits else splits[0]
        choose_data(DataConfig(name=name, split=split))
        return
    sizes = {field: st.session_state.get(key, getattr(old.synthetic, field)) for key, field in SIZES.items()}
    choose_data(
        DataConfig(
            name=name,
            split=st.session_state.get("split", old.split),
            synthetic=parse(SyntheticConfig, sizes, where="Synthetic set"),
        )
    )
