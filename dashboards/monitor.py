"""The monitoring page, as ``panel serve dashboards/monitor.py`` or ``autotrader-lab dashboard`` serve it."""

from autotrader_lab.dashboard.page import MonitorPage
from autotrader_lab.jupyter.remote import in_words, kill, status

MonitorPage(
    ask_host=status,
    kill=lambda folder, flatten: in_words(kill(folder, reason="kill button of the dashboard", flatten=flatten)),
).servable().servable(title="AutoTrader Lab")
