"""Paper or live: what the port says, what was said, and what the account that answers says."""

from __future__ import annotations

from autotrader_lab.execution.adapters.ibkr.decode import VENUE
from autotrader_lab.model.errors import AuthenticationFailed, ConfigError

__all__ = ["ENVIRONMENTS", "LIVE_PORTS", "PAPER_PORTS", "choose_account", "environment_of"]

ENVIRONMENTS = ("paper", "live")
PAPER_PORTS = (7497, 4002)
LIVE_PORTS = (7496, 4001)


def environment_of(port: int, environment: str | None = None) -> str:
    """Paper or live: what was said, else what the port says; any other port is paper until somebody says live.

    Raises
    ------
    ConfigError
        If the two contradict each other.
    """
    if environment and environment not in ENVIRONMENTS:
        raise ConfigError(f"{VENUE}: environment {environment!r} is none of {', '.join(ENVIRONMENTS)}")
    by_port = "live" if port in LIVE_PORTS else "paper" if port in PAPER_PORTS else ""
    if by_port and environment and by_port != environment:
        raise ConfigError(
            f"{VENUE}: environment is {environment!r} and port {port} is the {by_port} one; TWS listens on 7497 for "
            "paper and 7496 for live, Gateway on 4002 and 4001"
        )
    return environment or by_port or "paper"


def choose_account(accounts: tuple[str, ...], wanted: str, environment: str) -> str:
    """The account that orders are for, of those that answered.

    Raises
    ------
    AuthenticationFailed
        If it is not there, not clear, or the other environment's.
    """
    name = wanted or (accounts[0] if len(accounts) == 1 else "")
    if not name:
        raise AuthenticationFailed(
            f"{VENUE} {environment}: the login has {len(accounts)} accounts ({', '.join(accounts)}); say "
            "which with account="
        )
    if name not in accounts:
        raise AuthenticationFailed(
            f"{VENUE} {environment}: the login has no account {name!r}; it has {', '.join(accounts) or 'none'}"
        )
    # Paper accounts begin with D: DU single ones, DF and DI those of an advisor.
    found = "paper" if name.upper().startswith("D") else "live"
    if found != environment:
        raise AuthenticationFailed(
            f"{VENUE}: environment is {environment!r} and the account {name!r} that answers is a {found} one"
            f"{', with real money' if found == 'live' else ''}; log TWS on to the other account, or set port and "
            f"environment to {found}"
        )
    return name
