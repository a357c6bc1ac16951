"""What operators have for gas, as who sends has to know it before anything is signed: what is bound to one stays with it."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio
from attrs import define, field

from trio_copy.errors import ChainError
from trio_copy.model.coins import Coins
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.asking.questions import side_by_side
from trio_copy_onchain.fleet.balances import Balances
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.operator import NoCoin, Operator

_LEAST_GAS = 21_000
"""No transaction takes less."""


@define(eq=False, kw_only=True)
class Coin:
    chain: Chain
    balances: Balances
    _turn: trio.Lock = field(factory=trio.Lock)

    async def look(self, operators: Sequence[Operator], until: float) -> None:
        """Learn what operators of a fleet have that nobody has looked at lately, as where nobody fills them up. Raises nothing.

        Who cannot pay for anything is paused, and a person is told: others are picked, and nobody would miss him.
        """
        by_address = {operator.address: operator for operator in operators}
        if len(by_address) < 2 or not self.balances.old(by_address, trio.current_time()):
            return
        async with self._turn:
            old = self.balances.old(by_address, trio.current_time())
            with suppress(ChainError):
                found = await side_by_side([partial(self.chain.balance, one, until) for one in old])
                self.balances.note(dict(zip(old, found, strict=True)), trio.current_time())
                fees = await operators[0].fees.now(until)
                least = 0 if fees is None else _LEAST_GAS * fees.max_fee
                for address, wei in zip(old, found, strict=True):
                    if wei < least:
                        by_address[address].pause(f"{Coins(wei)}, and any gas may cost {Coins(least)}")

    async def expect(self, operator: Operator, cause: Cause, until: float) -> None:
        """Expect that an operator can pay what its transaction may cost, as far as anybody knows. Raises `NoCoin`; it is paused then."""
        address = operator.address
        wei = self.balances.of(address)
        if wei is None:
            return
        with suppress(ChainError):
            fees = await operator.fees.now(until)
            most = 0 if fees is None else cause.gas * fees.max_fee
            if wei < most:  # by now it may have been filled up
                wei = await self.chain.balance(address, until)
                self.balances.note({address: wei}, trio.current_time())
            if wei < most:
                operator.pause(f"{Coins(wei)}, and its gas may cost {Coins(most)}")
                raise NoCoin(f"operator {address} cannot pay for gas")
