"""``python -m autotrader_lab.sandbox``."""

from __future__ import annotations

import typer

from autotrader_lab.sandbox.cli import sandbox

if __name__ == "__main__":
    typer.run(sandbox)
