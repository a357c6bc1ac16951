"""Who asks our venue: keys, the headers that make them, and those that use them."""

from collections.abc import Callable

import pytest
import trio.testing

from tests.builders import NOW
from tests.testing.venue_client import ask, open_venue, trader

OTHER = "0x" + "99" * 20

BROKEN: dict[str, Callable[[dict[str, str]], object]] = {
    "nothing": dict.clear,
    "no address": lambda headers: headers.pop("POLY_ADDRESS"),
    "another address": lambda headers: headers.update(POLY_ADDRESS=OTHER),
    "no time": lambda headers: headers.update(POLY_TIMESTAMP="soon"),
    "another signature": lambda headers: headers.update(POLY_SIGNATURE="0x" + "11" * 65),
    "no signature": lambda headers: headers.update(POLY_SIGNATURE="€".encode().decode("latin-1")),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_headers_that_are_wrong_are_refused(clock: trio.testing.MockClock, name: str) -> None:
    async with open_venue() as server:
        one = await trader(server)
        first, second = one.l1(nonce=1), one.l2("GET", "/data/orders", b"")
        for headers, method, path, text in (
            (first, "POST", "/auth/api-key", "Invalid L1 Request headers"),
            (first, "GET", "/auth/derive-api-key", "Invalid L1 Request headers"),
            (second, "GET", "/data/orders", "Unauthorized/Invalid api key"),
        ):
            broken = dict(headers)
            BROKEN[name](broken)
            reply = await ask(server, method, path, b"", broken)
            assert (reply.status, reply.error) == (401, text)


@pytest.mark.parametrize("off_s", [-100, -61, -59, 0, 59, 61, 100])
async def test_headers_are_judged_by_the_venues_clock(clock: trio.testing.MockClock, off_s: int) -> None:
    async with open_venue() as server:
        one = await trader(server)
        server.faults.clock_off_s = off_s
        assert (await ask(server, "GET", "/time", b"", {})).json == NOW + off_s
        expected = 200 if abs(off_s) < 60 else 401
        assert (
            await ask(server, "GET", "/data/orders", b"", one.l2("GET", "/data/orders", b"", at=NOW))
        ).status == expected
        assert (await ask(server, "POST", "/auth/api-key", b"", one.l1(nonce=2, at=NOW))).status == expected
        assert (await one.ask("GET", "/data/orders")).status == 200


async def test_the_bytes_that_came_are_what_has_to_be_signed(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        signed = one.l2("DELETE", "/orders", b'["0x1"]')
        assert (await ask(server, "DELETE", "/orders", b'["0x1"]', signed)).status == 400
        for method, path, body in (("DELETE", "/orders", b'["0x1" ]'), ("POST", "/orders", b'["0x1"]')):
            assert (await ask(server, method, path, body, signed)).status == 401


async def test_keys_are_made_derived_listed_and_forgotten(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one = await trader(server)
        derived = await ask(server, "GET", "/auth/derive-api-key", b"", one.l1())
        assert derived.json == one.api
        again = await ask(server, "POST", "/auth/api-key", b"", one.l1())
        assert (again.status, again.error) == (400, "Could not create api key")
        none = await ask(server, "GET", "/auth/derive-api-key", b"", one.l1(nonce=9))
        assert (none.status, none.error) == (400, "Could not derive api key!")
        second = await ask(server, "POST", "/auth/api-key", b"", one.l1(nonce=9))
        assert (await one.ask("GET", "/auth/api-keys")).json == {"apiKeys": [one.api["apiKey"], second.json["apiKey"]]}

        assert (await one.ask("DELETE", "/auth/api-key")).status == 200
        assert (await one.ask("GET", "/auth/api-keys")).status == 401
        made = await ask(server, "POST", "/auth/api-key", b"", one.l1())
        assert made.json["secret"] != one.api["secret"]


async def test_a_key_speaks_for_itself_alone(clock: trio.testing.MockClock) -> None:
    async with open_venue() as server:
        one, other = await trader(server), await trader(server, 2)
        resting = one.order("BUY", "2", "5", "GTC")
        placed = (await one.post(resting)).json["orderID"]
        assert (await other.ask("DELETE", "/order", {"orderID": placed})).json["canceled"] == []
        assert (await other.ask("GET", f"/data/order/{placed}")).json is None
        assert (await other.ask("GET", "/data/orders")).json["data"] == []
