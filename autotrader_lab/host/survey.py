"""What a session whose host died would be taken up with: its journal against its venue, asked and not touched.

The same comparison that recovery makes before it trades, made without a host, without a strategy and without sending
anything, so that a person can read what will happen before it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.book import OrderBook
from autotrader_lab.execution.oms.evidence import belongs, catch_up
from autotrader_lab.execution.reconcile import foreign_orders, position_drift
from autotrader_lab.execution.recovery import Past, read_past
from autotrader_lab.host import gates
from autotrader_lab.host.lease import POLICIES
from autotrader_lab.host.runs import RunFolder
from autotrader_lab.host.stages import Settings, build_stage
from autotrader_lab.journal import Journal
from autotrader_lab.model.clock import Clock, to_ns
from autotrader_lab.model.errors import HostError, OrderNotFound, VenueError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Fill, Order, OrderStatus

__all__ = ["Finding", "Survey", "survey"]

_FILLS_MARGIN_NS = 60_000_000_000  # a venue's clock may be behind ours


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes
    ----------
    what : str
        order, fill, foreign order, position, dead letter, halt or breach.
    subject : str
        Client order id, execution id or symbol.
    journal, venue : str
        What each says.
    plan : str
        What recovery will do about it.
    trouble : bool
        Whether a person should look at it.
    """

    what: str
    subject: str
    journal: str
    venue: str
    plan: str
    trouble: bool = False


@dataclass(slots=True)
class Survey:
    """What was found, and what recovery will do.

    Attributes
    ----------
    session, stage, venue : str
    asked : bool
        Whether there was a venue to ask and it answered; else only the journal speaks.
    silence : str
        Why it did not answer.
    findings : list of Finding
    steps : list of str
        What recovery does, in order.
    """

    session: str
    stage: str
    venue: str = ""
    asked: bool = False
    silence: str = ""
    findings: list[Finding] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    @property
    def trouble(self) -> list[Finding]:
        """What a person should look at."""
        return [finding for finding in self.findings if finding.trouble]


async def survey(folder: RunFolder, environment: Mapping[str, str], clock: Clock) -> Survey:
    """Compare the journal of a cut-off session with its venue; nothing is sent and nothing is written.

    Parameters
    ----------
    folder : RunFolder
    environment : mapping
        Where the venue's keys, or the sandbox's addresses, come from.
    clock : Clock

    Raises
    ------
    HostError
        If its host runs, or nothing was cut off.
    ConfigError
        If keys or addresses are missing.
    """
    running = folder.host_if_alive()
    if running is not None:
        raise HostError(f"the host of session {folder.session!r} runs (pid {running.pid}): there is nothing to recover")
    info = folder.read_session()
    if not folder.journal_file.exists():
        raise HostError(f"session {folder.session!r} never started a stage: there is nothing to recover")
    with Journal.open(folder.journal_file, read_only=True) as journal:
        state = gates.last_state(journal)
        past = read_past(gates.stage_entries(journal, state.stage)) if state.stage else None
    if not state.running or past is None:
        how = f"{state.stage} was left in order" if state.stage else "it never started a stage"
        raise HostError(f"session {folder.session!r} was not cut off ({how}): there is nothing to recover")
    found = Survey(folder.session, state.stage)
    if state.stage in ("testnet", "live"):
        parts = build_stage(Settings.from_environment(info, environment), folder, state.stage, {}, clock)
        found.venue = f"{parts.adapter.venue} {state.stage}"
        try:
            await parts.adapter.connect()
            await parts.adapter.load_instruments(info.symbols)
            await _compare(found, past, parts.adapter, clock)
            found.asked = True
        except VenueError as error:
            found.silence = f"{type(error).__name__}: {error}"
            found.findings.clear()
        finally:
            with contextlib.suppress(VenueError):
                await parts.adapter.disconnect()
    if not found.asked:
        _from_journal_alone(found, past)
    _letters(found, past)
    killed = folder.kill_file.exists()
    halt = state.halted or ("the KILL file was touched" if killed else "")
    if halt:
        found.findings.append(Finding("halt", "-", halt, "-", "everything is cancelled, halted until re-armed", True))
    if state.breach:
        found.findings.append(Finding("breach", "-", state.breach, "-", "exits only until re-armed", True))
    found.steps = _steps(found, state, bool(halt))
    return found


async def _compare(found: Survey, past: Past, adapter: BaseBrokerAdapter, clock: Clock) -> None:
    book = OrderBook(adapter.instruments, past.starting_equity or 0.0)
    orders = [order.copy() for order in past.books.orders.values()]
    book.restore(orders, past.books.fills)
    for order in orders:
        adapter.adopt(order)
    fills = await _fills(book, adapter)
    for order in list(book.open.values()):
        await _order(found, order, book, adapter, fills.get(order.symbol, []), clock.now_ns())
    for symbol, executed in fills.items():
        for fill in executed:
            ours = next((order for order in orders if order.symbol == symbol and belongs(fill, order)), None)
            if ours is not None and fill.execution_id not in ours.execution_ids and not ours.is_open:
                found.findings.append(_missed(fill, ours))
    for difference in foreign_orders(book, await adapter.get_open_orders()):
        plan = "our books and the venue's do not agree: entries wait" if difference.blocking else "shown, left alone"
        found.findings.append(
            Finding(
                difference.kind.replace("_", " "),
                difference.subject,
                difference.ours,
                difference.theirs,
                plan,
                difference.blocking,
            )
        )
    await _positions(found, book, adapter, past.baseline or {})


async def _fills(book: OrderBook, adapter: BaseBrokerAdapter) -> dict[str, list[Fill]]:
    """The venue's executions, by symbol, since our oldest open order or our newest execution."""
    if not adapter.capabilities.fills_since:
        return {}
    found: dict[str, list[Fill]] = {}
    for symbol in sorted({order.symbol for order in book.orders.values()}):
        known = [to_ns(fill.timestamp) for fill in book.fills if fill.symbol == symbol]
        opened = [to_ns(o.created_at) for o in book.open.values() if o.symbol == symbol and o.created_at is not None]
        since_ns = min([max(known, default=0), *opened] if known else opened or [0])
        found[symbol] = await adapter.get_fills(symbol, max(since_ns - _FILLS_MARGIN_NS, 0))
    return found


async def _order(
    found: Survey, order: Order, book: OrderBook, adapter: BaseBrokerAdapter, fills: list[Fill], now_ns: int
) -> None:
    """One order that the journal has as open: what the venue says of it, and our book brought there."""
    told = f"{_words(order)}, {order.status.value}, {order.filled_quantity:g} filled"
    name = order.client_order_id
    try:
        theirs = (
            await adapter.find_order(name, order.symbol)
            if adapter.capabilities.client_order_ids
            else await adapter.get_order_status(order.order_id)
        )
    except OrderNotFound:
        theirs = None
    if theirs is None:
        plan = "asked about again; then sent again if it is still fresh, else kept as a dead letter"
        found.findings.append(Finding("order", name, told, "has none", plan, trouble=True))
        return
    reports, _ = catch_up(order, theirs, fills, now_ns)
    missed = [fill for fill in fills if belongs(fill, theirs) and fill.execution_id not in order.execution_ids]
    for report in reports:
        book.apply(report)
    plan = "adopted: goes on working" if order.is_open else f"booked as {order.status.value}"
    venue = f"{theirs.status.value}, {theirs.filled_quantity:g} filled"
    found.findings.append(Finding("order", name, told, venue, plan))
    found.findings += [_missed(fill, order) for fill in missed]


def _missed(fill: Fill, order: Order) -> Finding:
    what = f"{fill.side.value} {fill.quantity:g} {order.symbol} @ {fill.price:g}"
    return Finding("fill", fill.execution_id, "missed", what, f"booked to {order.client_order_id}")


async def _positions(
    found: Survey, book: OrderBook, adapter: BaseBrokerAdapter, baseline: Mapping[str, Decimal]
) -> None:
    held = await adapter.get_positions()
    drifts = {difference.subject: difference for difference in position_drift(book, held, baseline)}
    for symbol in sorted({*book.positions, *baseline}):
        theirs = exact(held.get(symbol, 0.0)) - baseline.get(symbol, Decimal(0))
        drift = symbol in drifts
        plan = "DRIFT: nothing explains it, entries wait for a person" if drift else "agrees once all is booked"
        found.findings.append(
            Finding("position", symbol, f"{book.position(symbol):f}", f"{theirs:f} of ours", plan, drift)
        )


def _from_journal_alone(found: Survey, past: Past) -> None:
    simulated = found.stage == "paper"
    for order in past.books.open_orders:
        told = f"{_words(order)}, {order.status.value}, {order.filled_quantity:g} filled"
        doubt = order.status in (OrderStatus.PENDING, OrderStatus.UNKNOWN)
        plan = "goes on working" if simulated else "asked about at the venue"
        found.findings.append(Finding("order", order.client_order_id, told, "-", plan, doubt and not simulated))
    for symbol, position in past.books.positions.items():
        plan = "goes on" if simulated else "compared with the venue's"
        found.findings.append(Finding("position", symbol, f"{position.quantity:f}", "-", plan))


def _letters(found: Survey, past: Past) -> None:
    for name, letter in past.books.dead_letters.items():
        if letter.state == "dead":
            words = _words(past.books.orders[name]) if name in past.books.orders else "an order"
            plan = f"waits for a person: autotrader-lab settle {found.session} {name} …"
            found.findings.append(Finding("dead letter", name, f"{words}: {letter.reason}", "-", plan, True))


def _words(order: Order) -> str:
    price = order.price if order.price is not None else order.stop_price
    return f"{order.side.value} {order.quantity:g} {order.symbol}{f' @ {price:g}' if price is not None else ''}"


def _steps(found: Survey, state: gates.Past, halted: bool) -> list[str]:
    if found.stage == "replay":
        return ["start a host", "end the replay: run it again with lab.start('replay', data=...)"]
    steps = ["start a host on this session, and fold its journal into the books"]
    if found.venue:
        steps.append(f"ask {found.venue} about each open order and every execution since, and book what was missed")
        steps.append("compare positions; while they do not agree, no entry goes out")
    else:
        steps.append("put working orders and positions back into the simulated market")
    if halted:
        steps.append("pull the kill switch again: cancel everything, verify, stay halted until await lab.rearm()")
        return steps
    steps.append(f"run the strategy again in {found.stage}, told of every execution so far")
    if found.stage == "live":
        steps.append("let exits through and nothing else until it is armed anew: await lab.arm()")
    elif state.breach:
        steps.append("let exits through and nothing else until it is re-armed: await lab.rearm()")
    elif POLICIES[found.stage] == "cancel" and not state.detached:
        steps.append("let exits through and nothing else until a notebook attaches, or --detach says none is needed")
    return steps
