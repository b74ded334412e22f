"""``python -m autotrader_lab.sandbox``."""

from __future__ import annotations

import typer

from autotrader_lab.sandbox.cli import sandbox

__all__ = ["app"]

app = typer.Typer(add_completion=False)
app.command()(sandbox)

if __name__ == "__main__":
    app()
