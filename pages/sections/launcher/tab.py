"""Whether anybody can see the page: a tab in the background need not be kept up to date."""

from __future__ import annotations

import streamlit as st

_WATCHED = """
export default function ({ setStateValue }) {
  const tell = () => setStateValue("hidden", document.hidden);
  document.addEventListener("visibilitychange", tell);
  return () => document.removeEventListener("visibilitychange", tell);
}
"""
_component = st.components.v2.component("tailscope_tab", js=_WATCHED)


def is_hidden() -> bool:
    """Whether the browser says that the tab is in the background; it runs the page again when that changes."""
    told = _component(key="tab", default={"hidden": False}, on_hidden_change=_nothing)
    return bool(told.hidden)


def _nothing() -> None:
    """A value of a component is kept only where somebody hears of its changes."""
