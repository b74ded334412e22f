# mypy: allow-untyped-calls
"""Orders that need a person, on the monitoring page: one row an order, four buttons, the answer in words.

A row is kept while looks come and go: a half-typed id or a button about to be confirmed must not be lost under the
reader's hands. The host's token stays in this process; the browser only ever says which button was pressed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import panel as pn

from autotrader_lab.dashboard import fragments
from autotrader_lab.host.runs import RunFolder
from autotrader_lab.lab.client import HostClient
from autotrader_lab.model.clock import NS, Clock
from autotrader_lab.model.errors import AutoTraderError, HostError

__all__ = ["AttentionCard", "Settle", "settle_through_host"]

Settle = Callable[[RunFolder, Mapping[str, str]], Awaitable[Mapping[str, Any]]]
"""Has the host of a folder carry out ``{action, order, …}``; gives the order, or raises one of our errors."""

CONFIRM_S = 6.0
SETTLED_SHOWN_S = 20.0
_MARGIN = (0, 3)


async def settle_through_host(folder: RunFolder, asked: Mapping[str, str]) -> Mapping[str, Any]:
    """Send one of the four buttons to the session's host; takes no lease.

    Raises
    ------
    HostError
        If no host runs or it does not answer.
    AutoTraderError
        What the host, or the venue, refused it with.
    """
    info = folder.host_if_alive()
    if info is None:
        raise HostError(f"no host of session {folder.session!r} runs; one that continues: await lab.recover()")
    client = HostClient(folder, info)
    try:
        return await client.command("settle", **asked)
    finally:
        await client.close()


class AttentionCard:
    """The card; hidden while nothing needs a person.

    Parameters
    ----------
    settle : callable
    clock : Clock
    stylesheet : str
        The page's, for each part lives in a shadow root.
    """

    def __init__(self, settle: Settle, clock: Clock, stylesheet: str) -> None:
        self._settle = settle
        self._clock = clock
        self._css = [stylesheet]
        self._rows: dict[str, _Row] = {}
        self._session = ""
        self._heading = self.html("")
        self._body = pn.Column(sizing_mode="stretch_width")
        self.view = pn.Column(
            self._heading,
            self._body,
            css_classes=["card", "attention"],
            stylesheets=self._css,
            margin=5,
            sizing_mode="stretch_width",
            visible=False,
        )

    def html(self, text: str, **options: Any) -> Any:
        """A piece of the card that is words."""
        return pn.pane.HTML(
            text, stylesheets=self._css, **{"sizing_mode": "stretch_width", "margin": (0, 5), **options}
        )

    def update(self, session: str, waiting: Sequence[Mapping[str, Any]], *, answering: bool) -> None:
        """Show `waiting`, the snapshot's ``attention``; without a host that answers nothing can be decided."""
        if session != self._session:
            self._session, self._rows = session, {}
        now_s = self.now_s()
        names = {str(order["client_order_id"]) for order in waiting}
        for order in waiting:
            name = str(order["client_order_id"])
            row = self._rows.get(name)
            if row is None:
                row = self._rows[name] = _Row(self, session, name)
            row.show(order, answering=answering)
        for name in [name for name in self._rows if name not in names]:
            if self._rows[name].is_over(now_s):
                del self._rows[name]
        views = [row.view for row in self._rows.values()]
        if views != list(self._body):
            self._body.objects = views
        title = fragments.attention_title(len(waiting), answering=answering)
        if self._heading.object != title:
            self._heading.object = title
        self.view.visible = bool(views)

    def now_s(self) -> float:
        """The time, seconds since the epoch."""
        return self._clock.now_ns() / NS

    async def send(self, session: str, asked: Mapping[str, str]) -> Mapping[str, Any]:
        """Have the host do it."""
        return await self._settle(RunFolder.named(session), asked)


class _Row:
    """One order, from the first look that shows it until its answer has been read."""

    def __init__(self, card: AttentionCard, session: str, order: str) -> None:
        self._card = card
        self._session = session
        self._order = order
        self._armed: tuple[str, float] | None = None
        self._gone_s: float | None = None
        self._busy = False
        self._words = card.html("")
        self._answer = card.html("", visible=False)
        self._buttons = {
            name: pn.widgets.Button(
                name=name.capitalize(), width=max(len(name) * 9 + 26, 76), height=28, margin=_MARGIN
            )
            for name in ("query", "adopt", "resubmit", "discard")
        }
        self._buttons["query"].on_click(self._query)
        self._buttons["adopt"].on_click(self._open_adopting)
        self._buttons["resubmit"].on_click(self._resubmit)
        self._buttons["discard"].on_click(self._discard)
        self._bar = pn.Row(*self._buttons.values(), margin=0)
        self._their_id = pn.widgets.TextInput(placeholder="the order's id at the venue", width=230, height=28)
        self._adopt_now = pn.widgets.Button(name="Adopt it", width=84, height=28, margin=_MARGIN)
        self._adopt_now.on_click(self._adopt)
        self._adopting = pn.Row(self._their_id, self._adopt_now, visible=False)
        self.view = pn.Column(
            pn.Row(self._words, self._bar, sizing_mode="stretch_width"),
            self._adopting,
            self._answer,
            css_classes=["attention-row"],
            styles={"border-top": "1px solid #eceff3", "padding": "5px 0"},
            sizing_mode="stretch_width",
        )

    def show(self, order: Mapping[str, Any], *, answering: bool) -> None:
        """Draw the order as it stands."""
        now_s = self._card.now_s()
        self._gone_s = None
        self._bar.visible = True
        if self._armed is not None and now_s - self._armed[1] > CONFIRM_S:
            self._disarm()
        text = fragments.attention_row(order, now_ms=now_s * 1000)
        if self._words.object != text:
            self._words.object = text
        self._enable(enabled=answering and not self._busy)

    def is_over(self, now_s: float) -> bool:
        """Whether the row can leave, now that the order needs nobody: an answer is read to its end first."""
        if self._gone_s is None:
            self._gone_s = now_s
        self._bar.visible = False
        self._adopting.visible = False
        return not self._busy and (not self._answer.visible or now_s - self._gone_s > SETTLED_SHOWN_S)

    # --- the four buttons -------------------------------------------------------------------------------------

    async def _query(self, _: Any) -> None:
        await self._press("query")

    def _open_adopting(self, _: Any) -> None:
        self._disarm()
        self._adopting.visible = not self._adopting.visible

    async def _adopt(self, _: Any) -> None:
        theirs = (self._their_id.value_input or "").strip()
        if theirs:
            await self._press("adopt", venue_order_id=theirs)
        else:
            self._say("Adopt needs the order's id at the venue: look at the venue's own screen.", good=False)

    async def _resubmit(self, _: Any) -> None:
        if self._confirmed("resubmit"):
            await self._press("resubmit")

    async def _discard(self, _: Any) -> None:
        if self._confirmed("discard"):
            await self._press("discard")

    def _confirmed(self, action: str) -> bool:
        """Whether this was the second click; the first only arms the button."""
        if self._armed is not None and self._armed[0] == action:
            return True
        self._disarm()
        self._armed = (action, self._card.now_s())
        self._buttons[action].param.update(name=f"Confirm {action}", button_type="danger", width=140)
        return False

    def _disarm(self) -> None:
        if self._armed is not None:
            action, self._armed = self._armed[0], None
            width = max(len(action) * 9 + 26, 76)
            self._buttons[action].param.update(name=action.capitalize(), button_type="default", width=width)

    async def _press(self, action: str, **more: str) -> None:
        self._disarm()
        self._busy = True
        self._enable(enabled=False)
        self._say("Asking the venue…", good=None)
        try:
            order = await self._card.send(self._session, {"action": action, "order": self._order, **more})
        except AutoTraderError as error:
            self._say(f"Refused: {error}", good=False)
        else:
            good, words = fragments.settled(action, order)
            self._say(words, good=good)
            self._adopting.visible = self._adopting.visible and not good
        finally:
            self._busy = False

    def _say(self, words: str, *, good: bool | None) -> None:
        self._answer.object = fragments.answer(words, good=good)
        self._answer.visible = True

    def _enable(self, *, enabled: bool) -> None:
        for button in (*self._buttons.values(), self._adopt_now):
            if button.disabled is enabled:
                button.disabled = not enabled
