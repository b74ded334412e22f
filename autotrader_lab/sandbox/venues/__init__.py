"""One package per venue protocol, all over the same exchange."""
