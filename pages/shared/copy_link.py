"""A button that copies the address of the page as it stands."""

from __future__ import annotations

import streamlit as st

_SCRIPT = """
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const copy = async () => {
    const address = window.location.href;
    try {
      await navigator.clipboard.writeText(address);
    } catch {  // a page that is not served from this machine or by HTTPS has no clipboard of its own
      const field = document.createElement("textarea");
      field.value = address;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Link copied";
    setTimeout(() => { button.textContent = "Copy link"; }, 1500);
  };
  button.addEventListener("click", copy);
  return () => button.removeEventListener("click", copy);
}
"""
_STYLE = """
button { background: none; border: 0; padding: 0; cursor: pointer; font: inherit; font-size: 14px;
  color: var(--st-text-color); opacity: 0.75; text-decoration: underline; text-underline-offset: 3px; }
button:hover, button:focus-visible { opacity: 1; }
"""
_component = st.components.v2.component(
    "tailscope_copy_link",
    html='<button type="button" title="The address of this view as it stands">Copy link</button>',
    css=_STYLE,
    js=_SCRIPT,
)


def show() -> None:
    """Draws the button."""
    _component(key="copy_link")
