"""The FIX session without I/O: framing for any portions of bytes, and the session's every rule."""

from __future__ import annotations

import pytest
import simplefix
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader_lab.execution.adapters.fix import FixMessage, FixSession, Framer, SessionSettings, encode
from autotrader_lab.execution.adapters.fix.session import Failed, LoggedOn, LoggedOut, Missed, Received, SessionState
from autotrader_lab.model.errors import DataError

NS = 1_000_000_000
T0 = 1_700_000_000 * NS
US = SessionSettings(
    sender_comp_id="me", target_comp_id="FXCM", target_sub_id="U100D1", username="u", password="p", heartbeat_s=10
)

VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
FIELDS = st.lists(st.tuples(st.integers(11, 9999).filter(lambda tag: tag not in (34, 35)), VALUES), max_size=12)


def said(kind: str, number: int, *fields: tuple[int, str], sent: str = "20231114-22:13:20.000") -> bytes:
    """A message of the other side's."""
    header = [(35, kind), (34, str(number)), (49, "FXCM"), (50, "U100D1"), (52, sent), (56, "me")]
    return encode(header, fields)


def sent(session: FixSession) -> list[FixMessage]:
    """What the session wants to send."""
    return Framer().feed(session.take_output())


def active() -> FixSession:
    session = FixSession(US)
    session.start(T0)
    (event,) = session.receive(said("A", 1, (98, "0"), (108, "10"), (141, "Y")), T0)
    assert isinstance(event, LoggedOn)
    session.take_output()
    return session


# --- framing --------------------------------------------------------------------------------------------------------


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
@settings(max_examples=60, deadline=None)
def test_any_portions_of_a_stream_give_the_same_messages(
    bodies: list[list[tuple[int, str]]], data: st.DataObject
) -> None:
    stream = b"".join(encode([(35, "8"), (34, str(n))], body) for n, body in enumerate(bodies, 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    framer = Framer()
    found: list[FixMessage] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[begin:end])
    assert [message.fields for message in found] == [
        ((35, "8"), (34, str(n)), *body) for n, body in enumerate(bodies, 1)
    ]
    assert framer.garbled == 0


@given(st.binary(max_size=200), FIELDS, st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_rubbish_never_raises_and_good_messages_after_it_are_found(
    rubbish: bytes, body: list[tuple[int, str]], more: bytes
) -> None:
    good = encode([(35, "8"), (34, "7")], body)
    framer = Framer(max_body=4096)
    found = framer.feed(rubbish.replace(b"8=FIX", b"8-FIX") + good + more)
    assert [message.get(34) for message in found][:1] == ["7"]


@given(FIELDS, st.data())
@settings(max_examples=80, deadline=None)
def test_a_flipped_byte_is_never_taken_for_the_message(body: list[tuple[int, str]], data: st.DataObject) -> None:
    good = bytearray(encode([(35, "8"), (34, "7")], body))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= 1 << data.draw(st.integers(0, 6))
    following = encode([(35, "0"), (34, "8")], [])
    # A body length made longer swallows what follows, until that fills it up.
    found = Framer(max_body=2000).feed(bytes(good) + following * 120)
    assert all(message.get(34) == "8" for message in found)
    assert found


@given(st.lists(st.tuples(st.integers(9000, 9999), VALUES), max_size=12))
@settings(max_examples=40, deadline=None)
def test_another_parser_reads_what_we_write(body: list[tuple[int, str]]) -> None:
    parser = simplefix.FixParser()
    parser.append_buffer(encode([(35, "D"), (34, "1")], body))
    message = parser.get_message()
    assert message is not None
    assert [(int(tag), value.decode()) for tag, value in message.pairs][2:-1] == [(35, "D"), (34, "1"), *body]


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (lambda raw: raw.replace(b"\x0110=", b"\x0111="), "no checksum"),
        (
            lambda raw: raw[:-4] + b"000\x01" if raw[-4:-1] != b"000" else raw[:-4] + b"001\x01",
            "checksum does not match",
        ),
        (lambda raw: raw.replace(b"9=", b"9=x", 1), "body length is"),
        (lambda raw: raw.replace(b"9=", b"9=99999", 1), "a body of 99999"),
        (lambda raw: b"8=FIX" + b"x" * 60, "no body length"),
    ],
)
def test_why_a_message_was_skipped_is_told(spoilt: object, why: str) -> None:
    framer = Framer()
    raw = spoilt(encode([(35, "0")], [(58, "quite a long text, for the header is short")]))  # type: ignore[operator]
    assert framer.feed(raw) == []
    assert framer.garbled >= 1
    assert Framer().feed(b"noise" + encode([(35, "0")], []))[0].msg_type == "0"
    probe = Framer()
    reasons = []
    original = probe._skip
    probe._skip = lambda text: (reasons.append(text), original(text))  # type: ignore[assignment,func-returns-value]
    probe.feed(raw)
    assert any(why in reason for reason in reasons)


@pytest.mark.parametrize("value", ["", "a\x01b", "naïve"])
def test_a_value_fix_cannot_carry_is_refused(value: str) -> None:
    with pytest.raises(DataError, match="tag 58 cannot carry"):
        encode([(35, "0")], [(58, value)])
    with pytest.raises(DataError) as refused:
        encode([(35, "A")], [(554, f"secret\x01{value}")])
    assert "secret" not in str(refused.value)


# --- logon ----------------------------------------------------------------------------------------------------------


def test_the_logon_resets_the_numbers_and_names_everybody() -> None:
    session = FixSession(US)
    session.start(T0)
    (logon,) = sent(session)
    assert logon.msg_type == "A"
    for tag, value in {
        34: "1", 49: "me", 56: "FXCM", 57: "U100D1", 98: "0", 108: "10", 141: "Y", 553: "u", 554: "p",
        52: "20231114-22:13:20.000",
    }.items():  # fmt: skip
        assert logon.get(tag) == value
    assert "p" not in repr(US).split("(")[1].split("->")[0]
    with pytest.raises(DataError, match="logon sent, not active"):
        session.send("D", [(11, "x")], T0)


def test_without_a_password_here_none_is_sent() -> None:
    session = FixSession(SessionSettings(sender_comp_id="me", target_comp_id="FXCM"))
    session.start(T0)
    (logon,) = sent(session)
    assert 553 not in logon
    assert 57 not in logon


def test_the_answer_tells_interval_and_clock() -> None:
    session = FixSession(US)
    session.start(T0)
    (event,) = session.receive(said("A", 1, (108, "5"), sent="20231114-22:13:21.000"), T0 + NS)
    assert event == LoggedOn(500.0)
    assert session.state is SessionState.ACTIVE
    session.take_output()
    assert session.tick(T0 + 6 * NS) == []
    assert [message.msg_type for message in sent(session)] == ["0"]


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (said("5", 1, (58, "wrong password")), LoggedOut("wrong password", False)),
        (said("3", 1, (58, "bad tag")), LoggedOut("bad tag", False)),
    ],
)
def test_a_refused_logon_tells_why(answer: bytes, event: LoggedOut) -> None:
    session = FixSession(US)
    session.start(T0)
    assert session.receive(answer, T0) == [event]
    assert session.state is SessionState.ENDED
    assert session.receive(said("A", 2, (108, "5")), T0) == []


@pytest.mark.parametrize(
    "answer",
    [
        said("8", 1),
        said("A", 1, (108, "often")),
        encode([(35, "A"), (34, "1"), (49, "SOMEBODY"), (52, "20231114-22:13:20"), (56, "me")], [(108, "10")]),
    ],
)
def test_what_is_no_answer_to_a_logon_ends_the_session(answer: bytes) -> None:
    session = FixSession(US)
    session.start(T0)
    (event,) = session.receive(answer, T0)
    assert isinstance(event, Failed)


# --- numbers --------------------------------------------------------------------------------------------------------


def test_messages_in_sequence_are_delivered_in_order() -> None:
    session = active()
    events = session.receive(said("8", 2, (11, "a")) + said("0", 3) + said("8", 4, (11, "b")), T0)
    assert [event.message.get(11) for event in events if isinstance(event, Received)] == ["a", "b"]
    assert session.next_in == 5


def test_a_gap_is_asked_for_once_and_nothing_is_taken_out_of_turn() -> None:
    session = active()
    assert session.receive(said("8", 4, (11, "b")) + said("8", 5, (11, "c")), T0) == []
    (resend,) = sent(session)
    assert (resend.msg_type, resend.get(7), resend.get(16)) == ("2", "2", "0")
    events = session.receive(said("8", 2, (43, "Y"), (11, "x")) + said("8", 3, (43, "Y"), (11, "a")), T0)
    assert names(events) == ["x", "a", "b", "c"]
    assert session.receive(said("8", 4, (43, "Y"), (11, "b")) + said("8", 5, (43, "Y"), (11, "c")), T0) == []
    assert names(session.receive(said("8", 6, (11, "d")), T0)) == ["d"]
    session.tick(T0 + 11 * NS)
    assert session.state is SessionState.ACTIVE


def test_what_came_early_is_not_lost_when_the_gap_is_filled_over_it() -> None:
    session = active()
    session.receive(said("8", 5, (11, "early")), T0)
    events = session.receive(said("4", 2, (43, "Y"), (123, "Y"), (36, "6")), T0)
    assert names(events) == ["early"]
    assert [event for event in events if isinstance(event, Missed)] == [Missed(3)]
    assert session.next_in == 6


def test_a_gap_fill_without_a_gap_misses_nothing_it_covers_only_itself() -> None:
    session = active()
    assert session.receive(said("4", 2, (123, "Y"), (36, "3")), T0) == []
    assert session.next_in == 3


def names(events: list[object]) -> list[str]:
    return [event.message.get(11) for event in events if isinstance(event, Received)]


def test_a_gap_that_is_not_closed_ends_the_session() -> None:
    session = active()
    session.receive(said("8", 4), T0)
    session.receive(said("0", 5), T0 + 9 * NS)
    (event,) = session.tick(T0 + 11 * NS)
    assert isinstance(event, Failed)
    assert "from 2 on" in event.reason


def test_an_old_number_is_ignored_as_a_duplicate_and_fatal_otherwise() -> None:
    session = active()
    session.receive(said("8", 2), T0)
    assert session.receive(said("8", 2, (43, "Y")), T0) == []
    (event,) = session.receive(said("8", 2), T0)
    assert isinstance(event, Failed)
    assert [message.msg_type for message in sent(session)] == ["5"]


def test_a_resend_request_gets_a_gap_fill_never_an_order() -> None:
    session = active()
    assert session.send("D", [(11, "once")], T0) == 2
    session.take_output()
    session.receive(said("2", 2, (7, "1"), (16, "0")), T0)
    (filled,) = sent(session)
    assert (filled.msg_type, filled.get(34), filled.get(43), filled.get(123), filled.get(36)) == (
        "4",
        "1",
        "Y",
        "Y",
        "3",
    )
    session.receive(said("2", 3, (7, "1"), (16, "1")), T0)
    assert sent(session)[0].get(36) == "2"
    session.receive(said("2", 4, (7, "9"), (16, "0")), T0)
    assert sent(session) == []


def test_a_goodbye_beyond_a_gap_is_still_heard() -> None:
    session = active()
    assert session.receive(said("5", 9, (58, "maintenance")), T0) == [LoggedOut("maintenance", True)]
    assert [message.msg_type for message in sent(session)] == ["2", "5"]


def test_a_reset_moves_forward_only() -> None:
    session = active()
    assert session.receive(said("4", 2, (36, "50")), T0) == [Missed(1)]
    assert session.next_in == 50
    (event,) = session.receive(said("4", 2, (36, "3")), T0)
    assert isinstance(event, Failed)


def test_a_second_logon_or_a_stranger_ends_the_session() -> None:
    for wrong in (
        said("A", 2, (108, "10")),
        encode([(35, "8"), (34, "2"), (49, "FXCM"), (52, "20231114-22:13:20"), (56, "you")], []),
        encode([(35, "8"), (34, "two"), (49, "FXCM"), (52, "20231114-22:13:20"), (56, "me")], []),
    ):
        (event,) = active().receive(wrong, T0)
        assert isinstance(event, Failed)


# --- life -----------------------------------------------------------------------------------------------------------


def test_a_test_request_is_answered_with_its_text() -> None:
    session = active()
    session.receive(said("1", 2, (112, "hello")), T0)
    (answer,) = sent(session)
    assert (answer.msg_type, answer.get(112)) == ("0", "hello")


def test_silence_is_asked_after_then_ends_the_session() -> None:
    session = active()
    assert session.tick(T0 + 9 * NS) == []
    assert sent(session) == []
    session.tick(T0 + 12 * NS)
    (question,) = sent(session)
    assert question.msg_type == "1"
    (event,) = session.tick(T0 + 20 * NS)
    assert isinstance(event, Failed)
    assert "nothing came for 20.0 s" in event.reason


def test_an_answer_to_the_test_request_measures_the_clock() -> None:
    session = active()
    session.tick(T0 + 12 * NS)
    (question,) = sent(session)
    session.receive(said("0", 2, (112, question.get(112)), sent="20231114-22:13:33.000"), T0 + 13 * NS)
    assert session.clock_offset_ms == 500.0
    assert session.tick(T0 + 20 * NS) == []


def test_goodbye_is_said_once() -> None:
    session = active()
    session.logout(T0, "done")
    session.logout(T0)
    (goodbye,) = sent(session)
    assert (goodbye.msg_type, goodbye.get(58)) == ("5", "done")
    assert session.tick(T0 + 100 * NS) == []


@given(st.lists(st.tuples(st.sampled_from("01258ADj"), st.integers(0, 9), FIELDS), max_size=8))
@settings(max_examples=80, deadline=None)
def test_no_message_makes_the_session_raise_and_delivery_never_goes_back(
    messages: list[tuple[str, int, list[tuple[int, str]]]],
) -> None:
    session = active()
    delivered: list[int] = []
    for kind, number, body in messages:
        events = session.receive(said(kind, number, *body), T0)
        delivered += [event.message.integer(34) for event in events if isinstance(event, Received)]
    assert delivered == sorted(set(delivered))
