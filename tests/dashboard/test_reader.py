"""What the page reads: windows on the newest, each mark once, the journal where no host answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from journaled import JournaledSession

from autotrader_lab.dashboard.reader import BLOTTER_COLUMNS, BLOTTER_ROWS, SessionReader
from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.jupyter.remote import status
from autotrader_lab.model.errors import JournalError


def test_each_look_brings_what_is_new_and_the_newest_order_on_top(home: Path) -> None:
    session = JournaledSession("alpha")
    session.start()
    session.trade(30)
    reader = SessionReader(session.folder, status)
    first = reader.look()
    assert (first.anew, first.answering, first.stage) == (True, False, "paper")
    assert len(first.equity) == 30
    assert first.orders is not None
    assert list(first.orders.columns) == list(BLOTTER_COLUMNS)
    assert list(first.orders["client_order_id"][:2]) == ["at-000030", "at-000029"]
    assert first.orders.loc[5, "status"] == "denied"
    assert first.snapshot["counters"]["fills"] == 29
    assert first.snapshot["rates"] == {"success": 1.0, "dead_letters": 0.0}

    quiet = reader.look()
    assert (quiet.anew, quiet.equity, quiet.orders) == (False, [], None)

    session.trade(2)
    grown = reader.look()
    assert len(grown.equity) == 2
    assert grown.orders is not None
    assert grown.orders.loc[0, "client_order_id"] == "at-000032"
    reader.close()


def test_the_blotter_is_a_window(home: Path) -> None:
    session = JournaledSession("alpha")
    session.start()
    session.trade(BLOTTER_ROWS + 40)
    orders = SessionReader(session.folder, status).look().orders
    assert orders is not None
    assert len(orders) == BLOTTER_ROWS
    assert orders.loc[0, "client_order_id"] == f"at-{BLOTTER_ROWS + 40:06d}"


def test_a_paper_stage_that_starts_again_is_drawn_anew(home: Path) -> None:
    session = JournaledSession("alpha")
    session.start()
    session.trade(20)
    reader = SessionReader(session.folder, status)
    reader.look()
    session.stop()
    session.start()
    session.trade(3)
    again = reader.look()
    assert again.anew
    assert len(again.equity) == 3
    assert again.orders is not None
    assert len(again.orders) == 3


def test_a_session_without_a_journal_says_so(home: Path) -> None:
    folder = RunFolder.named("early")
    folder.create(SessionInfo(session="early", created_ns=1, version="0.1"))
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        SessionReader(folder, status)


def test_an_order_refused_and_never_delivered_lowers_the_rates_and_needs_a_person(home: Path) -> None:
    session = JournaledSession("alpha")
    session.start()
    session.trade(8)
    session.lose()
    snapshot = SessionReader(session.folder, status).look().snapshot
    assert snapshot["rates"] == {"success": pytest.approx(8 / 9), "dead_letters": pytest.approx(1 / 9)}
    assert [(row["status"], row["attempts"]) for row in snapshot["attention"]] == [("dead_letter", 3)]
