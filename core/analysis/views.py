"""Views of the pages that people added to the report: what each shows, its address, and where that is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from core.config.parse import parse
from core.config.schema import Frozen
from core.system.access import account, check_writable
from core.system.errors import UserError
from core.system.files import read_json, say_unwritable, write_json
from core.system.locks import locked
from core.system.places import cache_dir

MOST = 60
"""Views that are kept, of all data sets together."""
Words = Annotated[tuple[Annotated[str, Field(max_length=2000)], ...], Field(max_length=500)]
Named = dict[Annotated[str, Field(max_length=60)], Words]


class View(Frozen):
    """A chart or table of a page as it stood when somebody added it."""

    page: Literal["compare", "errors", "explorer", "label"]
    view: str = Field(max_length=60, description="of the page")
    data: str = Field(min_length=1, max_length=300, description="title of the data set and split")
    title: str = Field(min_length=1, max_length=300)
    shown: Named = Field(max_length=40, description="what it takes to draw it again: runs, rule, borders")
    query: Named = Field(max_length=100, description="of its address")
    by: str = Field("", max_length=200)
    when: float = Field(0.0, ge=0, le=1e11, description="seconds since 1970")

    @property
    def key(self) -> str:
        """What there is one view of: the same view again is the same one."""
        what = json.dumps([self.page, self.view, self.data, self.shown], sort_keys=True)
        return hashlib.sha256(what.encode()).hexdigest()[:12]


class Kept(Frozen):
    """All views, as their file holds them."""

    views: tuple[View, ...] = Field((), max_length=MOST)


def views_file() -> Path:
    """Where the views are kept."""
    return cache_dir() / "views.json"


def read_views(data: str = "") -> list[View]:
    """The views of a data set in the order in which they were added; without one, all.

    Args:
        data: title of the data set and split.

    Raises:
        UserError: the file is damaged.
    """
    file = views_file()
    if not file.exists():
        return []
    try:
        kept = parse(Kept, read_json(file), where=file.name)
    except UserError as error:
        raise UserError(f"The views of the report cannot be read: {error} Mend or delete {file}.") from None
    return [one for one in kept.views if not data or one.data == data]


def make_view(
    page: str, view: str, data: str, title: str, shown: Mapping[str, object], query: Mapping[str, Sequence[str]]
) -> View:
    """A view from what a page knows of it; what it shows may be texts, numbers, None, or lists of them.

    An address leaves out what is chosen at first: the name of the view is put into it.
    """
    words = {
        key: tuple(map(str, value if isinstance(value, (list, tuple)) else [value]))
        for key, value in shown.items()
        if value is not None and value != ""
    }
    values = {"page": page, "view": view, "data": data, "title": title[:300], "shown": words}
    asked = {"view": (view,)} | {key: tuple(map(str, value)) for key, value in query.items()}
    return parse(View, {**values, "query": asked, "by": account(), "when": time.time()}, where="View")


def add_view(view: View) -> bool:
    """Keeps a view; False where the same one is kept already. Two people who add at once lose neither.

    Raises:
        UserError: the file is damaged or full, or nothing may be changed.
    """
    check_writable()
    with say_unwritable("The view"), locked(cache_dir() / "locks" / "views.lock"):
        views = read_views()
        if any(one.key == view.key for one in views):
            return False
        if len(views) >= MOST:
            raise UserError(f"The reports hold {MOST} views already: remove some under Report on the page Compare.")
        write_json(views_file(), Kept(views=(*views, view)).model_dump())
    return True


def remove_view(key: str) -> None:
    """Removes a view; one that is gone already is no error.

    Raises:
        UserError: the file is damaged, or nothing may be changed.
    """
    check_writable()
    with say_unwritable("The list of views"), locked(cache_dir() / "locks" / "views.lock"):
        views = [one for one in read_views() if one.key != key]
        write_json(views_file(), Kept(views=tuple(views)).model_dump())
