"""A venue that matches each order at once, over TLS, as a process of its own: what it costs is not in our figures.

`python -m bench.instant_venue FOLDER` makes a certificate in there with openssl, prints its port, and serves until it is killed.
It believes whatever is signed, knows every token, and says of every order that it is settled. The venue for proofs is
`trio_copy.testing.clob_venue`.
"""

import base64
import os
import ssl
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import trio

from tests.testing.venue_client import order_id
from trio_copy.clock import anchored_wall_clock
from trio_copy.model.units import Price, Usd

_CERTIFICATE, _KEY = "venue.pem", "venue.key"
_END = b"\r\n\r\n"
_PLENTY = "1000000"
_WALL = anchored_wall_clock()
_TAKEN: dict[str, dict[str, Any]] = {}
"""By the id of the order: its row, and under its trades the row of its only one."""


@contextmanager
def started(folder: Path) -> Generator[str, None, None]:
    """Start it, let this process and those that it starts believe its certificate, and return its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.instant_venue", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        os.environ["SSL_CERT_FILE"] = str(folder / _CERTIFICATE)
        yield f"https://localhost:{port}"
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = ("-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", str(folder / _KEY), "-out", str(folder / _CERTIFICATE))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    subprocess.run(["openssl", "req", "-x509", *curve, *wanted, *files], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / _CERTIFICATE, folder / _KEY)
    trio.run(_serve, tls)


async def _serve(tls: ssl.SSLContext) -> None:
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SSLListener[trio.SocketStream]] = await nursery.start(
            partial(trio.serve_ssl_over_tcp, _talk, 0, tls, host="127.0.0.1", https_compatible=True)
        )
        listener = listeners[0].transport_listener
        assert isinstance(listener, trio.SocketListener)
        print(listener.socket.getsockname()[1], flush=True)


async def _talk(stream: trio.SSLStream[trio.SocketStream]) -> None:
    came = bytearray()
    try:
        while True:
            while (ends := came.find(_END)) < 0:
                chunk = await stream.receive_some()
                if not chunk:
                    return
                came += chunk
            first, *rows = bytes(came[:ends]).decode().split("\r\n")
            headers = dict(row.lower().split(": ", 1) for row in rows)
            whole = ends + len(_END) + int(headers.get("content-length", 0))
            while len(came) < whole:
                came += await stream.receive_some()
            method, target, _ = first.split(" ")
            body = _answer(method, target, headers, bytes(came[ends + len(_END) : whole]))
            del came[:whole]
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            await stream.send_all(head.encode() + body)
    except trio.BrokenResourceError:
        return


def _answer(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(target)
    name = parts.path.rsplit("/", 1)[-1]
    return msgspec.json.encode(_told(f"{method} /{parts.path.split('/')[1]}", name, parts.query, headers, body))


def _told(route: str, name: str, query: str, headers: Mapping[str, str], body: bytes) -> Any:  # noqa: ANN401  of JSON
    match route:
        case "POST /order":
            return _matched(msgspec.json.decode(body))
        case "POST /auth":
            drawn = sha256(headers["poly_address"].encode()).digest()
            secret = base64.urlsafe_b64encode(drawn).decode()
            return {"apiKey": drawn.hex()[:32], "secret": secret, "passphrase": drawn.hex()}
        case "GET /time":
            return int(_WALL())
        case "GET /markets-by-token":
            return {"condition_id": f"0x{int(name):064x}"}
        case "GET /clob-markets":
            fee = {"r": 0.02, "e": 1, "to": True}
            return {
                "t": [{"t": str(int(name, 16)), "o": "Yes"}],
                "mts": 0.01,
                "mos": 5,
                "nr": False,
                "fd": fee,
                "ao": True,
            }
        case "GET /book":
            bids, asks = ([{"price": price, "size": _PLENTY}] for price in ("0.49", "0.50"))
            token = parse_qs(query)["token_id"][0]
            return {"asset_id": token, "timestamp": str(int(1000 * _WALL())), "bids": bids, "asks": asks}
        case "GET /data" if name in _TAKEN:
            return _TAKEN[name]
        case "GET /data":
            mine = [one["trade"] for one in _TAKEN.values() if one["trade"]["signer"] == headers["poly_address"]]
            return {"data": mine, "next_cursor": "LTE="}
        case _:
            return {"closed_only": False, "tier": "elite"}


def _matched(posted: Mapping[str, Any]) -> dict[str, Any]:
    making, taking = (str(Usd(int(posted["order"][name]))) for name in ("makerAmount", "takerAmount"))
    its_id, order = order_id(posted), posted["order"]
    trade = {
        "id": its_id[:38],
        "taker_order_id": its_id,
        "asset_id": order["tokenId"],
        "side": order["side"],
        "size": taking,
        "price": str(Price(10**6 * int(order["makerAmount"]) // int(order["takerAmount"]))),
        "status": "CONFIRMED",
        "maker_orders": [],
        "signer": order["signer"].lower(),
    }
    _TAKEN[its_id] = {
        "id": its_id,
        "status": "MATCHED",
        "size_matched": taking,
        "associate_trades": [trade["id"]],
        "trade": trade,
    }
    return {
        "success": True,
        "errorMsg": "",
        "orderID": its_id,
        "status": "matched",
        "makingAmount": making,
        "takingAmount": taking,
        "transactionsHashes": [its_id],
        "tradeIDs": [its_id[:38]],
    }


if __name__ == "__main__":
    main()
