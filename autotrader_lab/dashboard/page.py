# mypy: allow-untyped-calls
"""The monitoring page itself, in Panel: one session at a time, four looks a second, one callback.

Two traps shape it. A Tabulator that is streamed to with remote pagination silently shows old rows, so the blotter gets
its whole window anew as ``value``, and only when the journal grew. And each part lives in a shadow root, so each is
given the stylesheet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.models import ColumnDataSource, DatetimeTickFormatter, HoverTool, NumeralTickFormatter
from bokeh.models.widgets.tables import HTMLTemplateFormatter, NumberFormatter
from bokeh.plotting import figure

from autotrader_lab.dashboard import fragments
from autotrader_lab.dashboard.attention import AttentionCard, Settle, settle_through_host
from autotrader_lab.dashboard.reader import BLOTTER_COLUMNS, Reading, SessionReader, empty_blotter
from autotrader_lab.host.runs import RunFolder, SessionRow, list_sessions
from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.model.errors import AutoTraderError, JournalError

__all__ = ["MonitorPage"]

LOOK_MS = 400
CLOCK = "%H:%M:%S"
SESSIONS_EVERY = 5
"""The list of sessions is read at every so many looks."""
EQUITY_POINTS = 5000
EQUITY_COLUMNS = ("time", "equity", "drawdown", "start")
STAGES = ("replay", "paper", "testnet", "live")
_CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_PAGE_CSS = """
body { background: #f4f6f8; }
.monitor { margin: 0 auto; max-width: 1360px; padding: 14px 18px; }
"""
_TABLE_CSS = """
:host .tabulator { border: 0; font: 12.5px/1.4 system-ui, -apple-system, "Segoe UI", sans-serif; }
:host .tabulator-row { min-height: 26px; }
:host .tabulator-row .tabulator-cell { padding: 4px 8px; font-variant-numeric: tabular-nums; }
:host .tabulator-header .tabulator-col-title { color: #5f6873; font-size: 11.5px; font-weight: 500; }
:host .buy, :host .filled { color: #12855a; }
:host .sell, :host .rejected, :host .denied { color: #c8322b; }
:host .unknown { color: #b26a00; font-weight: 600; }
:host .submitted, :host .partial, :host .pending { color: #2f6fde; }
"""
_TITLES = {
    "time": "Time, UTC",
    "average": "Average",
    "client_order_id": "Our id",
    **{
        name: name.capitalize()
        for name in ("symbol", "side", "type", "quantity", "filled", "price", "status", "reason")
    },
}
_FULL_HEIGHT = {"align-self": "stretch"}
_RIGHT = ("quantity", "filled", "price", "average")
_WIDTHS = {
    "time": 125, "symbol": 105, "side": 60, "type": 85, "quantity": 95, "filled": 95, "price": 105, "average": 105,
    "status": 105, "reason": 270,
}  # fmt: skip


class MonitorPage:
    """One page, for one browser.

    Parameters
    ----------
    ask_host : callable
        Gives the snapshot of a run folder's host, or raises one of our errors where it is silent.
    kill : callable
        Pulls the kill switch of a run folder, flattening or not; tells how grave the outcome is (``halted`` or
        ``critical``) and what it was, in words.
    settle : callable, optional
        Carries out one of a person's four buttons on an order that needs one.
    clock : Clock, optional
    """

    def __init__(
        self,
        *,
        ask_host: Callable[[RunFolder], Mapping[str, Any]],
        kill: Callable[[RunFolder, bool], tuple[str, str]],
        settle: Settle = settle_through_host,
        clock: Clock | None = None,
    ) -> None:
        pn.extension("tabulator", notifications=False)
        self._ask_host = ask_host
        self._kill = kill
        self._attention = AttentionCard(settle, clock or SystemClock(), _CSS)
        self._reader: SessionReader | None = None
        self._looks = 0
        self._outcome = ("", "")
        self._drawn: dict[str, str] = {}
        self._build()

    # --- parts ------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.session = pn.widgets.Select(name="Session", options=[], width=230)
        self._masthead = self._html("Looking for sessions…")
        self._notice = self._html("", visible=False)
        self._ladder = self._html("")
        self._worth = self._html("")
        self._facts = self._html("")
        self._positions = self._html("")
        self._alerts = self._html("")
        self._evidence = self._html("")
        self._coverage = self._html("")
        self.rung = pn.widgets.RadioButtonGroup(
            options={stage.capitalize(): stage for stage in STAGES},
            value="testnet",
            button_type="default",
            align="center",
        )
        self.blotter = pn.widgets.Tabulator(
            empty_blotter(),
            disabled=True,
            selectable=False,
            show_index=False,
            height=360,
            pagination=None,
            sortable=False,
            sizing_mode="stretch_width",
            layout="fit_data_stretch",
            theme="simple",
            titles=_TITLES,
            widths=_WIDTHS,
            text_align=dict.fromkeys(_RIGHT, "right"),
            header_align=dict.fromkeys(_RIGHT, "right"),
            formatters={name: _figures(name) if name in _RIGHT else _worded(name) for name in BLOTTER_COLUMNS},
            stylesheets=[_TABLE_CSS],
        )
        self.source = ColumnDataSource(data={name: [] for name in EQUITY_COLUMNS})
        self._build_kill()

    def _build_kill(self) -> None:
        self.kill_button = pn.widgets.Button(name="KILL", button_type="danger", width=90)
        self.confirm_button = pn.widgets.Button(name="Confirm KILL", button_type="danger", width=130)
        self.flatten_button = pn.widgets.Button(name="KILL + flatten", button_type="danger", width=130)
        self.back_button = pn.widgets.Button(name="Keep trading", width=110)
        self._confirming = pn.Row(self.confirm_button, self.flatten_button, self.back_button, visible=False)
        self.kill_button.on_click(lambda _: self._arm(armed=True))
        self.back_button.on_click(lambda _: self._arm(armed=False))
        self.confirm_button.on_click(self._kill_only)
        self.flatten_button.on_click(self._kill_and_flatten)

    def view(self) -> Any:
        """The page as a Panel object."""
        header = pn.Row(
            self._masthead,
            self.session,
            pn.Row(self.kill_button, self._confirming, align="end"),
            sizing_mode="stretch_width",
        )
        equity = pn.Column(
            self._worth, pn.pane.Bokeh(self._figure(), sizing_mode="stretch_width"), sizing_mode="stretch_width"
        )
        return pn.Column(
            header,
            self._notice,
            self._attention.view,
            self._ladder,
            pn.Row(
                self._card("Equity", equity),
                self._card("Counters", self._facts, width=400),
                sizing_mode="stretch_width",
            ),
            pn.Row(
                self._card("Positions", self._positions),
                self._card("Alerts", self._alerts, width=560),
                sizing_mode="stretch_width",
            ),
            self._card("Orders, newest first", self.blotter),
            self._card("What it takes to enter", self.rung, self._evidence),
            self._coverage,
            css_classes=["monitor"],
            stylesheets=[_CSS],
            sizing_mode="stretch_width",
        )

    def servable(self) -> Any:
        """The page, wired to the browser that asked for it: name of the session in the address, looks on a timer."""
        pn.config.raw_css.append(_PAGE_CSS)
        if pn.state.location is not None:
            pn.state.location.sync(self.session, {"value": "session"})
        pn.state.on_session_destroyed(lambda _: self.close())
        self._first_look()
        callback: Any = self.refresh
        pn.state.add_periodic_callback(callback, period=LOOK_MS)
        return self.view()

    def close(self) -> None:
        """Give the journal back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _html(self, text: str, **options: Any) -> Any:
        return pn.pane.HTML(text, stylesheets=[_CSS], sizing_mode="stretch_width", margin=(0, 5), **options)

    def _card(self, title: str, *parts: Any, width: int | None = None) -> Any:
        heading = pn.pane.HTML(f"<h2>{title}</h2>", stylesheets=[_CSS], margin=(0, 5), sizing_mode="stretch_width")
        sizing = {"width": width} if width else {"sizing_mode": "stretch_width"}
        return pn.Column(
            heading, *parts, css_classes=["card"], stylesheets=[_CSS], margin=5, styles=_FULL_HEIGHT, **sizing
        )

    def _figure(self) -> Any:
        plot = figure(
            height=230, sizing_mode="stretch_width", x_axis_type="datetime", toolbar_location=None, tools="",
            output_backend="svg", outline_line_color=None, min_border_left=10,
        )  # fmt: skip
        plot.line("time", "equity", source=self.source, line_width=1.8, color="#2f6fde")
        plot.varea("time", y1="equity", y2="start", source=self.source, fill_color="#2f6fde", fill_alpha=0.07)
        tooltips = [("", "@time{%F %T} UTC"), ("equity", "@equity{0,0.00}"), ("drawdown", "@drawdown{0.00%}")]
        plot.add_tools(HoverTool(tooltips=tooltips, formatters={"@time": "datetime"}, mode="vline"))
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
        plot.xaxis.formatter = DatetimeTickFormatter(
            seconds=CLOCK, minsec=CLOCK, minutes=CLOCK, hourmin=CLOCK, hours="%m-%d %H:%M", days="%m-%d"
        )
        for axis in (plot.xaxis, plot.yaxis):
            axis.axis_line_color = None
            axis.major_tick_line_color = None
            axis.minor_tick_line_color = None
            axis.major_label_text_color = "#5f6873"
            axis.major_label_text_font = "system-ui"
        plot.xgrid.grid_line_color = None
        plot.ygrid.grid_line_color = "#eceff3"
        return plot

    # --- looking ----------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Look once, away from the event loop, and redraw what changed."""
        self._looks += 1
        rows, reading = None, None
        try:
            if self._looks % SESSIONS_EVERY == 0:
                rows = await asyncio.to_thread(list_sessions)
            if self.session.value:
                reading = await asyncio.to_thread(self._look, self.session.value)
        except JournalError as error:
            self._say("warning", f"Nothing is journaled in this session yet, or it cannot be read: {error}")
        except AutoTraderError as error:
            self._say("critical", str(error))
        if rows is not None:
            self._list_sessions(rows)
        if reading is not None and reading.session == self.session.value:
            self._draw(reading)

    def _first_look(self) -> None:
        try:
            self._list_sessions(list_sessions())
            if self.session.value:
                self._draw(self._look(self.session.value))
        except AutoTraderError as error:
            self._say("warning", str(error))

    def _look(self, session: str) -> Reading:
        if self._reader is None or self._reader.session != session:
            self.close()
            self._outcome = ("", "")
            self._reader = SessionReader(RunFolder.named(session), self._ask_host)
        return self._reader.look()

    def _list_sessions(self, rows: Sequence[SessionRow]) -> None:
        names = [row.session for row in rows]
        if names != list(self.session.options):
            chosen = self.session.value
            self.session.options = names
            self.session.value = chosen if chosen in names else (names[0] if names else None)
        if not names:
            self._put("masthead", self._masthead, "No session in this home yet: start one with Lab in a notebook.")

    def _draw(self, reading: Reading) -> None:
        snapshot = reading.snapshot
        stage = reading.stage
        if reading.anew:
            self.source.data = {name: [] for name in EQUITY_COLUMNS}
            self.rung.value = STAGES[min(STAGES.index(stage) + 1, 3)] if stage in STAGES else "paper"
        rungs = snapshot.get("ladder") or []
        rehearsal = snapshot.get("profile") == "rehearsal"
        chosen = next((rung for rung in rungs if rung["stage"] == self.rung.value), None)
        self._put("masthead", self._masthead, fragments.masthead(snapshot))
        self._put("ladder", self._ladder, fragments.ladder(rungs, stage=stage, rehearsal=rehearsal))
        self._put("evidence", self._evidence, fragments.evidence(chosen))
        self._put("worth", self._worth, fragments.worth(snapshot.get("equity")))
        self._put("facts", self._facts, fragments.facts(snapshot))
        self._put("positions", self._positions, fragments.positions(snapshot.get("positions") or []))
        self._put("alerts", self._alerts, fragments.alerts(snapshot.get("alerts") or []))
        self._put("coverage", self._coverage, fragments.coverage(snapshot.get("coverage")))
        self._attention.update(reading.session, snapshot.get("attention") or [], answering=reading.answering)
        if reading.equity:
            start = float((snapshot.get("equity") or {}).get("start") or reading.equity[0][1])
            rows = [(*point, start) for point in reading.equity[-EQUITY_POINTS:]]
            fresh: dict[str, Any] = dict(zip(EQUITY_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
            self.source.stream(fresh, rollover=EQUITY_POINTS)
        if reading.orders is not None:
            self.blotter.value = reading.orders
        self._say(*self._message(reading))

    def _message(self, reading: Reading) -> tuple[str, str]:
        snapshot = reading.snapshot
        if self._outcome[1]:
            return self._outcome
        if snapshot.get("failure"):
            return "critical", str(snapshot["failure"])
        if snapshot.get("trading_state") == "HALTED":
            why = f" ({snapshot['halted']})" if snapshot.get("halted") else ""
            return "halted", f"Trading is halted{why}. Nothing is sent until a person re-arms it: await lab.rearm()"
        return ("", "") if reading.answering else ("info", reading.silence)

    def _put(self, key: str, pane: Any, text: str) -> None:
        if self._drawn.get(key) != text:
            self._drawn[key] = text
            pane.object = text

    def _say(self, level: str, text: str) -> None:
        self._put("notice", self._notice, fragments.notice(level, text))
        self._notice.visible = bool(text)

    # --- killing ----------------------------------------------------------------------------------------------

    def _arm(self, *, armed: bool) -> None:
        self.kill_button.visible = not armed
        self._confirming.visible = armed

    async def _kill_only(self, _: Any) -> None:
        await self._pull(flatten=False)

    async def _kill_and_flatten(self, _: Any) -> None:
        await self._pull(flatten=True)

    async def _pull(self, *, flatten: bool) -> None:
        self._arm(armed=False)
        name = self.session.value
        if not name:
            return
        try:
            self._outcome = await asyncio.to_thread(self._kill, RunFolder.named(name), flatten)
        except AutoTraderError as error:
            self._outcome = ("critical", f"The kill failed: {error} In a terminal: autotrader-lab kill {name}")
        self._say(*self._outcome)


def _figures(name: str) -> Any:
    units = "0,0.[00000000]" if name in ("quantity", "filled") else "0,0.00[000000]"
    return NumberFormatter(format=units, nan_format="–")


def _worded(name: str) -> Any:
    """A cell that shows its value as text (escaped), with the value as a class where a colour means something."""
    shade = "<%= String(value).split(' ')[0].replace(/[^a-z]/g, '') %>" if name in ("side", "status") else ""
    return HTMLTemplateFormatter(template=f'<span class="{shade}"><%- value %></span>')
