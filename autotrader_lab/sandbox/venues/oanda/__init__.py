"""Oanda v20 in the sandbox: REST and streams, a practice and a live environment with their own token and account.

It follows the published v20 REST API. The dealer quotes EUR_USD, USD_JPY and GBP_USD; customers' orders are not in a
public book: a pending order waits at the dealer and is filled whole when the price allows it.

Covered
-------
Accounts, summary, instruments, changes, configuration; pricing and its stream (at most four prices a second for each
instrument, heartbeats every five seconds); candles; orders MARKET, LIMIT, STOP, MARKET_IF_TOUCHED with FOK, IOC, GTC,
GFD (17:00 New York), GTD, price bounds, position fill, trigger conditions and client extensions; replace, cancel,
look-up by ``@clientId``; pending orders, trades (FIFO netting, each with its own price), closing trades and positions;
transactions by id, range, pages and since an id, and their stream. Bearer tokens are checked, and that the account is
the token's; refusals are documented reject transactions; decimals are texts (numbers are accepted too), times RFC 3339
or UNIX as ``Accept-Datetime-Format`` says; 120 requests a second.
Through the control address: a halted instrument, another pace, streams that stall.

Not covered
-----------
Take profit, stop loss and trailing orders attached to trades, hedging accounts, financing, guaranteed stops, margin
closeout, order and position books, the limit of two new connections a second, v1. Daily candles begin at midnight UTC;
markets never close by themselves. A market order with ``IOC`` that finds too little is filled with what there is; the
difference between ``requestedUnits`` and ``units`` tells.
"""
