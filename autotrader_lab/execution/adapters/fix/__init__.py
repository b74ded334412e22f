"""FIX 4.4, as little of it as an initiator needs: messages, framing, a session without I/O, and its asyncio shell.

Which messages a venue speaks is the venue's module's business; nothing here knows one.
"""

from autotrader_lab.execution.adapters.fix.framing import Framer
from autotrader_lab.execution.adapters.fix.link import FixLink, LogonRefused
from autotrader_lab.execution.adapters.fix.messages import FixMessage, encode
from autotrader_lab.execution.adapters.fix.session import FixSession, SessionSettings

__all__ = ["FixLink", "FixMessage", "FixSession", "Framer", "LogonRefused", "SessionSettings", "encode"]
