"""QuickFIX, a FIX engine that shares nothing with ours, trades on the sandbox's FXCM in both worlds.

Run in an environment that has quickfix (or quickfix-tls), with the sandbox's addresses as JSON on standard input;
prints one line of JSON with what it saw. It knows nothing of this repository. FXCM's own dictionary is confidential;
the one written here knows the repeating groups of its public pages and nothing else.
"""

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import quickfix as fix

SOH = "\x01"
PARTIES = {453: [448, 447, 452, {802: [523, 803]}]}
FACTS = [15, 228, 231, 460, 9000, 9001, 9002, 9003, 9004, 9080, 9090, 9091, 9092, 9093, 9094, 9095, 9096]
GROUPS = {
    "h": {9016: [9017, 9018], 146: [55, *FACTS]},
    "W": {268: [269, 270, 271, 272, 273, 336, 625, 276, 282, 299, 537]},
    "V": {267: [269], 146: [55]},
    "BA": PARTIES,
    "8": PARTIES,
    "AO": PARTIES,
    "AP": {**PARTIES, 702: [703, 704, 705, 753, 707, 708]},
}
"""By message: the tag that counts a group, and the group's own tags, nested ones as mappings."""
PLAIN = [*"012345A9jYDFGHg", "BE", "BF", "BB", "AF", "AN"]


def dictionary():
    """A data dictionary with these groups, as QuickFIX reads one."""
    known = {}

    def members(entries):
        text = ""
        for entry in entries:
            if isinstance(entry, dict):
                for count, inner in entry.items():
                    known[count] = "NUMINGROUP"
                    text += f"<group name='T{count}' required='N'>{members(inner)}</group>"
            else:
                known.setdefault(entry, "STRING")
                text += f"<field name='T{entry}' required='N'/>"
        return text

    messages = "".join(
        f"<message name='M{kind}' msgcat='app' msgtype='{kind}'>{members([groups])}</message>"
        for kind, groups in (*GROUPS.items(), *((kind, {}) for kind in PLAIN))
    )
    header = members([8, 9, 35, 34, 49, 50, 52, 56, 57, 43, 97, 122])
    trailer = members([10])
    fields = "".join(f"<field number='{tag}' name='T{tag}' type='{kind}'/>" for tag, kind in known.items())
    return (
        f"<fix type='FIX' major='4' minor='4'><header>{header}</header><trailer>{trailer}</trailer>"
        f"<messages>{messages}</messages><components/><fields>{fields}</fields></fix>"
    )


def tags(text):
    """A message's fields in order."""
    return [(int(part.split("=", 1)[0]), part.split("=", 1)[1]) for part in text.split(SOH) if part]


class Client(fix.Application):
    """An initiator that keeps everything it is told."""

    def __init__(self, entry, in_logon):
        super().__init__()
        self.entry, self.in_logon = entry, in_logon
        self.session_id = None
        self.logged_on = threading.Event()
        self.messages = []
        self.admin = []
        self.rejected = []
        self.news = threading.Condition()

    def onCreate(self, session_id):
        self.session_id = session_id

    def onLogon(self, session_id):
        self.logged_on.set()

    def onLogout(self, session_id):
        self.logged_on.clear()

    def toAdmin(self, message, session_id):
        kind = fix.MsgType()
        message.getHeader().getField(kind)
        if kind.getValue() == fix.MsgType_Reject:
            told = dict(tags(message.toString()))
            self.rejected.append([told.get(58), told.get(371), told.get(372), told.get(45)])
        message.getHeader().setField(fix.TargetSubID(self.entry["target_sub"]))
        if kind.getValue() == fix.MsgType_Logon and self.in_logon:
            message.setField(fix.Username(self.entry["user"]))
            message.setField(fix.Password(self.entry["password"]))

    def fromAdmin(self, message, session_id):
        self.admin.append(tags(message.toString()))

    def toApp(self, message, session_id):
        message.getHeader().setField(fix.TargetSubID(self.entry["target_sub"]))

    def fromApp(self, message, session_id):
        with self.news:
            self.messages.append(tags(message.toString()))
            self.news.notify_all()

    def send(self, kind, *fields, group=()):
        message = fix.Message()
        message.getHeader().setField(fix.MsgType(kind))
        for tag, value in fields:
            message.setField(fix.StringField(tag, str(value)))
        for count_tag, first, values in group:
            for value in values:
                entry = fix.Group(count_tag, first)
                entry.setField(fix.StringField(first, value))
                message.addGroup(entry)
        fix.Session.sendToTarget(message, self.session_id)

    def wait(self, wanted, within_s=15.0):
        """The first message that satisfies `wanted`, which gets it as a dict of first values."""
        until = time.monotonic() + within_s
        seen = 0
        with self.news:
            while True:
                for message in self.messages[seen:]:
                    first = dict(reversed(message))
                    if wanted(first):
                        return message
                seen = len(self.messages)
                if not self.news.wait(until - time.monotonic()):
                    raise TimeoutError(f"not among {self.messages}; we rejected {self.rejected}")

    def of_order(self, client_id):
        """(status, exec type, cumulative quantity) of an order's reports, in order."""
        firsts = [dict(reversed(message)) for message in self.messages]
        names = (client_id,)
        return [
            [f[39], f[150], f[14]] for f in firsts if f.get(35) == "8" and (f.get(11) in names or f.get(41) in names)
        ]


def settings_of(entry, folder):
    host, port = entry["address"].rsplit(":", 1)
    return fix.SessionSettings(
        write(
            folder,
            "session.cfg",
            "\n".join(
                [
                    "[DEFAULT]",
                    "ConnectionType=initiator",
                    "HeartBtInt=2",
                    "StartTime=00:00:00",
                    "EndTime=00:00:00",
                    "UseDataDictionary=Y",
                    f"DataDictionary={write(folder, 'groups.xml', dictionary())}",
                    "ValidateUserDefinedFields=N",
                    "ValidateFieldsOutOfOrder=N",
                    "AllowUnknownMsgFields=Y",
                    "ResetOnLogon=Y",
                    "ReconnectInterval=1",
                    "[SESSION]",
                    "BeginString=FIX.4.4",
                    f"SenderCompID={entry['sender']}",
                    f"TargetCompID={entry['target']}",
                    f"SocketConnectHost={host}",
                    f"SocketConnectPort={port}",
                ]
            ),
        )
    )


def write(folder, name, text):
    path = f"{folder}/{name}"
    Path(path).write_text(text + "\n", encoding="ascii")
    return path


def trade(entry, in_logon):
    """The whole conversation; what was seen."""
    seen = {}
    with tempfile.TemporaryDirectory() as folder:
        client = Client(entry, in_logon)
        initiator = fix.SocketInitiator(client, fix.MemoryStoreFactory(), settings_of(entry, folder))
        initiator.start()
        try:
            if not client.logged_on.wait(15):
                raise TimeoutError(f"no logon; told {client.admin}")
            if not in_logon:
                client.send("BE", (553, entry["user"]), (554, entry["password"]), (923, "U1"), (924, 1))
                seen["user_status"] = dict(client.wait(lambda m: m[35] == "BF"))[926]
            converse(client, entry["account"], seen)
            time.sleep(4)
            seen["heartbeats"] = sum(1 for message in client.admin if dict(message)[35] == "0") >= 1
            seen["still_on"] = client.logged_on.is_set()
        finally:
            initiator.stop()
    seen["rejects"] = client.rejected + [dict(m).get(58) for m in client.admin if dict(m)[35] == "3"]
    return seen


def converse(client, account, seen):
    client.send("g", (263, "1"), (335, "S1"))
    status = client.wait(lambda m: m[35] == "h")
    seen["symbols"] = [value for tag, value in status if tag == 55]
    names = [value for tag, value in status if tag == 9017]
    values = [value for tag, value in status if tag == 9018]
    seen["parameters"] = values[names.index("BASE_CRNCY")]

    client.send("BB", (263, "1"), (909, "C1"))
    report = dict(client.wait(lambda m: m[35] == "BA"))
    seen["account"], balance = report[1] == account, float(report[901])

    client.send(
        "V", (262, "V1"), (263, "1"), (264, "1"), (265, "0"), group=((146, 55, ["EUR/USD"]), (267, 269, ["0", "1"]))
    )
    quote = client.wait(lambda m: m[35] == "W" and m[55] == "EUR/USD")
    bid, ask = [float(value) for tag, value in quote if tag == 270][:2]
    seen["quote"] = 0 < bid < ask < 2 and sum(1 for tag, _ in quote if tag == 269) == 4
    client.wait(lambda m: m[35] == "W" and m[299] != dict(reversed(quote))[299])

    order = ((1, account), (54, 1), (55, "EUR/USD"), (60, utc()))
    low = f"{bid - 0.01:.5f}"
    client.send("D", *order, (11, "rest"), (38, 10000), (40, 2), (44, low), (59, 1))
    resting = dict(reversed(client.wait(lambda m: m[35] == "8" and m[11] == "rest")))
    client.send("H", (1, account), (11, "rest"), (54, 1), (55, "EUR/USD"), (790, "H1"))
    seen["status"] = dict(reversed(client.wait(lambda m: m.get(790) == "H1")))[39]
    client.send("AF", (584, "M1"), (585, 7))
    seen["mass"] = dict(reversed(client.wait(lambda m: m.get(584) == "M1")))[11]
    client.send("G", *order, (11, "rest2"), (41, "rest"), (37, resting[37]), (38, 12000), (40, 2), (44, low), (59, 1))
    seen["replaced"] = dict(reversed(client.wait(lambda m: m.get(150) == "5")))[38]
    client.send("F", *order, (11, "gone"), (41, "rest2"), (37, resting[37]), (38, 12000))
    cancelled = dict(reversed(client.wait(lambda m: m.get(39) == "4")))
    seen["cancelled"] = [cancelled[150], cancelled[11], cancelled[41]]
    client.send("F", *order, (11, "again"), (41, "rest2"), (37, resting[37]), (38, 12000))
    seen["too_late"] = dict(reversed(client.wait(lambda m: m[35] == "9")))[434]

    client.send("D", *order, (11, "buy"), (38, 10000), (40, 1), (59, 1))
    client.wait(lambda m: m[35] == "8" and m.get(11) == "buy" and m[39] == "2")
    seen["life"] = client.of_order("buy")
    client.send("AN", (1, account), (60, utc()), (263, 0), (581, 6), (710, "P1"), (715, utc()[:8]), (724, 0))
    position = dict(reversed(client.wait(lambda m: m[35] == "AP" and m[710] == "P1")))
    seen["position"] = [position[55], position[704], position[11]]
    client.send("D", (1, account), (54, 2), (55, "EUR/USD"), (60, utc()), (11, "sell"), (38, 10000), (40, 1), (59, 4))
    client.wait(lambda m: m[35] == "8" and m.get(11) == "sell" and m[39] == "2")
    client.send("AN", (1, account), (60, utc()), (263, 0), (581, 6), (710, "P2"), (715, utc()[:8]), (724, 0))
    seen["flat"] = "No open" in dict(client.wait(lambda m: m[35] == "AO" and m[710] == "P2"))[58]
    client.send("AN", (1, account), (60, utc()), (263, 0), (581, 6), (710, "P3"), (715, utc()[:8]), (724, 1))
    closed = dict(reversed(client.wait(lambda m: m[35] == "AP" and m[710] == "P3")))
    seen["closed"] = [closed[11], closed[9048]]
    client.send("BB", (263, "1"), (909, "C2"))
    after = float(dict(client.wait(lambda m: m[35] == "BA" and m[909] == "C2"))[901])
    seen["balance_moved_by_profit"] = abs(after - balance - float(closed[9052])) < 0.005

    for name, fields in (
        ("wrong_side_of_market", ((11, "r1"), (38, 10000), (40, 2), (44, f"{ask + 0.01:.5f}"), (59, 1))),
        ("odd_lot", ((11, "r2"), (38, 1500), (40, 1), (59, 1))),
        ("too_big", ((11, "r3"), (38, 50000000), (40, 1), (59, 1))),
    ):
        client.send("D", *order, *fields)
        refused = dict(reversed(client.wait(lambda m, n=fields[0][1]: m[35] == "8" and m.get(11) == n)))
        seen[name] = [refused[39], refused[37], refused[58].split(": ")[1].split(" ")[-1]]
    client.send("V", (262, "V1"), (263, "2"), (264, "1"), group=((146, 55, ["EUR/USD"]), (267, 269, ["0", "1"])))
    client.send("zz", (58, "what is this"))
    seen["unknown_type"] = dict(client.wait(lambda m: m[35] == "j"))[372]


def utc():
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())


def refused(entry):
    """What a wrong password gets."""
    with tempfile.TemporaryDirectory() as folder:
        client = Client({**entry, "password": "wrong"}, True)
        initiator = fix.SocketInitiator(client, fix.MemoryStoreFactory(), settings_of(entry, folder))
        initiator.start()
        until = time.monotonic() + 10
        while not client.admin and time.monotonic() < until:
            time.sleep(0.02)
        initiator.stop()
    return [dict(message).get(58) for message in client.admin if dict(message)[35] == "5"][:1]


def main():
    entry = json.load(sys.stdin)["fxcm"]
    seen = {
        "testnet": trade(entry, in_logon=True),
        "live": trade(entry["live"], in_logon=False),
        "refused": refused(entry),
    }
    json.dump(seen, sys.stdout)


main()
