"""Who may send for a wallet, what they pay gas with, what waits of them, and what the venues may take."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import MICRO
from trio_copy.ports import Finding
from trio_copy.transactions.tips import floor_of
from trio_copy_onchain.examining.looking import Look, bad, checksummed, good, listed, unknown
from trio_copy_onchain.holdings.balances import money_call
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.tx.wire import MISREAD, number_of
from trio_copy_onchain.venues import abi
from trio_copy_onchain.wallets.kinds import WalletContracts, of_wallet
from trio_copy_onchain.wallets.seam import WalletKind

_ALLOWANCE = abi.function("allowance", "address", "address")
_FOR_ALL = abi.function("isApprovedForAll", "address", "address")
_DECIMALS = abi.function("decimals")
_UNLIMITED = 1 << 128
_GAS = 500_000
"""A trade with the allowance before it, and some room."""
LEAST_TRADES = 4
"""So many trades an operator should be able to pay for."""
_PARTS = ("pending", "queued")
_SMALL = 1000
"""Transactions of a pool that is read whole."""
_CHECK_GAS, _CHECK_NONCES = "gas money", "nonces"


@frozen
class OfWallet:
    """The looks at one wallet."""

    look: Look
    settings: OnchainSettings
    wallet: Wallet
    address: Address

    async def findings(self) -> list[Finding]:
        """Return everything that was found, in the order in which people read it."""
        operators, name = self._operators(), self.wallet.name
        if self.wallet.signature_type is SignatureType.DEPOSIT and self.wallet.follower:
            text = "a deposit wallet acts by its relayer alone, which carries no trades: nothing is copied with it here"
            return [bad("operators", text, f"another wallet than [wallet.{name}], or another executor", name)]
        try:
            kind = of_wallet(self.wallet, WalletContracts(multi_send=self.settings.multi_send))
        except ValueError as error:
            return [self._unknown("operators", error)]
        found = await self._may_act(kind, operators)
        for operator in operators:
            found += [await self._gas(operator), await self._nonces(operator)]
        return [*found, *await self._approvals(kind)]

    def _operators(self) -> Sequence[Address]:
        signers = self.look.context.signers
        return () if signers is None else [signer.address for signer in signers.operators(self.wallet)]

    async def _may_act(self, kind: WalletKind, operators: Sequence[Address]) -> list[Finding]:
        check, name = "operators", self.wallet.name
        try:
            answers = [await self.look.contracts.call(call.to, call.data) or b"" for call in kind.reads()]
            in_the_way = kind.check(answers, operators)
        except ChainError as error:
            return [self._unknown(check, error)]
        except ValueError as error:
            advice = (
                f"address and signature_type of [wallet.{name}]: `trio-copy doctor` reads Safes from version 1.3.0 on"
            )
            return [bad(check, f"no such wallet at {checksummed(self.address)}: {error}", advice, name)]
        if in_the_way:
            advice = f"address and key of [wallet.{name}]; of a Safe, its owners and its threshold of 1"
            return [bad(check, line, advice, name) for line in in_the_way]
        if not operators:
            return [self._unknown(check, "without a key nobody can tell who sends for it")]
        return [good(check, f"{listed(operators)} may send for it", wallet=name)]

    async def _gas(self, operator: Address) -> Finding:
        name = self.wallet.name
        try:
            wei = await self.look.node_number("eth_getBalance", operator, "latest")
            per_trade = await gas_of_a_trade(self.look)
        except ChainError as error:
            return self._unknown(_CHECK_GAS, error)
        trades = wei // per_trade
        text = f"{checksummed(operator)} has {coins(wei)} of the chain's coin: {about(trades)} at today's price of gas"
        if trades < LEAST_TRADES:
            advice = f"{coins(LEAST_TRADES * per_trade)} at least to that address; of a fleet, `trio-copy fleet refuel`"
            return bad(_CHECK_GAS, text, advice, name)
        return good(_CHECK_GAS, text, wallet=name)

    async def _nonces(self, operator: Address) -> Finding:
        name = self.wallet.name
        try:
            latest = await self.look.node_number("eth_getTransactionCount", operator, "latest")
            pending = await self.look.node_number("eth_getTransactionCount", operator, "pending")
        except ChainError as error:
            return self._unknown(_CHECK_NONCES, error)
        stuck = sorted(nonce for nonce in await self._pooled(operator) if nonce > pending)
        who = checksummed(operator)
        if stuck:
            text = f"{who}: {counted(len(stuck), 'transaction')} from nonce {stuck[0]} on wait for nonce {pending}, which is nowhere"
            return bad(_CHECK_NONCES, text, "`trio-copy run --live`: a start fills the gap, if they are its own", name)
        if pending > latest:
            return good(
                _CHECK_NONCES,
                f"{who}: {counted(pending - latest, 'transaction')} from {latest} on wait to be mined",
                wallet=name,
            )
        return good(_CHECK_NONCES, f"{who}: the next is {latest}, and nothing waits", wallet=name)

    async def _pooled(self, operator: Address) -> set[int]:
        """Return the nonces that stand in the pools of nodes, as far as they tell: many do not."""
        look, found = self.look, set[int]()
        told = list((await look.every_node("txpool_contentFrom", operator)).values())
        if not any(isinstance(answer, dict) for answer in told):
            # A node that knows that one not may know the whole pool, which is asked for where it is small.
            sizes = (await look.every_node("txpool_status")).values()
            if any(isinstance(size, dict) and _size(size) <= _SMALL for size in sizes):
                told = [
                    {part: _of(operator, answer.get(part)) for part in _PARTS}
                    for answer in (await look.every_node("txpool_inspect")).values()
                    if isinstance(answer, dict)
                ]
        for answer in told:
            if isinstance(answer, dict):
                found.update(*(_nonces_in(answer.get(part)) for part in _PARTS))
        return found

    async def _approvals(self, kind: WalletKind) -> list[Finding]:
        found = list[Finding]()
        for maker in self.settings.fpmm:
            at = f"fpmm {maker.maker[:10]}"
            if not kind.approves:
                found.append(await self._allowance(f"approval {at} BUY", maker.collateral, maker.maker, to_sell=False))
            found.append(await self._for_all(f"approval {at} SELL", maker.conditional_tokens, maker.maker))
        if kind.approves:
            return found  # what a swap at a pool takes is allowed to the unit, in the swap's own transaction
        for pool in self.settings.pools:
            at = f"pool {pool.pool[:10]}"
            found.append(await self._allowance(f"approval {at} BUY", pool.collateral, pool.router, to_sell=False))
            found.append(await self._allowance(f"approval {at} SELL", pool.outcome, pool.router, to_sell=True))
        return found

    async def _allowance(self, check: str, token: Address, spender: Address, *, to_sell: bool) -> Finding:
        name = self.wallet.name
        try:
            allowed = await self.look.number(token, _ALLOWANCE(self.address, spender))
            held = await self.look.number(token, money_call(token, self.address).data)
            decimals = await self.look.number(token, _DECIMALS())
        except ChainError as error:
            return self._unknown(check, error)
        if allowed is None or held is None or decimals is None or decimals > 24:
            return self._unknown(check, f"{checksummed(token)} is no token that could be asked")
        least = held if to_sell else self.settings.least_usd.micro * 10**decimals // MICRO
        amount = _amount(allowed, decimals)
        if allowed >= _UNLIMITED:
            text = f"unlimited: {checksummed(spender)} may take all that the wallet ever has of {checksummed(token)}"
            return good(check, text, f"`trio-copy wallet approve {name}`: a finite allowance takes its place", name)
        if allowed < least or not allowed:
            what = f"of {_amount(held, decimals)} that it holds, " if to_sell and held else ""
            text = f"{what}{checksummed(spender)} may take {amount or 'nothing'}: {'no sale' if to_sell else 'no purchase'} goes through"
            return bad(check, text, f"`trio-copy wallet approve {name}`", name)
        return good(check, f"{amount}", wallet=name)

    async def _for_all(self, check: str, shares: Address, operator: Address) -> Finding:
        name = self.wallet.name
        try:
            approved = await self.look.number(shares, _FOR_ALL(self.address, operator))
        except ChainError as error:
            return self._unknown(check, error)
        if approved is None:
            return self._unknown(check, f"{checksummed(shares)} holds no shares that could be asked about")
        if approved:
            return good(check, f"for all shares at {checksummed(shares)}", wallet=name)
        return bad(check, "none: what is bought could not be sold", f"`trio-copy wallet approve {name}`", name)

    def _unknown(self, check: str, why: object) -> Finding:
        return unknown(check, why, self.wallet.name)


def _nonces_in(pooled: Any) -> set[int]:  # noqa: ANN401  whatever a node says
    """Read the nonces of one part of a pool: they are its keys, in decimal."""
    keys = pooled if isinstance(pooled, dict) else {}
    return {int(key) for key in list(keys)[:1000] if isinstance(key, str) and key.isdecimal() and len(key) < 20}


def _of(operator: Address, pooled: Any) -> Any:  # noqa: ANN401  as above
    """Return what a part of a pool has of one sender."""
    senders = pooled.items() if isinstance(pooled, dict) else ()
    return next((one for sender, one in senders if isinstance(sender, str) and sender.lower() == operator), None)


def _size(told: Mapping[str, Any]) -> int:
    try:
        return sum(number_of(told.get(part, 0)) for part in _PARTS)
    except (TypeError, *MISREAD):
        return _SMALL + 1


async def gas_of_a_trade(look: Look) -> int:
    """Return what a trade costs at today's price of gas, in wei. Raises `ChainError`."""
    return max(await look.node_number("eth_gasPrice"), floor_of(look.context.chain_id)) * _GAS


def coins(wei: int) -> str:
    return _amount(wei, 18) or "nothing"


def _amount(units: int, decimals: int) -> str:
    """Write units as people read them, cut off after the sixth decimal."""
    micro = units * MICRO // 10**decimals
    whole, part = divmod(micro, MICRO)
    return "" if not units else f"{whole}.{part:06}".rstrip("0").rstrip(".") if micro else "less than 0.000001"


def about(trades: int) -> str:
    return f"about {counted(trades, 'trade')}" if trades < 1000 else "more than 1000 trades"
