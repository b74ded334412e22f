"""Coinbase Advanced Trade, spot, in the sandbox: written to the venue's published documentation.

Covered
    REST ``/api/v3/brokerage``: time, public and private products, product, product book, best bid and ask, trades
    (``ticker``), candles; accounts, orders (create, preview, batch cancel, edit, edit preview), historical orders and
    fills, transaction summary, key permissions, portfolios, payment methods (none), futures positions (none); and of
    ``/v2`` accounts, currencies, exchange rates, prices, time.
    Order configurations: market IOC (base or quote size) and FOK, limit GTC, GTD and FOK, limit IOC, stop-limit GTC and
    GTD, post-only. A repeated ``client_order_id`` answers with the order that has it. Commissions are charged in the
    quote currency, held back with a purchase's price; a market purchase by quote size includes them.
    WebSocket market data: level2 (``l2_data``), market_trades (the maker's side, as the venue has it), ticker,
    ticker_batch, candles, status, heartbeats; ``user`` there and at an address of its own. ``sequence_num`` counts each
    connection's messages; a connection that does not subscribe within five seconds is closed.
    ES256 JSON web tokens are verified: key name, signature, validity, and over REST the request's verb, host and path.

Not covered
    Everything but spot, bracket, TWAP and scaled orders, converts, deposits and withdrawals, portfolio transfers,
    legacy HMAC keys. Of two orders of one customer that would trade the resting one is canceled (the venue decrements
    the larger). Coinbase itself has no testnet that trades: its sandbox answers from a script. "testnet" here is a
    second world like the live one.
"""
