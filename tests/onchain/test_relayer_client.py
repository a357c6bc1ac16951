"""A relayer over a real socket: requests are those of the venue's own client, answers are bounded and read strictly."""

import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from attrs import evolve

from tests.builders import NOW, POLYGON
from tests.transactions.test_relayed import CALLS, KEY, KINDS, WALLET, relayed
from trio_copy.model.orders import SignatureType
from trio_copy.sockets import open_socket
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.relayer import BuilderKey, Relayer, RelayerKey, RelayerServer, open_relayer
from trio_copy.testing.relayer.requests import read_submitted, signer_of_request
from trio_copy_onchain.relayer.client import Params, RelayerClient, State, Told, read_params, read_taken
from trio_copy_onchain.relayer.credentials import Credentials, credentials_of
from trio_copy_onchain.relayer.http import Asker, NoReply, Reply
from trio_copy_onchain.relayer.settings import RelayerSettings
from trio_copy_onchain.relayer.texts import Refusal, Row, read_refusal
from trio_copy_onchain.relayer.wire import request_of

BODIES = msgspec.json.decode((Path(__file__).parents[1] / "data" / "relayer_bodies.json").read_bytes())
SECRET = "A" * 43 + "="
OURS = RelayerSettings(key="0192-key", key_address=KEY.address)
BUILDERS = RelayerSettings(builder_key="b-key", builder_secret=SECRET, builder_passphrase="b-pass")
THEIRS = (
    RelayerKey(key="0192-key", address=KEY.address),
    BuilderKey(key="b-key", secret=SECRET, passphrase="b-pass"),
)


@asynccontextmanager
async def open_both(settings: RelayerSettings = OURS) -> AsyncGenerator[tuple[RelayerServer, RelayerClient], None]:
    relayer = Relayer(now=lambda: NOW, chain_id=POLYGON, keys=THEIRS)
    for kind in KINDS:
        relayer.add_wallet(kind, KEY.address, WALLET)
    async with open_relayer(relayer) as server:
        credentials = credentials_of(settings)
        assert credentials is not None
        yield server, _client(server, credentials)


def _client(server: RelayerServer, credentials: Credentials, timeout_s: float = 5.0) -> RelayerClient:
    asker = Asker(url=server.address, open_socket=server.open_socket)
    return RelayerClient(asker=asker, credentials=credentials, wall=lambda: NOW, timeout_s=timeout_s)


@pytest.mark.parametrize("at", range(len(BODIES)))
def test_requests_are_those_of_the_venues_own_client(at: int) -> None:
    body = BODIES[at]
    one = relayed(KINDS[body["type"]], CALLS[: 1 + at % 2])
    ours = request_of(one, KEY.sign(one.digest))
    assert msgspec.json.decode(ours) == body
    submitted = read_submitted(ours)
    assert signer_of_request(submitted, POLYGON) == KEY.address
    assert [(call.to, call.value, call.data) for call in submitted.calls] == [
        (call.to, call.value, call.data) for call in one.calls
    ]


def test_a_single_call_of_a_safe_may_bring_coin() -> None:
    one = relayed(SignatureType.SAFE, (CALLS[1],))
    assert read_submitted(request_of(one, KEY.sign(one.digest))).value == CALLS[1].value


@pytest.mark.parametrize("settings", [OURS, BUILDERS], ids=["relayer-key", "builder-key"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_params_submit_and_follow_over_a_real_socket(settings: RelayerSettings, kind: SignatureType) -> None:
    async with open_both(settings) as (server, client):
        params = await client.params(kind, KEY.address, inf)
        assert isinstance(params, Params)
        assert params.nonce == 0
        one = relayed(kind, nonce=0, relay=params.address, deadline=int(NOW) + 600)
        told = await client.submit(request_of(one, KEY.sign(one.digest)), inf)
        assert isinstance(told, Told)
        with trio.fail_after(5):
            while (now := await client.transaction(told.transaction_id, inf)) is not None:
                assert isinstance(now, Told)
                if now.state is State.CONFIRMED:
                    break
        assert now is not None
        assert now.tx_hash is not None
        assert await client.transaction("unheard-of", inf) is None
        again = await client.submit(request_of(one, KEY.sign(one.digest)), inf)
        assert isinstance(again, Refusal)
        assert (again.row, again.nonce) == (Row.NONCE, 1)
        assert len(server.relayer.taken) == 1


async def test_nobody_without_a_key_is_heard_and_no_key_is_repeated() -> None:
    for settings in (evolve(OURS, key="other"), evolve(BUILDERS, builder_secret="B" * 43 + "=")):
        async with open_both(settings) as (_, client):
            refusal = await client.params(SignatureType.SAFE, KEY.address, inf)
            assert isinstance(refusal, Refusal)
            assert refusal.row is Row.KEY
            shown = repr((refusal, client, settings))
            assert not any(secret in shown for secret in ("other", "B" * 43, "b-pass"))


async def test_a_signature_of_somebody_else_is_no_order() -> None:
    async with open_both() as (server, client):
        one = relayed(SignatureType.SAFE, nonce=0)
        other = evolve(one, nonce=1)
        told = await client.submit(request_of(one, KEY.sign(other.digest)), inf)
        assert isinstance(told, Refusal)
        assert (told.row, server.relayer.taken) == (Row.UNKNOWN, {})


@pytest.mark.parametrize("body", [body for body in Body if body is not Body.RIGHT])
async def test_hostile_answers_prove_nothing(body: Body) -> None:
    async with open_both() as (server, client):
        server.relayer.faults.body = body
        told = await client.params(SignatureType.SAFE, KEY.address, inf)
        assert isinstance(told, Refusal)
        assert told.row is Row.UNKNOWN
        assert len(told.words) < 400
        assert "\n" not in told.words


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for localhost, and its key, in one file."""
    made = tmp_path / "both.pem"
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    new += f" -addext subjectAltName=DNS:localhost -keyout {made} -out -"
    written = subprocess.run(new.split(), check=True, capture_output=True).stdout
    made.write_bytes(made.read_bytes() + written)
    return made


async def test_only_the_host_that_was_named_hears_a_request(certificate: Path) -> None:
    """A certificate that is not good for it ends the connection before a byte of the request has left."""
    heard: list[bytes] = []
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            heard.append(bytes(await stream.receive_some(1000)))
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_ssl_over_tcp, serve, 0, served, host="127.0.0.1", https_compatible=True)
        )
        port = listeners[0].transport_listener.socket.getsockname()[1]
        trusting = partial(ssl.create_default_context, cafile=str(certificate))
        for host, tls, reply in (
            ("localhost", trusting, Reply(status=200, body=b"ok")),
            ("127.0.0.1", trusting, None),
            ("localhost", ssl.create_default_context, None),
        ):
            asker = Asker(url=f"https://{host}:{port}/below", open_socket=open_socket, tls=tls)
            told = await asker.ask("GET", "/x", until=trio.current_time() + 5)
            assert told == reply or (isinstance(told, NoReply) and not told.sent)
        nursery.cancel_scope.cancel()
    (request,) = [one for one in heard if one]
    assert request.startswith(b"GET /below/x HTTP/1.1\r\n")


async def test_a_deadline_that_is_too_near_is_not_taken() -> None:
    async with open_both() as (server, client):
        one = relayed(SignatureType.DEPOSIT, nonce=0, deadline=int(NOW) + 299)
        told = await client.submit(request_of(one, KEY.sign(one.digest)), inf)
        assert isinstance(told, Refusal)
        assert (told.row, server.relayer.refused) == (Row.UNKNOWN, ["deadline too soon"])


async def test_what_may_have_arrived_is_told_apart_from_what_has_not() -> None:
    async with open_both() as (server, client):
        server.relayer.faults.stall = True
        short = _client(server, client.credentials, timeout_s=0.1)
        for until, row in ((inf, Row.UNKNOWN), (trio.current_time() - 1, Row.UNREACHED)):
            told = await short.submit(b"{}", until)
            assert isinstance(told, Refusal)
            assert told.row is row
        server.relayer.faults.clear()
    told = await client.submit(b"{}", inf)
    assert isinstance(told, Refusal)
    assert told.row is Row.UNREACHED


@pytest.mark.parametrize(
    "answer",
    [
        {"address": "0x12", "nonce": "1"},
        {"address": WALLET, "nonce": 1},
        {"address": WALLET, "nonce": "-1"},
        {"address": WALLET, "nonce": "1" * 79},
        {"address": WALLET, "nonce": "\u0661"},
        {"address": WALLET},
        [],
        None,
    ],
)
def test_parameters_that_are_none_are_no_answer(answer: object) -> None:
    told = read_params(msgspec.json.encode(answer))
    assert isinstance(told, Refusal)
    assert told.row is Row.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        {"state": "STATE_NEW", "transactionID": "a/../b"},
        {"state": "STATE_NEW", "transactionID": "a?b"},
        {"state": "STATE_NEW", "transactionID": ""},
        {"state": "STATE_ODD", "transactionID": "a"},
        {"state": "STATE_NEW", "transactionID": "a", "transactionHash": "0x12"},
        {"state": "STATE_NEW"},
    ],
)
def test_an_id_that_could_not_be_asked_for_is_none(answer: object) -> None:
    told = read_taken(msgspec.json.encode(answer))
    assert isinstance(told, Refusal)
    assert told.row is Row.UNKNOWN


QUOTA = "quota exceeded: 0 units remaining, resets in 4242 seconds"


@pytest.mark.parametrize(
    "status, text, row",
    [
        (400, "wallet busy: 0xabc already has an active action", Row.BUSY),
        (400, "Wallet Busy for 0xabc, ACTIVE ACTION pending", Row.BUSY),
        (400, "wallet has in-flight action", Row.BUSY),
        (400, "batch nonce 3 does not match on-chain nonce 5", Row.NONCE),
        (400, "error: batch nonce  3  does not match on-chain nonce 5!", Row.NONCE),
        (400, "batch nonce 5 does not match on-chain nonce 3", Row.BUSY),
        (400, "call blocked: call[0] blocked: calls to 0xd91e are not permitted", Row.BLOCKED),
        (429, QUOTA, Row.QUOTA),
        (429, "Too Many Requests", Row.LIMIT),
        (401, "invalid authorization", Row.KEY),
        (403, "forbidden", Row.KEY),
        (400, "invalid payload", Row.UNKNOWN),
        (404, "not found", Row.UNKNOWN),
        (500, "wallet busy: active action", Row.UNKNOWN),
        (503, "", Row.UNKNOWN),
    ],
)
def test_each_text_has_its_row(status: int, text: str, row: Row) -> None:
    refusal = read_refusal(status, msgspec.json.encode({"error": text}))
    assert refusal.row is row
    if row is Row.NONCE:
        assert refusal.nonce == 5
    assert refusal.rest_s == (4242 if text == QUOTA else 0)
    # A body that is no JSON says the same.
    assert read_refusal(status, text.encode()).row is row


def test_how_long_to_wait_is_bounded() -> None:
    assert read_refusal(429, b"", "7").rest_s == 7
    assert read_refusal(429, b"", "999999999").rest_s == 86_400
    assert read_refusal(429, b"", "-1").rest_s == 0
    assert read_refusal(429, b'{"error":"quota exceeded, resets in 999999999 seconds"}').rest_s == 86_400


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "k"},
        {"key_address": KEY.address},
        {"builder_key": "a", "builder_secret": SECRET},
        {"key": "k", "key_address": KEY.address, "builder_key": "a"},
        {"key": "a\r\nb: c", "key_address": KEY.address},
        {"builder_key": "a", "builder_secret": "?", "builder_passphrase": "c"},
    ],
)
def test_a_key_that_is_not_whole_is_refused_in_one_line(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*expected [^\n]+$"):
        credentials_of(RelayerSettings(**changes))


def test_without_a_key_there_is_no_relayer() -> None:
    assert credentials_of(RelayerSettings()) is None


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://x", "https://", "https://u:p@x", "https://x?a=b", "https://x/#f", "https://[x"]
)
def test_a_server_is_named_by_https(url: str) -> None:
    with pytest.raises(ValueError, match="expected https://HOST"):
        RelayerSettings(url=url)


def test_a_builders_headers_are_those_of_the_venues_own_client() -> None:
    """The vector is the official one of the same HMAC."""
    credentials = credentials_of(BUILDERS)
    assert credentials is not None
    headers = dict(credentials.headers("test-sign", "/orders", b'{"hash": "0x123"}', 1_000_000.9))
    assert headers == {
        "POLY_BUILDER_API_KEY": "b-key",
        "POLY_BUILDER_PASSPHRASE": "b-pass",
        "POLY_BUILDER_SIGNATURE": "ZwAdJKvoYRlEKDkNMwd5BuwNNtg93kNaR_oU2HrfVvc=",
        "POLY_BUILDER_TIMESTAMP": "1000000",
    }
