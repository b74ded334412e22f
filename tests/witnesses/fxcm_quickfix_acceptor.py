"""QuickFIX as the other side of our FXCM adapter: a FIX engine that shares nothing with it keeps the session.

Run in an environment that has quickfix (or quickfix-tls) with a port and our SenderCompID as arguments. It answers just
enough of FXCM's messages, leaves a gap in its sequence numbers before the report of a fill, sends a test request, and
at the end of standard input prints what it saw as one line of JSON. It knows nothing of this repository.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import quickfix as fix

SOH = "\x01"


class Venue(fix.Application):
    """Answers."""

    def __init__(self):
        super().__init__()
        self.kinds = []
        self.admin = []
        self.orders = 0

    def onCreate(self, session_id):
        self.session_id = session_id

    def onLogon(self, session_id):
        pass

    def onLogout(self, session_id):
        pass

    def toAdmin(self, message, session_id):
        pass

    def fromAdmin(self, message, session_id):
        self.admin.append(tags(message))

    def toApp(self, message, session_id):
        pass

    def fromApp(self, message, session_id):
        told = tags(message)
        self.kinds.append(told[35])
        getattr(self, f"on_{told[35]}", lambda told: None)(told)

    def say(self, kind, fields, groups=()):
        message = fix.Message()
        message.getHeader().setField(fix.MsgType(kind))
        for tag, value in fields.items():
            message.setField(fix.StringField(tag, str(value)))
        for count, first, entries in groups:
            for entry in entries:
                group = fix.Group(count, first)
                for tag, value in entry.items():
                    group.setField(fix.StringField(tag, str(value)))
                message.addGroup(group)
        fix.Session.sendToTarget(message, self.session_id)

    def on_BB(self, told):
        self.say("BA", {1: "77", 53: 1000, 901: "5000.25", 909: told[909], 912: "Y", 625: "U100D1"})

    def on_g(self, told):
        entry = {55: "EUR/USD", 9001: 5, 9080: 1, 9095: 1}
        self.say("h", {335: told[335], 340: 2}, [(146, 55, [entry])])

    def on_AN(self, told):
        self.say("AO", {1: "77", 710: told[710], 727: 0, 728: 2, 58: "No open positions"})

    def on_AF(self, told):
        self.say("8", {37: "NONE", 39: 8, 54: 1, 55: "NONE", 150: "I", 584: told[584], 911: 0, 912: "Y"})

    def on_D(self, told):
        order = {1: "77", 11: told[11], 37: "900", 38: told[38], 40: 1, 54: 1, 55: "EUR/USD", 59: 1, 60: utc()}
        self.say("8", {**order, 17: 1, 39: 0, 150: 0, 14: 0, 151: told[38]})
        # As if five messages had been sent that never arrived.
        session = fix.Session.lookupSession(self.session_id)
        session.setNextSenderMsgSeqNum(session.getExpectedSenderNum() + 5)
        fill = {14: told[38], 6: "1.1", 31: "1.1", 32: told[38], 151: 0}
        self.say("8", {**order, **fill, 17: 2, 39: 2, 150: "F"})
        self.say("1", {112: "are you there"})


def tags(message):
    pairs = [part.split("=", 1) for part in message.toString().split(SOH) if part]
    return {int(tag): value for tag, value in reversed(pairs)}


def utc():
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())


def main():
    port, sender = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "session.cfg")
        path.write_text(
            "[DEFAULT]\nConnectionType=acceptor\nStartTime=00:00:00\nEndTime=00:00:00\nUseDataDictionary=N\n"
            f"SocketAcceptPort={port}\nSocketReuseAddress=Y\nResetOnLogon=Y\n"
            f"[SESSION]\nBeginString=FIX.4.4\nSenderCompID=FXCM\nTargetCompID={sender}\n",
            encoding="ascii",
        )
        venue = Venue()
        acceptor = fix.SocketAcceptor(venue, fix.MemoryStoreFactory(), fix.SessionSettings(str(path)))
        acceptor.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()
        acceptor.stop()
    logon = next(told for told in venue.admin if told[35] == "A")
    seen = {
        "logon": [logon[tag] for tag in (34, 98, 141, 553, 57)],
        "kinds": venue.kinds,
        "resends": [told[7] for told in venue.admin if told[35] == "2"],
        "answers": [told[112] for told in venue.admin if told[35] == "0" and 112 in told],
        "rejects": [told.get(58) for told in venue.admin if told[35] == "3"],
        "goodbye": venue.admin[-1][35] == "5",
    }
    json.dump(seen, sys.stdout)


main()
