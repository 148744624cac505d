"""Whether anybody can see the page: a tab in the background need not be kept up to date."""

from __future__ import annotations

import streamlit as st

_KEY = "tab"
_WATCHED = """
export default function ({ data, setStateValue }) {
  const report = () => setStateValue("hidden", document.hidden);
  if (document.hidden !== data.told) report();  // it changed while nobody listened
  document.addEventListener("visibilitychange", report);
  return () => document.removeEventListener("visibilitychange", report);
}
"""
_component = st.components.v2.component("tailscope_tab", js=_WATCHED)


def is_hidden() -> bool:
    """Whether the tab is in the background; the page runs again when that changes."""
    known = getattr(st.session_state.get(_KEY), "hidden", False)
    state = _component(key=_KEY, data={"told": bool(known)}, default={"hidden": False}, on_hidden_change=_nothing)
    return bool(state.hidden)


def _nothing() -> None:
    """Does nothing: Streamlit keeps the value of a component only where its changes have a callback."""
