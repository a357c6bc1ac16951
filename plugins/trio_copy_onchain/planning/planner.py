"""What approving, splitting, merging and redeeming take; reads and changes nothing."""

from collections.abc import Callable, Sequence

import trio
from attrs import frozen

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.orders import Wallet
from trio_copy.model.units import MICRO, Price, Usd
from trio_copy.ports import Deed, Held, Paid, PlannedAct, Wanted
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll, missing, questions
from trio_copy_onchain.holdings.balances import money_call, read_money
from trio_copy_onchain.holdings.seam import Condition, Holdings
from trio_copy_onchain.onchain import OnchainSettings
from trio_copy_onchain.planning.making import Maker, Step
from trio_copy_onchain.planning.questions import Questions
from trio_copy_onchain.tx.reverts import Revert
from trio_copy_onchain.venues.amounts import decimals_call, read_decimals
from trio_copy_onchain.wallets.seam import WalletKind

_READ_S = 20.0
_LEAST_PRICE = Price(MICRO // 100)
"""Of an outcome that is sold by an allowance: as many shares may be taken as the amount buys at a cent."""
_MOST_DECIMALS = 24


@frozen
class Planner:
    chain: Chain
    settings: OnchainSettings
    kind_of: Callable[[Wallet], WalletKind]
    """Raises `OrderNotSent` for a wallet that acts by no transaction."""

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        """See `ports.ActingExecutor.plan`."""
        kind, until = self.kind_of(wallet), trio.current_time() + _READ_S
        maker = Maker(chain=self.chain, wallet=wallet, address=kind.address, kind=kind, until=until)
        try:
            match deed:
                case Deed.APPROVE:
                    return await self._approve(maker, _usd(wanted))
                case Deed.SPLIT | Deed.MERGE:
                    return await self._part(maker, deed, wanted)
                case Deed.REDEEM:
                    return await self._redeem(maker, wanted)
                case _:
                    raise OrderNotSent(f"expected approve, split, merge or redeem, got {deed.value}")
        except (ChainError, ValueError) as error:
            raise OrderNotSent(f"the chain does not tell what it takes: {error}") from error

    async def _approve(self, maker: Maker, usd: Usd) -> Sequence[PlannedAct]:
        needed = await self._needed(maker, usd)
        answers = await self.chain.read(questions(maker.address, list(needed)), maker.until)
        lacking = missing(list(needed), answers)
        steps = [Step(words=needed[one], call=one.call, deed=Deed.APPROVE) for one in lacking]
        return await maker.acts(steps, Deed.APPROVE, [await maker.counter()]) if steps else ()

    async def _needed(self, maker: Maker, usd: Usd) -> dict[Approval, str]:
        """Return what the venues have to be allowed, each once, with what a person is told of it."""
        needed: dict[Approval, str] = {}
        for table in self.settings.fpmm:
            if not maker.kind.approves:  # else it is allowed to the unit, in the trade's own transaction
                cash = await self._allowance(table.collateral, table.maker, usd, maker.until)
                needed[cash] = f"{table.collateral}: let the market maker {table.maker} take {usd} of it at most"
            shares = ForAll(token=table.conditional_tokens, operator=table.maker)
            words = f"{table.conditional_tokens}: let the market maker {table.maker} take shares, all of them: it knows no amounts"
            needed[shares] = words
        for pool in () if maker.kind.approves else self.settings.pools:
            cash = await self._allowance(pool.collateral, pool.router, usd, maker.until)
            needed[cash] = f"{pool.collateral}: let the router {pool.router} take {usd} of it at most"
            most = Usd(usd.micro * MICRO // _LEAST_PRICE.micro)
            outcome = await self._allowance(pool.outcome, pool.router, most, maker.until)
            needed[outcome] = f"{pool.outcome}: let the router {pool.router} take {most} shares at most"
        return needed

    async def _allowance(self, token: Address, spender: Address, amount: Usd, until: float) -> Allowance:
        return Allowance(token=token, spender=spender, units=await self._units(token, amount, until))

    async def _part(self, maker: Maker, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        asked = Questions(self.chain, self.settings)
        known = await asked.of_makers(maker.until)
        one = asked.named(wanted.condition_id, {**asked.held(wanted.held, known), **known})
        usd, money = _usd(wanted), _collateral(one)
        units = await self._units(money, usd, maker.until)
        held = one.holdings(await self._answers(one.reads(maker.address), maker.until, "latest"))
        (told,) = await self.chain.read((money_call(money, maker.address),), maker.until)
        cash = read_money(told)
        if deed is Deed.SPLIT and cash < units:
            raise OrderNotSent(f"expected a wallet that holds {usd} of {money}, got {cash} units")
        if deed is Deed.MERGE and min(held.units) < units:
            raise OrderNotSent(
                f"expected a wallet that holds {usd} shares of every outcome, got {min(held.units)} units"
            )
        steps = await self._approvals(maker, one, deed, units)
        if deed is Deed.SPLIT:
            words, call = f"give {usd} of {money}, and get as many shares of every outcome", one.split(units)
        else:
            words, call = f"give {usd} shares of every outcome, and get as much of {money}", one.merge(units)
        steps.append(Step(words=f"{call.to}: {words} of {wanted.condition_id}", call=call, deed=deed))
        return await maker.acts(steps, deed, [cash, *held.units, await maker.counter()])

    async def _redeem(self, maker: Maker, wanted: Wanted) -> Sequence[PlannedAct]:
        asked = Questions(self.chain, self.settings)
        known = await asked.of_makers(maker.until)
        found = {**asked.held(wanted.held, known), **known}
        if wanted.condition_id:
            found = {wanted.condition_id: asked.named(wanted.condition_id, found)}
        block = hex(await self.chain.final_block(maker.until))
        planned: list[PlannedAct] = []
        for name, one in found.items():
            held = one.holdings(await self._answers(one.reads(maker.address), maker.until, block))
            if held.payouts is None:
                if wanted.condition_id:
                    raise OrderNotSent(f"expected a condition that is decided for good, got {name}")
                continue
            planned += await self._redeem_one(maker, name, one, held, wanted.held)
        return planned

    async def _redeem_one(
        self, maker: Maker, name: str, one: Condition, held: Holdings, books: Sequence[Held]
    ) -> list[PlannedAct]:
        assert held.payouts is not None
        due = one.redeem(held)
        in_books = {each.token_id: each for each in books if each.shares}
        brought, booked = list[Paid](), list[Paid]()
        words = list[str]()
        for place, token in enumerate(one.tokens):
            payout = held.payouts[place]
            price = Price(payout.numerator * MICRO // payout.denominator)
            if token in in_books:
                paid = Paid(token_id=token, condition_id=name, payout=price)
                # What nobody has to redeem any more is booked all the same.
                (brought if due.cash[place] else booked).append(paid)
                if not due.cash[place]:
                    words.append(
                        f"token {_short(token)} of {name} pays {price}: {in_books[token].shares} shares are booked so"
                    )
        planned: list[PlannedAct] = []
        if due.calls:
            decimals = await self._decimals(_collateral(one), maker.until)
            cash = Usd(sum(due.cash) * MICRO // 10**decimals)
            steps = await self._approvals(maker, one, Deed.REDEEM, 0)
            steps += [
                Step(
                    words=f"{call.to}: redeem {name}, for {cash} of {_collateral(one)} in all",
                    call=call,
                    deed=Deed.REDEEM,
                )
                for call in due.calls
            ]
            planned += await maker.acts(steps, Deed.REDEEM, held.units, tuple(brought))
        if booked:
            planned.append(PlannedAct(words=tuple(words), pays=tuple(booked)))
        return planned

    async def _approvals(self, maker: Maker, one: Condition, deed: Deed, units: int) -> list[Step]:
        needed = one.needs(deed, units)
        lacking = missing(needed, await self.chain.read(questions(maker.address, needed), maker.until))
        return [Step(words=_words(each), call=each.call, deed=Deed.APPROVE) for each in lacking]

    async def _answers(self, calls: Sequence[Call], until: float, block: str) -> list[bytes | None]:
        told = [await self.chain.call(call, until, block=block) for call in calls]
        return [None if isinstance(answer, Revert) else answer for answer in told]

    async def _units(self, token: Address, amount: Usd, until: float) -> int:
        return int(amount.micro * 10 ** await self._decimals(token, until) // MICRO)

    async def _decimals(self, token: Address, until: float) -> int:
        (told,) = await self.chain.read((decimals_call(token),), until)
        decimals = read_decimals(told)
        if decimals > _MOST_DECIMALS:
            raise ValueError(f"decimals of {token}: expected at most {_MOST_DECIMALS}, got {decimals}")
        return decimals


def _usd(wanted: Wanted) -> Usd:
    if wanted.usd is None or wanted.usd.micro <= 0:
        raise OrderNotSent("expected an amount above zero")
    return wanted.usd


def _collateral(condition: Condition) -> Address:
    """Return the money that a condition is split out of, and pays."""
    return next(one.token for one in condition.needs(Deed.SPLIT, 1) if isinstance(one, Allowance))


def _words(approval: Approval) -> str:
    """Say what an approval beside a deed allows."""
    match approval:
        case Allowance(token=token, spender=spender, units=units):
            return f"{token}: let {spender} take {units} units at most"
        case ForAll(token=token, operator=operator):
            return f"{token}: let {operator} take shares, all of them"
        case _:
            return f"{approval.token}: an approval"


def _short(token: TokenId) -> str:
    text = str(token)
    return text if len(text) < 14 else f"{text[:6]}...{text[-4:]}"
