"""The monitoring page: every session of this home, read from its journal, in a process of its own."""
