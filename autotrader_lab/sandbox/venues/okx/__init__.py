"""OKX v5, spot, in the sandbox: written to the venue's published documentation, sharing nothing with any client.

Covered
    REST ``/api/v5``: public time, instruments (with ``instIdCode``), price limits, status; market tickers, ticker,
    books, trades, history trades, candles, history candles; account balance, config, positions, bills, trade fee,
    instruments, max size and max available size; asset balances and currencies; trade order, batch orders, cancel,
    batch cancel, amend, batch amend, order details, pending, history and archive, fills and fills history, algo orders
    (trigger, conditional, oco) with their queries and cancels, cancel-all-after, account rate limit.
    WebSockets ``/ws/v5/public``, ``/private``, ``/business``: login, subscriptions, text ping; books (400 levels,
    sequence chain, checksum), books5, bbo-tbt, tickers, trades, trades-all, candles, instruments, price-limit, status;
    account, orders, fills, positions, balance_and_position, orders-algo; and the operations order, batch-orders,
    cancel-order, batch-cancel-orders, amend-order, batch-amend-orders.
    Signatures, passphrase, time window, demo header and keys of the wrong environment are checked; a repeated client
    order id is refused among open orders, and an order or change that arrives after its ``expTime``; a post-only
    order that would take and a fill-or-kill order that cannot be filled are accepted and canceled, as the venue does;
    fees are taken from what is received and are negative.

Not covered
    Everything but spot in cash mode (margin, swaps, futures, options), attached take-profit and stop-loss orders,
    trailing, iceberg and TWAP orders, spreads, block trading, sub-accounts, deposits and withdrawals, the VIP books
    (``books50-l2-tbt``, ``books-l2-tbt``: refused as for an ordinary account), candles of two and five days.
    Waiting algo orders hold no funds. Instruments have the sandbox's ticks and lots. The venue has lately been sending
    0 as the books' ``checksum``; the sandbox sends the documented CRC32.
"""
