"""The chain that every life sees: what its leader does, block by block, and one reorg."""

from collections.abc import Iterable

from tests.builders import LEADER, NOW, POLYGON
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, V2_TOPIC
from trio_copy.chain.decoders.words import address_topic
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import NO_USD, Shares, Usd
from trio_copy.testing.devnet import DevChain, DevTx
from trio_copy.testing.devnet.chain import fake_hash
from trio_copy.testing.devnet.encode import order_filled_log

STEP_S = 2.0
CALLED_OFF = 5
"""A token of which little is bought, sold again while it waits, and bought again: never enough for an order."""
REORG_AT = 4
"""The block after which the chain drops its newest block, and mines it again behind another transaction."""


def trades() -> list[tuple[DevTx, ...]]:
    """What the leader does, block by block: entries and exits in several tokens, two of them in one block."""
    script = [
        [(Side.BUY, 1, 100)],
        [(Side.BUY, 2, 200), (Side.BUY, 3, 50)],
        [(Side.SELL, 1, 40)],
        [(Side.BUY, 1, 60)],
        [(Side.SELL, 2, 200), (Side.BUY, 4, 10), (Side.BUY, CALLED_OFF, 10)],
        [(Side.BUY, 4, 10), (Side.SELL, CALLED_OFF, 10)],
        [(Side.SELL, 1, 120), (Side.BUY, CALLED_OFF, 10)],
    ]
    numbers = iter(range(1, 100))
    return [tuple(_trade(next(numbers), *trade) for trade in block) for block in script]


def _trade(number: int, side: Side, token: int, shares: int) -> DevTx:
    return DevTx(
        tx_hash=fake_hash("tx", number),
        logs=(
            order_filled_log(
                exchange=EXCHANGE_V2,
                order_hash=fake_hash("order", number),
                owner=LEADER,
                counterparty=EXCHANGE_V2,
                side=side,
                token_id=TokenId(token),
                shares=Shares(shares * 1_000_000),
                notional=Usd(shares * 500_000),
                fee=NO_USD,
            ),
        ),
    )


def _stranger(number: int) -> DevTx:
    """A transaction whose only effect is that others move to another place in their block."""
    return DevTx(tx_hash=fake_hash("stranger", number), logs=(_trade(1000 + number, Side.BUY, 9, 1).logs[0],))


class Script:
    """The chain as it grows; the same in every life."""

    def __init__(self) -> None:
        """Begin with the chain's first block."""
        self._time = NOW
        self._next = 0
        self.blocks = trades()
        self.chain = DevChain(POLYGON, lambda: self._time)

    def catch_up(self, now: float) -> None:
        """Mine whatever is due."""
        while self.due <= now:
            self._time = self.due
            self._next += 1
            txs = self.blocks[self._next - 1] if self._next <= len(self.blocks) else ()
            self.chain.mine(*txs)
            if self._next == REORG_AT:
                self.chain.reorg(1, [(_stranger(1), *txs), ()])

    @property
    def over(self) -> bool:
        return self._next > len(self.blocks)

    @property
    def due(self) -> float:
        """Unix seconds at which the next block is mined."""
        return NOW + STEP_S * (self._next + 1)


def truth() -> dict[str, int]:
    """Return the leader's orders on the chain, by hash, with their blocks."""
    script = Script()
    while not script.over:
        script.catch_up(script.due)
    return truth_of(script.chain)


def truth_of(chain: DevChain, leaders: Iterable[Address] = (LEADER,)) -> dict[str, int]:
    """Return the leaders' orders on a chain, by hash, with their blocks."""
    theirs = {address_topic(leader) for leader in leaders}
    return {
        str(log.topics[1]): block.ref.number
        for block in chain.blocks
        for log in block.logs
        if log.topics[0] == V2_TOPIC and log.topics[2] in theirs
    }
