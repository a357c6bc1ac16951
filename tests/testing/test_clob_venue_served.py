"""Our venue as others meet it: wallets and exchanges, buckets, channels, addresses, files, a process of its own."""

import signal
from pathlib import Path
from typing import Any

import h11
import msgspec
import pytest
import trio
import trio.testing
import trio_websocket

from tests.builders import NOW
from tests.testing.venue_client import CONDITION, YES, Trader, ask, ask_at, key_of, open_venue, order_id, trader
from trio_copy.model.units import Price
from trio_copy.sockets import open_socket
from trio_copy.testing.clob_venue import (
    Accepted,
    Filled,
    open_clob_venue,
    read_record,
)
from trio_copy.testing.clob_venue.__main__ import Asked, main, serve
from trio_copy.testing.clob_venue.signatures import attestation_signer, read_signature


@pytest.mark.parametrize("exchange", ["v2", "v2-neg-risk", "v3"])
@pytest.mark.parametrize("kind", [0, 1, 2, 3])
async def test_every_wallet_trades_on_every_exchange(clock: trio.testing.MockClock, exchange: str, kind: int) -> None:
    async with open_venue(neg_risk=exchange == "v2-neg-risk", exchange=3 if exchange == "v3" else 2) as server:
        one = await trader(server, kind=kind)
        body = one.order("BUY", "3", "5", exchange=exchange)
        assert (await one.post(body)).json["orderID"] == order_id(body, exchange)
        (accepted,) = server.clob.record.of(Accepted)
        assert (accepted.exchange, accepted.maker, accepted.signature_type) == (exchange, one.wallet.address, kind)


async def test_batches_are_answered_one_by_one(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        good, bad = one.order("BUY", "3", "5"), one.order("BUY", "2.5", "5")
        rows = (await one.ask("POST", "/orders", [good, bad, good])).json
        assert [row["orderID"] for row in rows] == [order_id(good), "", ""]
        assert rows[1]["success"] is True
        assert rows[1]["errorMsg"].startswith("no orders found to match")
        assert rows[2]["errorMsg"].endswith("Duplicated.")


async def test_signers_have_buckets(clock: trio.testing.MockClock) -> None:
    """Sixty orders at once and forty a second, each signer by himself, and cancels apart from them."""
    async with open_venue() as server:
        one, other = await trader(server), await trader(server, 2)
        assert (await one.ask("GET", "/v1/user/rate-limit-tier")).json["tier"] == "Standard"
        resting = [one.order("BUY", "0.05", "5", "GTC") for _ in range(15)]
        replies = [await one.ask("POST", "/orders", resting) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 200, 429]
        assert (replies[-1].error, replies[-1].headers["retry-after"]) == ("Too Many Requests", "1")
        assert (await other.post(other.order("BUY", "3", "5"))).headers["poly-ratelimit-remaining"] == "59"
        assert (await one.ask("DELETE", "/cancel-all")).status == 200
        await trio.sleep(1)
        assert [(await one.ask("POST", "/orders", resting)).status for _ in range(3)] == [200, 200, 429]


async def test_an_address_that_asks_too_often_is_answered_later(clock: trio.testing.MockClock) -> None:
    """Whoever signs, and not refused: two hundred balances in ten seconds, and each further one waits for its turn."""
    async with open_venue() as server:
        traders = (await trader(server), await trader(server, 2))
        waited: list[float] = []
        for _ in range(199):
            assert server.clob.limits.wait_s("GET", "/balance-allowance") == 0
        for path in (*["/balance-allowance?asset_type=COLLATERAL"] * 4, "/v1/user/rate-limit-tier"):
            began = trio.current_time()
            assert (await traders[len(waited) % 2].ask("GET", path)).status == 200
            waited.append(round(trio.current_time() - began, 2))
        assert waited == [0, 0.05, 0.05, 0.05, 0]


async def test_the_user_channel_tells_of_orders_and_trades(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server, trio.open_nursery() as nursery:
        one = await trader(server)

        async def listen(**auth: Any) -> trio_websocket.WebSocketConnection:
            stream: Any = await server.open_socket("127.0.0.1", server.port)
            socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", "/ws/user")
            await socket.send_message(msgspec.json.encode({"type": "user", "auth": auth}).decode())
            return socket

        known = {"secret": one.api["secret"], "passphrase": one.api["passphrase"]}
        stranger = await listen(apiKey=one.api["apiKey"], secret="x", passphrase="y")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await stranger.get_message()
        socket = await listen(apiKey=one.api["apiKey"], **known)
        await socket.send_message("PING")
        assert await socket.get_message() == "PONG"

        other = await trader(server, 2)
        await other.post(other.order("BUY", "2", "5", "GTC"))  # which is nobody else's business
        resting = (await one.post(one.order("BUY", "2", "5", "GTC"))).json["orderID"]
        server.clob.trade_against(resting)
        await trio.sleep(5)
        canceled = (await one.post(one.order("BUY", "2", "5", "GTC"))).json["orderID"]
        await one.ask("DELETE", "/order", {"orderID": canceled})
        told = [msgspec.json.decode(await socket.get_message()) for _ in range(7)]
        assert [(row["event_type"], row["type"], row["status"]) for row in told] == [
            ("order", "PLACEMENT", "LIVE"),
            ("order", "UPDATE", "MATCHED"),
            ("trade", "TRADE", "MATCHED"),
            ("trade", "TRADE", "MINED"),
            ("trade", "TRADE", "CONFIRMED"),
            ("order", "PLACEMENT", "LIVE"),
            ("order", "CANCELLATION", "CANCELED"),
        ]
        assert told[1]["size_matched"] == "5"
        assert told[2]["maker_orders"][0]["order_id"] == resting
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["/ws/user", "/ws/market"])
@pytest.mark.parametrize("said", ["[[", "{}", "1", '{"assets_ids":[{}]}', '{"auth":{"apiKey":1}}', b"\xff"])
async def test_whoever_says_nonsense_is_hung_up_on(clock: trio.testing.MockClock, path: str, said: str | bytes) -> None:
    async with open_venue() as server, trio.open_nursery() as nursery:
        stream: Any = await server.open_socket("127.0.0.1", server.port)
        socket = await trio_websocket.wrap_client_stream(nursery, stream, "venue", path)
        await socket.send_message(said)
        with pytest.raises(trio_websocket.ConnectionClosed):
            await socket.get_message()
        assert (await ask(server, "GET", "/ok", b"", {})).json == "OK"
        nursery.cancel_scope.cancel()


async def test_nobody_reads_a_body_without_end(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
            await one.ask("POST", "/order", b" " * (5 << 20))
        assert (await one.ask("GET", "/data/orders")).status == 200


async def test_ticks_change_and_are_told(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        assert b"0.01" in (await ask(server, "GET", f"/tick-size?token_id={YES}", b"", {})).body
        event = server.clob.change_tick(CONDITION, Price.parse("0.001"))
        assert [row["new_tick_size"] for row in msgspec.json.decode(event)] == ["0.001", "0.001"]
        assert (await ask(server, "GET", f"/book?token_id={YES}", b"", {})).json["tick_size"] == "0.001"
        assert (await one.post(one.order("BUY", "3.005", "5", "GTC"))).status == 200


async def test_one_address_serves_everything(clock: trio.testing.MockClock) -> None:
    """With the names of the hosts before the paths, as a market server has them, and without."""
    async with open_venue() as server:
        for prefix, target in (
            ("/data", f"/v2/tokens?token_id={YES}"),
            ("/gamma", f"/markets?condition_ids={CONDITION}&closed=false"),
            ("/clob", f"/book?token_id={YES}"),
            ("/clob", f"/clob-markets/{CONDITION}"),
            ("/clob", f"/markets-by-token/{YES}"),
            ("/clob", f"/midpoint?token_id={YES}"),
            ("/clob", "/api/geoblock"),
            ("/clob", "/version"),
        ):
            bare = await ask(server, "GET", target, b"", {})
            assert bare.status == 200
            assert (await ask(server, "GET", prefix + target, b"", {})).body == bare.body


async def test_the_record_is_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    async with open_clob_venue(lambda: NOW, record=file) as server:
        key = key_of(1)
        one = Trader(server, key, server.clob.put_wallet(key.address))
        assert (await one.ask("POST", "/auth/api-key", level=1)).status == 200
        assert (await one.ask("GET", "/data/orders", level=0)).status == 401
        lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [(line["kind"], line["status"], line["text"]) for line in lines] == [
        ("answered", 200, ""),
        ("answered", 401, "Unauthorized/Invalid api key"),
    ]


async def test_a_record_is_read_as_it_was_written(clock: trio.testing.MockClock, tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    async with open_venue(record=file) as server:
        one = await trader(server)
        assert (await one.post(one.order("BUY", "3", "5"))).status == 200
        assert (await one.post(one.order("BUY", "0", "5"))).status == 400
        await trio.sleep(10)
        entries = server.clob.record.entries
        assert {type(entry).__name__ for entry in entries} == {"Answered", "Accepted", "Filled", "Settled", "Ended"}
        read = read_record(file)
        assert read.entries == entries
        assert read.fills(read.of(Filled)[0].order_id) == read.of(Filled)
    file.write_text('{"kind":"settled","at_ms":1}\n')
    with pytest.raises(
        ValueError, match=r"record.jsonl: expected a record, got b'\{\"kind\":\"settled\",\"at_ms\":1\}'"
    ):
        read_record(file)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--fault", "settels"], 'did you mean "settles"?'),
        (["--fault", "x"], "they are listed by: python -m trio_copy.testing.clob_venue --help"),
        (["--fault", "settles=soon"], "settles: expected promptly|never|retried|failed|undone"),
        (["--port", "70000"], "--port: expected a port from 0 to 65535, got '70000'"),
        (["--record", "/nowhere/at/all"], "--record: expected a file that can be written"),
    ],
)
def test_what_cannot_be_is_said_at_once(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    try:
        code = main(words)
    except SystemExit as end:  # argparse's way
        assert isinstance(end.code, int)
        code = end.code
    assert code == 2
    assert told in capsys.readouterr().err


async def test_it_serves_until_it_is_told_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The port stands alone on the first line, the addresses below it as settings name them; wallets need no introduction."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Asked(record=tmp_path / "record", every_s=0, usd=7, fault=("clock_off_s=100",)))
        await trio.testing.wait_all_tasks_blocked(0.05)
        port, *urls = capsys.readouterr().out.splitlines()
        assert urls[2] == f'clob_url = "http://127.0.0.1:{port}"'
        time = await ask_at(open_socket, int(port), "GET", "/time", b"", {})
        assert (await ask_at(open_socket, int(port), "GET", "/data/orders", b"", {})).status == 401
        signal.raise_signal(signal.SIGTERM)
    assert time.json > NOW
    assert b'"path":"/data/orders"' in (tmp_path / "record").read_bytes()


def test_vectors_of_the_venue_are_read(load_data: Any) -> None:
    """Orders of all types on all exchanges, and headers, that the official client signed."""
    for case in load_data("polymarket_orders.json")["cases"]:
        order = {name: value for name, value in case["order"].items() if name != "expiration_unsigned_wire_only"}
        exchange = {
            version: name
            for name, version in (
                ("v2", "CTFExchangeV2"),
                ("v2-neg-risk", "NegRiskCtfExchangeV2"),
                ("v3", "ExchangeV3"),
            )
        }[case["exchange"]]
        signature = bytes.fromhex(case["signature"][2:])
        expected = (case["orderDigest_eq_orderID"], key_of(int("01" * 32, 16)).address)
        assert read_signature(order, signature, exchange, 137) == expected
    for case in load_data("polymarket_auth.json")["L1_ClobAuth"]["vectors"]:
        signature = bytes.fromhex(case["signature"][2:])
        told = (case["address"], case["timestamp"], case["nonce"], signature, case["chainId"])
        assert attestation_signer(*told) == case["address"].lower()
