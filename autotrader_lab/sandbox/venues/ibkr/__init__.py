"""Interactive Brokers in the sandbox: the socket protocol of TWS and IB Gateway, one port for each world.

It follows the published TWS API (server versions 157 to 178; a client that offers more is answered with 178). Paper
accounts (``DU…``) live in *testnet*, real ones (``U…``) in *live*, each behind its own port, as with the real gateway.

Covered
-------
Handshake and ``startApi`` (client ids in use are refused), managed accounts, order ids, contract details of AAPL and
MSFT (STK), EUR.USD (CASH), the front ES future (FUT) and one AAPL call and put (OPT) with their market rules, option
parameters and symbol search; market data (ticks, snapshots, tick by tick, depth, five-second bars), historical bars
with updates; orders MKT, LMT, STP, STP LMT with DAY, GTC, GTD, IOC, FOK, what-if, modification under the same id,
cancel and global cancel, order references, open, completed and all open orders, executions and commission reports
with IB's fees; account values, portfolio, summary, positions, P&L; messages 100, 103, 104, 105, 110, 162, 200, 201,
202, 300, 320, 321, 322, 326, 329, 354, 387, 399, 10147, 10148, 10189; pacing (50 messages a second, 60 historical
requests in ten minutes).
Through the control address: 1100, 1101, 1102, the nightly reset, read-only mode, a closed market.

Not covered
-----------
Combos, bonds, scanners, news, fundamental data, historical ticks, histograms, attached and OCA orders, algos,
conditions, adjustable and pegged orders, several accounts, allocation, interest, dividends, exercise, borrowing fees,
margin calls. Option prices are a market of their own, not derived from the stock's. Markets trade round the clock,
and contract details say so; DAY orders end at midnight UTC. Executions are kept as long as the sandbox runs.
"""
