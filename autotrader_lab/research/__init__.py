"""Trying a strategy on history: checked data, replay through the live core, figures and plots."""
