"""What TWS says, decoded: recorded messages, by the client library's decoder and then by ours."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from ibkr_kit import objects, recorded
from shared_data import SHARED, shared

from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.bars import decode_bar
from autotrader_lab.execution.adapters.ibkr.codes import Meaning, meaning
from autotrader_lab.execution.adapters.ibkr.contracts import choose, make_listing, read_symbol
from autotrader_lab.execution.adapters.ibkr.decode import Phase, Security
from autotrader_lab.execution.adapters.ibkr.depth import Ladder
from autotrader_lab.execution.adapters.ibkr.hours import read_hours
from autotrader_lab.execution.adapters.ibkr.library import load_library
from autotrader_lab.execution.adapters.ibkr.pace import Pace
from autotrader_lab.execution.adapters.ibkr.wire import Wire
from autotrader_lab.execution.adapters.ibkr.worlds import choose_account, environment_of
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import AuthenticationFailed, ConfigError, DataError, InstrumentError, RateLimited
from autotrader_lab.model.orders import OrderSide, OrderType

FRAMES = (
    "raw_account_and_position_constants",
    "raw_completed_orders",
    "raw_contract_details_es",
    "raw_error_200",
    "raw_hist_ticks_bidask",
    "raw_histogram",
    "raw_next_valid_id",
    "raw_place_market_order_filled",
    "raw_symbol_samples_tsla",
)
OTHERS = {
    "dec_account_value": "the ledger's values come over the account summary",
    "dec_account_values_fa": "the same",
    "dec_bars_25": "the library's own repr, no message",
    "dec_disconnect_log": "the library's own log, no message",
    "dec_hist_tick_bidask": "historical ticks are not asked for",
    "dec_hist_trade_ticks": "historical ticks are not asked for",
    "dec_mktdepth_exchanges": "depth exchanges are not asked for",
    "dec_ticker_eurusd": "the library's own ticker, put together from ticks",
    "dec_ticker_tick_by_tick": "the library's own ticker",
    "dec_trade_log_market_fill": "the library's own log of a trade",
    "dec_trade_pending_submit": "the library's own trade before anything was answered",
}
READ_HERE = {
    "dec_bars_7",
    "dec_contract_details_amd",
    "dec_trade_modified_limit",
    "doc_error_code_sets",
    "raw_recorded_interactions_2025",
}

Heard = list[tuple[str, tuple[Any, ...]]]


async def hear(frames: list[list[str]], version: int) -> Heard:
    """What the library's decoder makes of frames, as the adapter is told it."""
    heard: Heard = []
    wire = Wire(load_library(), lambda name, values: heard.append((name, values)))
    wire.client.decoder.serverVersion = version
    for fields in frames:
        wire.client.decoder.interpret(list(fields))
    wire.ended.cancel()
    return heard


def frames_of(name: str) -> list[list[str]]:
    """Recorded frames; what stands behind the last separator is no field."""
    frames = [entry["fields"] for entry in recorded(name)["frames"]]
    return [fields[:-1] if fields[-1] == "" else fields for fields in frames]


def details_of(name: str) -> Any:
    """Recorded contract details; the recording has only fields that differ from the library's defaults."""
    details = objects(recorded(name))
    kept = {key: value for key, value in vars(details.contract).items() if key not in ("_type", "comboLegs")}
    details.contract = load_library().contract(**kept)
    return details


async def test_a_recorded_market_order_is_understood_from_acceptance_to_commission() -> None:
    heard = await hear(frames_of("raw_place_market_order_filled"), 169)
    names = [name for name, _ in heard]
    assert names[0] == "openOrder"
    assert {"orderStatus", "execDetails", "commissionReport"} <= set(names)
    orders = [decode.decode_order(*values) for name, values in heard if name == "openOrder"]
    assert [terms.phase for terms in orders] == [Phase.WORKING, Phase.FILLED, Phase.FILLED]
    first = orders[0]
    assert (first.perm_id, first.client_id, first.order_id, first.account) == (1376327563, 100, 13, "DU1234567")
    assert (first.security.written, first.side, first.order_type) == ("TSLA", OrderSide.BUY, OrderType.MARKET)
    assert (first.quantity, first.limit, first.stop, first.reference) == (Decimal(100), 0, 0, "")
    (execution,) = [decode.decode_execution(*values[1:]) for name, values in heard if name == "execDetails"]
    assert (execution.quantity, execution.side, execution.perm_id) == (Decimal(100), OrderSide.BUY, 1376327563)
    assert execution.family == execution.execution_id.rpartition(".")[0] + ".buy"
    (commission,) = [decode.decode_commission(*values) for name, values in heard if name == "commissionReport"]
    assert (commission.execution_id, commission.amount, commission.currency) == (execution.execution_id, 1, "USD")
    assert commission.realised is None, "an unset number is no number"
    standings = [decode.decode_standing(*values) for name, values in heard if name == "orderStatus"]
    assert [standing.phase for standing in standings] == [Phase.WORKING, Phase.FILLED]
    assert standings[-1].filled == 100


async def test_a_recorded_completed_order_names_its_executed_size() -> None:
    (completed, end) = await hear(frames_of("raw_completed_orders"), 169)
    assert end[0] == "completedOrdersEnd"
    contract, order, state = completed[1]
    terms = decode.decode_order(0, contract, order, state)
    assert (terms.perm_id, terms.phase, terms.quantity, terms.filled) == (1824933227, Phase.FILLED, 0, 100)
    assert (terms.security.written, terms.reason) == ("AAPL", "Filled Size: 100")


async def test_recorded_contract_details_make_an_instrument() -> None:
    heard = await hear(frames_of("raw_contract_details_es"), 173)
    facts = decode.decode_details(heard[0][1][1])
    listing = make_listing("ES 202506", choose("ES 202506", [facts]), ((Decimal(0), Decimal("0.25")),))
    instrument = listing.instrument
    assert (instrument.tick_size, instrument.multiplier, instrument.quote) == (Decimal("0.25"), Decimal(50), "USD")
    assert (facts.security.written, facts.contract_month, facts.security.local_symbol) == (
        "ES 20250620",
        "202506",
        "ESM5",
    )
    assert listing.hours.is_open(datetime(2025, 5, 22, 3, tzinfo=UTC)) is True
    assert listing.hours.is_open(datetime(2025, 5, 24, 12, tzinfo=UTC)) is False
    with pytest.raises(InstrumentError, match=r"off the grid of 0\.25"):
        listing.check_price(5000.1)


def test_recorded_details_of_a_stock_tell_its_hours_in_utc() -> None:
    facts = decode.decode_details(details_of("dec_contract_details_amd"))
    assert (facts.security.written, facts.primary_exchange, facts.min_tick) == ("AMD", "NASDAQ", Decimal("0.01"))
    assert len(facts.rules) == len(facts.exchanges)
    hours = read_hours(facts.trading_hours, facts.time_zone)
    assert hours.spans[0] == (
        datetime(2019, 12, 31, 9, tzinfo=UTC),
        datetime(2020, 1, 1, 1, tzinfo=UTC),
    ), "04:00 to 20:00 in New York"
    assert hours.closed_days[0] == "20200101"
    assert hours.next_open(datetime(2020, 1, 1, 12, tzinfo=UTC)) == datetime(2020, 1, 2, 9, tzinfo=UTC)


async def test_recorded_account_rows_rules_and_positions_are_read() -> None:
    heard = await hear(frames_of("raw_account_and_position_constants"), 176)
    told = dict(heard)
    assert decode.decode_rule(told["marketRule"][1]) == ((Decimal(0), Decimal("0.01")),)
    account, contract, size, _ = told["position"]
    assert (account, decode.decode_security(contract).written, size) == ("DU1234567", "TSLA", 500.0)
    assert told["accountSummary"][1:4] == ("DU1234567", "AccountType", "FA")


async def test_recorded_positions_of_2025_are_named_by_their_contract() -> None:
    sessions = {each["name"]: each["responses"] for each in recorded("raw_recorded_interactions_2025")}
    heard = await hear([*sessions["positions"], *sessions["account_summary"], *sessions["server_time"]], 173)
    rows = [(decode.decode_security(v[1]).written, v[2]) for name, v in heard if name == "position"]
    assert rows == [("AAPL", -110.0), ("ES 20250919", 1.0)]
    values = {v[2]: v[3] for name, v in heard if name == "accountSummary"}
    assert values["NetLiquidation"] == "246447.83"
    assert ("currentTime", (1752606307,)) in heard


def test_a_recorded_modified_order_with_odd_fields_is_read() -> None:
    trade = objects(recorded("dec_trade_modified_limit"))
    kept = {key: value for key, value in vars(trade.contract).items() if not key.startswith("_")}
    trade.contract = load_library().contract(symbol="EUR", secType="CASH", currency="USD", **kept)
    vars(trade.order).update({"orderRef": "", "orderType": "LMT"})
    state = SimpleNamespace(status=trade.orderStatus.status, warningText="")
    terms = decode.decode_order(23, trade.contract, trade.order, state)
    assert (terms.security.written, terms.limit, terms.stop, terms.quantity) == (
        "EUR/USD",
        Decimal("0.1"),
        0,
        Decimal(20_000),
    )


def test_a_recorded_bar_is_known_when_its_interval_is_over() -> None:
    row = objects(recorded("dec_bars_7"))
    row.date = datetime.fromisoformat(row.date).replace(tzinfo=UTC)
    bar = decode_bar("SPY", row, 3_600)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (231.82, 234.78, 230.29, 233.06, 12066.0)
    assert bar.timestamp_ns == int(datetime(2019, 10, 4, 16, 30, tzinfo=UTC).timestamp()) * 10**9
    daily = SimpleNamespace(**{**row.__dict__, "date": "20191004"})
    assert decode_bar("SPY", daily, 86_400).timestamp_ns == int(datetime(2019, 10, 5, tzinfo=UTC).timestamp()) * 10**9
    with pytest.raises(DataError, match="has time 'soon', which is none"):
        decode_bar("SPY", SimpleNamespace(**{**row.__dict__, "date": "soon"}), 60)


@pytest.mark.parametrize("name", FRAMES)
async def test_every_recorded_frame_is_understood_passed_over_or_refused_by_name(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    for version in (157, 164, 169, 173, 176, 178):
        await hear(frames_of(name), version)  # whatever the server's version, nothing is raised
    for record in caplog.records:
        assert len(record.getMessage()) < 2_000


async def test_no_recorded_file_is_forgotten() -> None:
    shared("payloads/ib")
    names = {path.stem for path in (SHARED / "payloads" / "ib").glob("*.json")}
    assert names == {*FRAMES, *OTHERS, *READ_HERE}


def test_the_published_code_sets_agree_that_these_end_an_order() -> None:
    sets = recorded("doc_error_code_sets")
    ours = {code for code in range(1, 20_000) if meaning(code) is Meaning.REFUSED}
    others = {code for code in sets["InvalidatingCodes"] if meaning(code) not in (Meaning.REFUSED, Meaning.NOTICE)}
    assert len(ours & set(sets["InvalidatingCodes"])) > 120
    # Those about a change or a cancel say nothing of a new order.
    assert others == {104, 105, 106, 329, 135, 136, 161, 167, 10147, 10148}


# --- plain values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "symbol", "fields"),
    [
        ("AAPL", "AAPL", {"symbol": "AAPL", "secType": "STK", "currency": "USD", "exchange": "SMART"}),
        ("BRK B", "BRK B", {"symbol": "BRK B", "secType": "STK"}),
        ("EUR/USD", "EUR/USD", {"symbol": "EUR", "secType": "CASH", "currency": "USD", "exchange": "IDEALPRO"}),
        ("GBP.JPY", "GBP/JPY", {"symbol": "GBP", "currency": "JPY"}),
        ("ES 202612", "ES 202612", {"symbol": "ES", "secType": "FUT", "lastTradeDateOrContractMonth": "202612"}),
        ("ES 20261218", "ES 20261218", {"lastTradeDateOrContractMonth": "20261218"}),
        (
            "AAPL 20270115 C 150",
            "AAPL 20270115 C 150",
            {"symbol": "AAPL", "secType": "OPT", "right": "C", "strike": 150.0},
        ),
        ("AAPL  270115P00152500", "AAPL 20270115 P 152.5", {"right": "P", "strike": 152.5}),
        ("SPX 20270115 C 4150.00", "SPX 20270115 C 4150", {"strike": 4150.0}),
    ],
)
def test_symbols_are_read_as_people_write_them(written: str, symbol: str, fields: dict[str, Any]) -> None:
    name, found = read_symbol(written)
    assert (name, {key: found[key] for key in fields}) == (symbol, fields)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("STK", "AAPL"),
        ("CASH", "AAPL/USD"),
        ("OPT", "AAPL 20270115 C 150"),
        ("FUT", "AAPL 20270115"),
        ("BOND", "AAPL local"),
    ],
)
def test_contracts_are_written_as_they_are_read(kind: str, written: str) -> None:
    security = Security(1, "AAPL", kind, "20270115", Decimal("150.0"), "C", "100", "SMART", "USD", "AAPL local")
    assert security.written == written
    if kind in ("OPT", "FUT"):
        assert read_symbol(written)[0] == written


@pytest.mark.parametrize("value", [None, "", 1.7976931348623157e308, "1.7976931348623157E308", 2147483647])
def test_unset_numbers_are_none(value: Any) -> None:
    assert decode.number(value, "figure") is None


@pytest.mark.parametrize("value", ["many", float("nan"), "nan", float("inf"), object()])
def test_what_is_no_number_is_named(value: Any) -> None:
    if value == float("inf"):
        assert decode.number(value, "figure") is None
        return
    with pytest.raises(DataError, match=r"figure .* is no number"):
        decode.number(value, "figure")


def execution(**more: Any) -> Any:
    given = {
        "execId": "0001.0002.03.01", "orderId": 5, "clientId": 1, "permId": 77, "acctNumber": "DU1", "orderRef": "o",
        "side": "BOT", "shares": 10.0, "price": 1.5, "time": datetime(2026, 1, 5, tzinfo=UTC), "lastLiquidity": 1,
        "exchange": "ISLAND",
    }  # fmt: skip
    return SimpleNamespace(**{**given, **more})


CONTRACT = SimpleNamespace(
    conId=1, symbol="AAPL", secType="STK", lastTradeDateOrContractMonth="", strike=0.0, right="?", multiplier="",
    exchange="SMART", currency="USD", localSymbol="AAPL",
)  # fmt: skip


def test_corrections_belong_to_the_execution_they_correct() -> None:
    first = decode.decode_execution(CONTRACT, execution())
    second = decode.decode_execution(CONTRACT, execution(execId="0001.0002.03.02", price=1.6))
    sold = decode.decode_execution(CONTRACT, execution(execId="0001.0002.03.02", side="SLD"))
    assert (first.family, first.correction) == (second.family, second.correction - 1)
    assert sold.family != first.family, "the other side of a trade with oneself"
    assert (first.liquidity, first.security.right) == ("maker", "")
    plain = decode.decode_execution(CONTRACT, execution(execId="no-number"))
    assert (plain.family, plain.correction) == ("no-number", 0)
    unset = decode.decode_execution(CONTRACT, execution(orderId=2147483647))
    assert unset.order_id == 0, "an order by hand has no number"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"side": "HELD"}, "has side 'HELD', which is none of BUY"),
        ({"shares": 0.0}, "of 0.0 at 1.5 is none"),
        ({"price": 1.7976931348623157e308}, "is none"),
        ({"execId": ""}, "is none"),
        ({"time": datetime(2026, 1, 5)}, "which is none with a zone"),
        ({"shares": "ten"}, "quantity 'ten' is no number"),
    ],
)
def test_what_is_no_execution_is_refused_by_name(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        decode.decode_execution(CONTRACT, execution(**wrong))


def test_codes_mean_what_they_say() -> None:
    wanted = {
        Meaning.REFUSED: (110, 200, 201, 203, 321, 387, 10243),
        Meaning.CANCELLED: (202,),
        Meaning.CLASH: (103, 104, 105, 329),
        Meaning.TOO_FAST: (100,),
        Meaning.NOT_CANCELLABLE: (135, 161, 10147, 10148),
        Meaning.OUTAGE: (502, 504, 1100, 2110, 322),
        Meaning.NOTICE: (399, 404, 492, 2104, 2109, 10167),
        Meaning.UNCLEAR: (77777, 999),
    }
    for kind, codes in wanted.items():
        assert {meaning(code) for code in codes} == {kind}


@pytest.mark.parametrize(
    ("text", "zone", "said"),
    [
        ("20260105:0930-20260105:1600", "Middle Earth", "time zone 'Middle Earth' .* is not known"),
        ("20260105:0930-soon", "UTC", "trading hours '20260105:0930-soon' are not understood"),
        ("20261305:0930-20261305:1600", "UTC", "are no time"),
    ],
)
def test_hours_that_are_none_are_named(text: str, zone: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_hours(text, zone)


def test_hours_of_old_servers_have_one_day() -> None:
    hours = read_hours("20260105:0930-1600;20260106:CLOSED;", "EST5EDT")
    assert hours.spans == ((datetime(2026, 1, 5, 14, 30, tzinfo=UTC), datetime(2026, 1, 5, 21, tzinfo=UTC)),)
    assert read_hours("", "UTC").is_open(datetime(2026, 1, 5, tzinfo=UTC)) is None


def test_prices_have_steps_that_grow_with_them() -> None:
    facts = decode.decode_details(details_of("dec_contract_details_amd"))
    rule = ((Decimal(0), Decimal("0.05")), (Decimal(3), Decimal("0.1")))
    listing = make_listing("AMD", facts, rule)
    assert listing.instrument.tick_size == Decimal("0.05")
    assert listing.check_price(2.95) == Decimal("2.95")
    assert listing.check_price(3.1) == Decimal("3.1")
    with pytest.raises(InstrumentError, match=r"grid, which is 0.1 at this price; nearest are 3.1 and 3.2"):
        listing.check_price(3.15)


@pytest.mark.parametrize(
    ("port", "environment", "meant"),
    [(7497, None, "paper"), (4002, "", "paper"), (7496, None, "live"), (4001, "live", "live"), (5555, None, "paper")],
)
def test_the_port_tells_the_environment(port: int, environment: str | None, meant: str) -> None:
    assert environment_of(port, environment) == meant


def test_port_and_environment_must_agree_and_so_must_the_account() -> None:
    with pytest.raises(ConfigError, match="environment is 'paper' and port 7496 is the live one"):
        environment_of(7496, "paper")
    with pytest.raises(ConfigError, match="environment 'demo' is none of paper, live"):
        environment_of(7497, "demo")
    assert choose_account(("DU1",), "", "paper") == "DU1"
    assert choose_account(("U1", "U2"), "U2", "live") == "U2"
    with pytest.raises(AuthenticationFailed, match="'U1' that answers is a live one, with real money"):
        choose_account(("U1",), "", "paper")
    with pytest.raises(AuthenticationFailed, match="'DF1' that answers is a paper one; log TWS on"):
        choose_account(("DF1",), "", "live")
    with pytest.raises(AuthenticationFailed, match=r"has 2 accounts \(DU1, DU2\); say which with account="):
        choose_account(("DU1", "DU2"), "", "paper")
    with pytest.raises(AuthenticationFailed, match="has no account 'DU9'; it has DU1"):
        choose_account(("DU1",), "DU9", "paper")


def test_depth_rows_make_books() -> None:
    ladder = Ladder("AAPL")
    assert ladder.take(0, 0, 1, 9.9, 5, 1) is None, "one side is no book"
    book = ladder.take(0, 0, 0, 10.0, 7, 2)
    assert book is not None
    assert (book.bids, book.asks) == (((9.9, 5),), ((10.0, 7),))
    same_price = ladder.take(1, 0, 1, 9.9, 3, 3)
    assert same_price is not None
    assert same_price.bids == ((9.9, 8),), "two exchanges at one price"
    changed = ladder.take(0, 1, 0, 10.1, 2, 4)
    assert changed is not None
    assert changed.asks == ((10.1, 2),)
    assert ladder.take(0, 0, 1, 11.0, 1, 5) is None, "crossed, between two rows"
    assert ladder.take(0, 2, 0, 0, 0, 6) is None
    assert ladder.take(-1, 0, 0, 1, 1, 7) is None
    assert ladder.take(0, 0, 9, 1, 1, 8) is None


async def test_the_pace_keeps_room_for_orders_and_cancels() -> None:
    clock = SimulatedClock(10**18)
    pace = Pace(clock, 50)
    for _ in range(30):
        await pace.turn("query", "q")
    assert pace._wait_s(30) > 0, "questions wait"
    for _ in range(10):
        await pace.turn("order", "o")
    with pytest.raises(RateLimited, match="o: 40 messages were sent within a second") as refused:
        await pace.turn("order", "o")
    assert refused.value.retry_after_s == pytest.approx(1.05)
    for _ in range(5):
        await pace.turn("cancel", "c")
    await clock.advance(1.1)
    await pace.turn("order", "o")


def test_the_library_is_chosen_and_missing_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_library().name in ("ib_async", "ib_insync")
    with pytest.raises(ConfigError, match="library 'ibapi' is none of ib_async, ib_insync"):
        load_library("ibapi")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="neither ib_async nor ib_insync is installed; pip install"):
        load_library()
    with pytest.raises(ConfigError, match="ib_insync is not installed"):
        load_library("ib_insync")
