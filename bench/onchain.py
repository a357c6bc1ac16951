"""How soon does a copy leave for the chain, and how many fit into blocks of a second? On a real node, in a process of its own.

The whole engine: logs over a WebSocket, books in SQLite, the guards' journal, a nonce and a signature for each copy. The decision is
the gate's; a copy has left when its bytes are about to be written to the nodes. The baseline is eth-account's signature.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from attrs import define, field

from bench.timing import percentile
from tests.builders import POLYGON
from tests.e2e.copying import running
from tests.harness import Recorder
from tests.onchain.living import CASH_MICRO, Kind, Living, Person
from trio_copy.cli.interpreter import tune_interpreter
from trio_copy.clock import anchored_wall_clock, cpu_seconds
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.model.units import MICRO
from trio_copy.native import SecretKey, keccak
from trio_copy.testing.anvil.leaders import Place
from trio_copy.testing.anvil.stage import open_stage

OPERATORS = (1, 8, 20)
SIGNALS, BLOCKS, WARM = 12, 8, 4
IN_FLIGHT = 16
_DOLLARS = 11
"""A tenth of it is copied: as little as is worth its gas, for all buy of one market maker."""
_LIMIT_S = 300
_LIQUIDITY_USD = 900_000


def main() -> None:
    tune_interpreter()
    print("copies by transaction: the whole engine and a real node, both on this machine")
    for operators in OPERATORS:
        trio.run(_latency, operators)
    for operators in OPERATORS:
        trio.run(_throughput, operators)


@define(eq=False)
class _Leaving:
    """When copies were about to leave."""

    at: list[float] = field(factory=list)

    def note(self, point: str) -> None:
        if point == "onchain: written down":
            self.at.append(_WALL())


_WALL = anchored_wall_clock()


async def _latency(operators: int) -> None:
    """Each operator copies each signal once, in a wallet that is its own account."""
    leaving, taken = _Leaving(), list[float]()
    async with _copying(operators, 1, Kind.EOA, leaving) as (living, recorder):
        used = 0.0
        for number in range(SIGNALS):
            if number == 2:
                used = cpu_seconds()
            leaving.at.clear()
            await living.trade(Place.NO if number % 2 else Place.YES, Side.BUY, _DOLLARS)
            await recorder.wait_copies((number + 1) * operators)
            if number >= 2:
                decided = recorder.finished[-1].task.decided_at
                taken += [at - decided for at in leaving.at[:operators]]
        used = cpu_seconds() - used
    ordered = sorted(taken)
    p50, p99 = (1e3 * percentile(ordered, part) for part in (0.5, 0.99))
    cpu = 1e3 * used / ((SIGNALS - 2) * operators)
    print(
        f"  {operators:>2} operators: decision to broadcast p50 {p50:6.1f} ms, p99 {p99:6.1f} ms; CPU per copy {cpu:5.2f} ms"
    )


async def _throughput(operators: int) -> None:
    """Sixteen Safes of each operator copy one signal after the other, in blocks of a second."""
    copies = operators * IN_FLIGHT
    async with _copying(operators, IN_FLIGHT, Kind.SAFE, _Leaving()) as (living, recorder):
        await living.trade(Place.YES, Side.BUY, _DOLLARS)
        await recorder.wait_copies(copies)
        await living.stage.chain.mine_every(1)
        async with trio.open_nursery() as nursery:
            # All in one block: from there on the operators have as much as they can send, also when the last one is counted.
            for number in range(WARM + BLOCKS + 1):
                place = Place.NO if number % 2 else Place.YES
                nursery.start_soon(living.trade, place, Side.BUY, _DOLLARS)
            await recorder.wait_copies(WARM * copies)  # until the pace of the blocks is known
            first, began, used = len(recorder.copies), _WALL(), cpu_seconds()
            await recorder.wait_copies(copies * (WARM + BLOCKS))
            took, used, done = _WALL() - began, cpu_seconds() - used, len(recorder.copies) - first
    each, cpu = done / took, 1e3 * used / done
    print(
        f"  {operators:>2} operators, {IN_FLIGHT} in flight each: {each:6.1f} copies/s into blocks of 1 s; CPU {cpu:5.2f} ms"
    )


@asynccontextmanager
async def _copying(
    operators: int, wallets_each: int, kind: Kind, leaving: _Leaving
) -> AsyncGenerator[tuple[Living, Recorder], None]:
    """Run an engine whose followers' wallets are sent for by so many operators."""
    with TemporaryDirectory(prefix="trio-copy-bench-") as folder, trio.fail_after(_LIMIT_S):
        secrets = [keccak(f"operator {number}".encode()) for number in range(operators)]
        people = {
            f"f{operator}-{number}": _person(f"f{operator}-{number}", kind, secrets[operator])
            for operator in range(operators)
            for number in range(wallets_each)
        }
        async with open_stage(Path(folder), POLYGON) as stage:
            living = Living(stage, _NO_DOOR, Path(folder), people)
            # However many copy, the price stays within their slippage.
            lender = stage.chain.accounts[0]
            await stage.chain.do(
                lender, stage.amm.pool, "addFunding(uint256,uint256[])", _LIQUIDITY_USD * MICRO, list[int]()
            )
            await stage.bring_leader(living.leader)
            for person in people.values():
                await stage.bring_wallet(person.wallet, [key.address for key in person.keys], CASH_MICRO)
            plan = living.plan("onchain", workers=len(people) + 10, send_timeout_s=60.0)
            keys = {person.name: person.keys[0] for person in people.values()}
            async with running(plan, stage.node.url, keys=keys, at=leaving.note) as (recorder, _):
                yield living, recorder


_NO_DOOR: Any = None
"""What stands between node and engine would cost as much as the engine."""


def _person(name: str, kind: Kind, secret: bytes) -> Person:
    own = SecretKey(secret).address
    wallet = own if kind is Kind.EOA else Address("0x" + keccak(name.encode())[-20:].hex())
    return Person(name=name, kind=kind, secrets=(secret,), wallet=wallet)
