"""The engine host: the process that trades, apart from the notebook that asks it to."""
