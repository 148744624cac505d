"""Home: what this is, which data is there, where to start."""

from __future__ import annotations

from pages import header


def show() -> None:
    header("Tailscope", "Long-tailed multi-label text classification, from the data to the errors.")


if __name__ == "__main__":
    import app

    app.main("home")
