"""The official client as a program that creates and posts orders; see `bench.clob`, and `tests.official` for where it runs."""

import json
import sys
import threading
import time
from typing import Any

from httpcore._backends.sync import SyncStream
from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import CreateOrderOptions, OrderArgsV2, OrderType

OPTIONS = CreateOrderOptions(tick_size="0.01", neg_risk=False)
OPTIONS.version = 2
_left: list[float] = []
_write = SyncStream.write


def _noting(self: SyncStream, buffer: bytes, timeout: float | None = None) -> None:
    if buffer.startswith(b'{"order"'):
        _left.append(time.perf_counter())
    _write(self, buffer, timeout)


SyncStream.write = _noting  # type: ignore[method-assign]


def _client(wish: dict[str, Any]) -> ClobClient:
    client = ClobClient(wish["host"], 137, wish["private_key"])
    client.set_api_creds(client.create_api_key())
    client._ClobClient__tick_sizes[wish["token_id"]] = "0.01"  # what it would have asked the venue once
    return client


def _trade(client: ClobClient, token_id: str, count: int) -> None:
    for _ in range(count):
        made = client.create_order(OrderArgsV2(token_id=token_id, price=0.5, size=20.0, side="BUY"), OPTIONS)
        answer = client.post_order(made, OrderType.FAK)
        assert answer["status"] == "matched", answer


def trade(wish: dict[str, Any]) -> dict[str, Any]:
    """Create and post `count` orders in each of so many threads; returns processor time, and when bytes left after the start."""
    client = _client(wish)
    _trade(client, wish["token_id"], 3)
    threads = [
        threading.Thread(target=_trade, args=(client, wish["token_id"], wish["count"]))
        for _ in range(wish["in_flight"])
    ]
    _left.clear()
    used, began = time.process_time(), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"cpu_s": time.process_time() - used, "left_s": [at - began for at in _left]}


for line in sys.stdin:
    sys.stdout.write(json.dumps(trade(json.loads(line))) + "\n")
    sys.stdout.flush()
