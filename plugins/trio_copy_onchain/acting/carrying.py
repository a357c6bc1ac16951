"""Has an act done: by one operator, under one nonce, until the chain has told what became of it.

Which acts were begun is a document of the journal, `acted/KEY`, `[1, kept until]`: so long its binding is kept, since whoever
asks again, whatever has happened to him meanwhile, is told what became of it and nothing is sent.
"""

from collections.abc import Sequence

import trio
from attrs import define, evolve

from trio_copy.clock import WallClock
from trio_copy.errors import OrderNotSent, OrderUncertain
from trio_copy.model.ids import Hash32
from trio_copy.ports import Act, ActReport, Deed, Done, Signer
from trio_copy.records import write_plain
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import read_signed
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.causes import kind_of
from trio_copy_onchain.fleet.coin import Coin
from trio_copy_onchain.operators import Operators, acted_name
from trio_copy_onchain.sending.cause import Cause
from trio_copy_onchain.sending.operator import NoCoin, Operator
from trio_copy_onchain.sending.trying import Refusal, with_gas
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.tx.receipts import Receipt, cost_of
from trio_copy_onchain.tx.sendings import Binding, Fate
from trio_copy_onchain.wallets.kinds import WalletContracts
from trio_copy_onchain.wallets.seam import WalletKind

_NO_PRICES = frozenset[str]()
"""Nothing of an act becomes too dear: whatever a contract refuses, it refuses."""
_LOOK_EVERY_S = 1.0
"""How long a receipt that no node has shown is waited for before it is asked for again."""
_KEPT_S = 86_400.0
"""Whoever asks for an act gives it up an hour after its last moment; the rest is room for whoever was away."""


@define(eq=False, kw_only=True)
class Carrying:
    """Does acts. It has no state of its own: all of it is the operators'."""

    chain: Chain
    operators: Operators
    settings: OnchainSettings
    contracts: WalletContracts
    wall: WallClock
    coin: Coin

    async def act(self, act: Act, until: float) -> ActReport:
        """Do an act, or go on with it, until its end is known, or until `until` by Trio's clock; then it says how it stands.

        Cancelled, it may happen.

        Raises:
            OrderNotSent: nothing of it has left, nor will.
        """
        kind = kind_of(act.wallet, self.contracts)
        try:
            among = self.operators.of(act.wallet)
        except OrderNotSent:
            if self.operators.holder(act.key) is None:
                raise
            among = ()  # nobody may send for it any more; what has left is followed
        while True:
            await self.coin.look([operator for operator, _ in among], until)
            while (picked := self.operators.pick(act.key, among)) is None:
                with trio.move_on_at(until):
                    await self.operators.wait_room(among)
                if trio.current_time() >= until:
                    return ActReport(done=Done.PENDING, why="every operator has as much on its way as it may")
            try:
                return await self._carry(act, kind, *picked, until)
            except NoCoin:
                # It is paused by now. Nothing was signed, so that another one may carry it.
                if len(among) < 2 or self.operators.holder(act.key) is not None:
                    raise

    async def _carry(self, act: Act, kind: WalletKind, operator: Operator, signer: Signer, until: float) -> ActReport:
        """Have an operator do an act, or go on with it; see `act`. Raises `NoCoin` where it cannot pay, and nothing was signed."""
        report = ActReport(done=Done.PENDING)
        while True:
            if _may_begin(operator.binding(act.key)):
                refused = await self._begin(act, kind, operator, signer, until)
                if refused is not None:
                    return refused
            else:
                self._go_on(act, kind, operator, signer)
            report = await self._report(act, operator, until)
            may_begin = _may_begin(operator.binding(act.key)) and self.wall() < act.until
            if report.done in (Done.LANDED, Done.REFUSED) and not may_begin:
                return report
            if trio.current_time() >= until or operator.closed:
                # What another transaction has kept from happening can be done yet: whoever asks again has it sent anew.
                return evolve(report, done=Done.PENDING) if may_begin else report
            if not may_begin:
                with trio.move_on_at(min(until, trio.current_time() + _LOOK_EVERY_S)):
                    await operator.line.changed.wait()

    async def _begin(
        self, act: Act, kind: WalletKind, operator: Operator, signer: Signer, until: float
    ) -> ActReport | None:
        """Bind a key and let it leave; returns a report where it is refused before, and None where it is under way."""
        if self.wall() >= act.until:
            before = operator.binding(act.key)
            if before is not None and before.end is not None:
                return await self._report(act, operator, until)
            raise OrderNotSent("it is too late: it was to be sent before")
        call = _outer(act, kind, operator)
        answer = await with_gas(
            _cause(act, signer, call, 0),
            act.calls,
            kind,
            operator,
            until,
            margin_bps=self.settings.gas_margin_bps,
            max_gas=self.settings.max_gas,
        )
        if isinstance(answer, Refusal):
            return ActReport(done=Done.REFUSED, why=answer.words)
        await self.coin.expect(operator, answer, until)
        operator.written.journal.put(acted_name(act.key), write_plain([1, act.until + _KEPT_S]))
        try:
            await operator.send(answer, until)
        except (OrderNotSent, OrderUncertain):
            # What is bound may leave yet, whatever could not go on now.
            if not _is_open(operator.binding(act.key)):
                raise
        finally:
            self.operators.wake()
        return None

    def _go_on(self, act: Act, kind: WalletKind, operator: Operator, signer: Signer) -> None:
        """Let what is under way pay more where it has to: after a restart, nobody knows what for."""
        if operator.signing.is_explained(act.key):
            return
        binding = operator.binding(act.key)
        signed = None if binding is None or binding.end is not None else binding.call
        if signed is None:
            return
        call = Call(to=signed.to, data=signed.data, value=signed.value)
        if call == _outer(act, kind, operator):
            operator.signing.explain(_cause(act, signer, call, signed.gas))

    async def _report(self, act: Act, operator: Operator, until: float) -> ActReport:
        """Say how an act stands."""
        binding = operator.binding(act.key)
        if binding is None:
            return ActReport(done=Done.PENDING)
        end = binding.end
        if end is None:
            return _on_its_way(binding, operator)
        if end.fate is not Fate.LANDED:
            gas = binding.paid_wei or 0
            return ActReport(done=Done.REFUSED, transaction=end.hash, why=end.fate.value, gas_wei=gas)
        receipt = await operator.receipt(end.hash, until)
        if receipt is None:
            return ActReport(done=Done.PENDING, transaction=end.hash, why="no node shows its receipt")
        gas = _paid(binding, receipt)
        if receipt.succeeded:
            return ActReport(done=Done.LANDED, transaction=end.hash, gas_wei=gas)
        why = await self._why(act, binding, receipt, until)
        return ActReport(done=Done.REFUSED, transaction=end.hash, why=why, gas_wei=gas)

    async def _why(self, act: Act, binding: Binding, receipt: Receipt, until: float) -> str:
        sending = binding.sending(receipt.tx_hash)
        assert sending is not None  # its end is one of its own
        transaction, sender = read_signed(sending.raw)
        failure = await self.chain.why(receipt, transaction, sender, _NO_PRICES, until, act.wallet.address)
        return failure.words


def _may_begin(binding: Binding | None) -> bool:
    """Tell whether a key may be bound: it never was, or nothing that was sent for it can happen any more."""
    if binding is None:
        return True
    if binding.end is None:
        return binding.unsent
    return binding.end.fate is not Fate.LANDED


def _is_open(binding: Binding | None) -> bool:
    return binding is not None and binding.end is None and not binding.unsent


def _outer(act: Act, kind: WalletKind, operator: Operator) -> Call:
    """Return what the operator calls. A transfer of coin is a bare one. Raises `OrderNotSent` where the wallet cannot."""
    try:
        return kind.outer(act.calls, operator.address, None if act.deed is Deed.REFUEL else act.key)
    except ValueError as error:
        raise OrderNotSent(f"wallet {act.wallet.name}: {error}") from None


def _cause(act: Act, signer: Signer, call: Call, gas: int) -> Cause:
    return Cause(key=act.key, signer=signer, purpose=act, call=call, gas=gas, until=act.until, prices=_NO_PRICES)


def _on_its_way(binding: Binding, operator: Operator) -> ActReport:
    """Say where a nonce stands that is not used for good."""
    carries: Sequence[Hash32] = [one.hash for one in binding.sendings if not one.cancels]
    mined = binding.mined
    if mined is None:
        # What certainly is nowhere has no transaction yet that anybody could look up.
        return ActReport(done=Done.PENDING, transaction=None if binding.refused or not carries else carries[-1])
    if mined.hash not in carries:
        why = "something that does nothing was mined in its place, and is not final yet"
        return ActReport(done=Done.PENDING, transaction=carries[-1] if carries else None, why=why)
    receipt = operator.receipts.get(mined.hash)
    if receipt is None or receipt.succeeded:
        done = Done.PENDING if receipt is None else Done.MINED
        return ActReport(done=done, transaction=mined.hash)
    why = "it was refused within its block, which is not final yet"
    return ActReport(done=Done.PENDING, transaction=mined.hash, why=why)


def _paid(binding: Binding, receipt: Receipt) -> int:
    """Return what its gas has cost; where no node tells the price, at most."""
    return cost_of(binding.sending(receipt.tx_hash), receipt) if binding.paid_wei is None else binding.paid_wei
