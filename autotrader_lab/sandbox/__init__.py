"""Local venues that speak the real protocols, for rehearsal and tests; independent of our own adapters.

``Sandbox`` serves them inside a running event loop, ``start_sandbox`` in a process of their own.
"""

from autotrader_lab.sandbox.process import SandboxProcess, start_sandbox
from autotrader_lab.sandbox.server import Sandbox

__all__ = ["Sandbox", "SandboxProcess", "start_sandbox"]
