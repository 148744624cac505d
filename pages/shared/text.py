"""Text from outside, shown as it is."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Text that st.error, st.caption and the like show as it is, not as Markdown, HTML, a formula or an icon."""
    text = re.sub(r"[\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w)|:(?=\w)|^[#+-]|(?<=^\d)\.", r"\\\g<0>", text, flags=re.M)
    return text.replace("\n", "  \n")
