"""Which blocks come on a chain that is played: whose transactions they hold, in which order, and which are taken back."""

from collections.abc import Iterable, Sequence

import trio
from attrs import define

from tests.builders import LEADER, POLYGON
from tests.worlds.mined import FEE, MinedChain, Tx, leaders
from tests.worlds.onchain_checks import OTHERS_TIP
from tests.worlds.onchain_plan import ALICE_KEY, FLEET
from tests.worlds.pools import PoolNode
from trio_copy.entropy import Entropy
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy_onchain.tx.fees import GWEI, Fees
from trio_copy_onchain.tx.sendings import doing_nothing
from trio_copy_onchain.venues.fpmm import FpmmState

STRANGER = Address("0x" + "e0" * 20)
"""Who trades at the same market maker, and is followed by nobody."""
DEEPEST = 5
"""Blocks that a reorg takes back at most."""


@define(eq=False)
class Blocks:
    chain: MinedChain
    nodes: list[PoolNode]
    luck: Entropy
    _trades: int = 0

    def use_elsewhere(self) -> None:
        """Let somebody else who has a key use a nonce."""
        key = self.luck.choice((ALICE_KEY, *FLEET))
        nonce = self.chain.head.nonces.get(key.address, 0) + self.luck.choice((0, 0, 1))
        fees = Fees(tip=OTHERS_TIP, max_fee=self.luck.choice((100, 400)) * GWEI)
        tx = Tx.of(doing_nothing(POLYGON, key.address, nonce, fees).signed(key.sign).raw)
        self.chain.taken[tx.hash] = tx
        for node in self.nodes:
            node.gossip(tx)

    def mine(self) -> None:
        """Put a block on top, with trades of the leader and of a stranger in most."""
        trading = ((LEADER, 0.35), (STRANGER, 0.3))
        self.mine_some([self._trade(who) for who, often in trading if self.luck.random() < often])

    def mine_some(self, some: Sequence[Tx], *, fair: bool = False) -> None:
        """Put a block on top, with some of what any node ever had; a fair one has all that waits in a pool."""
        luck, nonces, chosen = self.luck, dict(self.chain.head.nonces), list(some)
        for _ in range(luck.choice((0, 1, 3, 8)) if not fair else 20):
            pooled = {tx.hash for node in self.nodes for tx in node.pool.values()}
            candidates = [tx for tx in self.chain.candidates(nonces) if not fair or tx.hash in pooled]
            if not candidates:
                break
            tx = luck.choice(candidates)
            nonces[tx.sender] = nonces.get(tx.sender, 0) + 1
            chosen.append(tx)
        self.chain.mine(self._mixed(chosen))
        for node in self.nodes:
            node.let_go()
            for tx in list(node.pool.values()):
                if fair or luck.random() < 0.5:
                    for other in self.nodes:
                        other.gossip(tx)

    def _mixed(self, some: Iterable[Tx]) -> list[Tx]:
        """Mix senders; what one of them sent stays in the order of its nonces."""
        by_sender: dict[Address, list[Tx]] = {}
        for tx in some:
            by_sender.setdefault(tx.sender, []).append(tx)
        order = list[Tx]()
        while by_sender:
            sender = self.luck.choice(sorted(by_sender))
            order.append(by_sender[sender].pop(0))
            if not by_sender[sender]:
                del by_sender[sender]
        return order

    def _trade(self, who: Address) -> Tx:
        self._trades += 1
        luck, state = self.luck, self.chain.head
        held = [outcome for outcome in range(2) if state.shares.get((who, outcome), 0) > 30 * 10**6]
        if not held or luck.random() < 0.55:
            cash = luck.choice((20, 50, 150, 333)) * 10**6
            return leaders(self._trades, who, Side.BUY, luck.randrange(2), cash)
        outcome, cash = luck.choice(held), luck.choice((5, 8)) * 10**6
        if luck.random() < 0.4:  # all of it
            cash = FpmmState(tuple(state.pool), FEE).cash_for(state.shares[who, outcome], outcome)
        return leaders(self._trades, who, Side.SELL, outcome, cash)

    async def reorganise(self) -> None:
        """Take back some blocks. What was in them may come back in other blocks, in another order, or not at all."""
        luck, depth = self.luck, self.luck.randrange(1, DEEPEST + 1)
        dropped = [one.tx for one in self.chain.drop(depth)]
        if luck.random() < 0.3:
            await trio.sleep(luck.choice((0.1, 2.0)))
        back = [tx for tx in dropped if tx.signed is None and luck.random() < 0.8]
        for node in self.nodes:
            for tx in dropped:
                if tx.signed is not None and luck.random() < 0.7:
                    node.gossip(tx)
        for left in range(depth + 1, 0, -1):
            count = len(back) // left
            self.mine_some(back[:count])
            back = back[count:]
            if luck.random() < 0.3:
                await trio.sleep(0.5)
