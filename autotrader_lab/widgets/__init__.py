"""What a notebook shows of a session."""

from autotrader_lab.widgets.panel import LabPanel

__all__ = ["LabPanel"]
