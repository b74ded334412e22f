"""The engine host's surroundings: environment variables, the run folder, what a lost notebook means."""

from __future__ import annotations

from pathlib import Path

from autotrader_lab.host import runs, stages, watch
from autotrader_lab.host.lease import POLICIES
from lab_facts.markdown import code, table

__all__ = ["environment_table", "lease_table", "run_folder"]

_POLICY_WORDS = {
    "keep": "goes on as it is",
    "cancel": "cancels what works, and lets exits through only",
}
_FILES = {
    "session_file": "what the session is about; no secrets",
    "host_file": "where the host answers, and the token it asks for (mode 0600); gone when no host runs",
    "journal_file": "the durable record of everything decided, sent and reported",
    "strategy_file": "the strategy as it was sent from the notebook (cloudpickle)",
    "replay_file": "the history the last replay or paper stage was given",
    "result_folder": "the last replay's frames and figures",
    "kill_file": "not there; whoever creates it pulls the kill switch (the host looks 20 times a second)",
    "log_file": "the host's own log",
    "lock_file": "held by the one host that may work here",
    "metrics_target_file": "where Prometheus finds the host's figures",
    "metrics_token_file": "the token for those figures, which opens nothing else",
}


def environment_table() -> str:
    """Every environment variable the package reads."""
    rows = [
        (code(runs.HOME_VARIABLE), "where sessions are kept; `~/.autotrader-lab` without it. Private to its owner"),
        (code(stages.SANDBOX_VARIABLE), "the local sandbox to trade on: what `autotrader-lab sandbox --json` prints"),
        (
            code(stages.CONFIG_VARIABLE),
            "set by us for a host whose configuration was built in code; holds secrets, so never set it by hand",
        ),
        (
            code(watch.IDLE_EXIT_VARIABLE),
            f"seconds after which a host that nobody needs ends by itself; {watch.IDLE_EXIT_S:g} without it",
        ),
    ]
    return table(("variable", "meaning"), rows)


def run_folder() -> str:
    """What lies in a session's folder."""
    folder = runs.RunFolder(Path("session"))
    paths = {name: value for name, value in vars(folder).items() if isinstance(value, Path) and name != "path"}
    return table(("name", "what it is"), ((code(path.name), _FILES.get(name, "")) for name, path in paths.items()))


def lease_table() -> str:
    """What becomes of each stage when its notebook is lost."""
    rows = ((code(stage), _POLICY_WORDS[policy]) for stage, policy in POLICIES.items() if stage)
    return table(("stage", "when the notebook is lost, it"), rows)
