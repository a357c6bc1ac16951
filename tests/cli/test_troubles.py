"""What went wrong while a command ran is told once: beside its result, or as what ended it."""

import socket

import pytest
import trio

from trio_copy.chain.dial import dial_network
from trio_copy.cli.troubles import Troubles
from trio_copy.errors import ConnectionLost, MarketsUnavailable, RestartBudgetExhausted, TrioCopyError

Capture = pytest.CaptureFixture[str]
_LOST = "node-1: cannot connect to node.example: refused; again in 0.24 s"
_AWAY = "data-api.example: refused"


@pytest.mark.parametrize(
    "kind, detail, error, told",
    [
        ("endpoint-lost", _LOST, None, f"endpoint-lost: {_LOST} (and 1 more)\n"),
        (
            "endpoint-lost",
            _LOST,
            RestartBudgetExhausted("the last failure: cannot connect to node.example: refused"),
            "",
        ),
        ("markets-away", _AWAY, MarketsUnavailable(_AWAY), ""),
        ("markets-away", _AWAY, TrioCopyError("something else"), f"markets-away: {_AWAY} (and 1 more)\n"),
        ("markets-away", _AWAY, KeyboardInterrupt(), f"markets-away: {_AWAY} (and 1 more)\n"),
    ],
)
def test_what_ended_a_command_is_not_told_twice(
    capsys: Capture, kind: str, detail: str, error: BaseException | None, told: str
) -> None:
    """Whoever called it says why it ended; also where that comes in a group of a nursery."""

    def run(raised: BaseException | None) -> None:
        with Troubles() as troubles:
            troubles.note(kind, detail)
            troubles.note(kind, "another time")
            if raised is not None:
                raise raised

    for raised in (error, error and BaseExceptionGroup("of a nursery", [error])):
        if raised is None:
            run(None)
        else:
            with pytest.raises(type(raised)):
                run(raised)
        assert capsys.readouterr().err == told


async def test_a_host_that_nobody_knows_is_told_without_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's number of the error says nothing to a person."""

    async def nobody(host: str, port: int) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(trio, "open_tcp_stream", nobody)
    with pytest.raises(ConnectionLost) as raised:
        await dial_network("wss://nowhere.example")
    assert str(raised.value) == "cannot connect to nowhere.example: Name or service not known"
