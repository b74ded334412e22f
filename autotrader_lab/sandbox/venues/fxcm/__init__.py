"""FXCM's FIX 4.4 server, rebuilt from its public pages; see :mod:`.venue` for what is covered and what is not."""
