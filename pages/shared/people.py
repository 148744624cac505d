"""Who sits before the browser, where the server's owner has set up a sign-in (`[auth]` in Streamlit's secrets)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

import streamlit as st
from streamlit.errors import StreamlitAuthError

from core.system.access import set_person_finder, why_read_only
from pages.shared.text import plain


def signs_in() -> bool:
    """Whether a sign-in is set up."""
    return st.secrets.load_if_toml_exists() and "auth" in st.secrets


def find_person() -> str | None:
    """Who is signed in, as an address.

    Returns:
        "" for nobody, or for an address that the provider says it has not verified; None where nobody needs to sign
        in: no sign-in is set up, and no `TAILSCOPE_LAUNCHERS`.
    """
    if not signs_in():
        return "" if os.environ.get("TAILSCOPE_LAUNCHERS", "").strip() else None
    verified = st.user.get("is_logged_in") and st.user.get("email_verified", True) in (True, "true")
    return str(st.user.get("email") or "") if verified else ""


set_person_finder(find_person)


def show_sign_in() -> None:
    """Draws who is signed in and the way in or out, at the foot of the menu; nothing where no sign-in is set up."""
    if not signs_in():
        return
    with st.sidebar:
        if st.user.get("is_logged_in"):
            st.text(str(st.user.get("name") or st.user.get("email") or "Signed in"))
            if why := why_read_only():
                st.caption(plain(why))
            st.button("Log out", on_click=st.logout, icon=":material/logout:")
        elif find_spec("authlib") is None:
            st.error("Signing in needs a package: run pip install Authlib, then start the server again.")
        else:
            for provider in list_providers():
                label = f"Log in with {provider}" if provider else "Log in"
                st.button(label, key=f"login-{provider}", on_click=log_in, args=(provider,), icon=":material/login:")
            st.caption(plain(why_read_only()))


def list_providers() -> list[str]:
    """Names of the sections of `[auth]`; one empty name where its settings stand in `[auth]` itself."""
    auth = st.secrets["auth"]
    sections = [name for name, value in auth.items() if isinstance(value, Mapping)]
    return sections if sections and "client_id" not in auth else [""]


def log_in(provider: str) -> None:
    """Sends the browser to the provider; an entry that is missing from the secrets is shown."""
    try:
        st.login(provider or None)
    except StreamlitAuthError as error:
        st.error(plain(str(error)))
