"""Engine, order management, risk, resiliency, adapters. Plain asyncio; knows nothing of hosts or notebooks."""
