"""FXCM over FIX 4.4, the one road to it that is left: its REST service is withdrawn and ForexConnect has no wheels.

Written from FXCM's public pages and the messages recorded there; FXCM's own dictionary is marked confidential, and
neither it nor anything made from it is here.
"""

from autotrader_lab.execution.adapters.fxcm.adapter import FXCMAdapter
from autotrader_lab.execution.adapters.fxcm.feed import FXCMFeed

__all__ = ["FXCMAdapter", "FXCMFeed"]
