"""Says what a deed takes as the chain is now: which calls, in which words, under which keys. Changes nothing."""

import re
from collections import defaultdict
from collections.abc import Sequence

from attrs import define, evolve, field

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd
from trio_copy.ports import Act, Deed, Held, PlannedAct, Wanted
from trio_copy.transactions.calls import Call
from trio_copy_onchain.acting.approvals import Needed, Tokens, lacking, needed, tokens_of
from trio_copy_onchain.acting.conditions import Conditions, Known
from trio_copy_onchain.acting.cost import Cost
from trio_copy_onchain.acting.redeeming import Decided, redeeming
from trio_copy_onchain.acting.steps import Line, Owner, Step, allowing, amount, before
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.approvals import Allowance, questions
from trio_copy_onchain.holdings.balances import money_call, read_money
from trio_copy_onchain.holdings.polymarket import Polymarket
from trio_copy_onchain.holdings.seam import Holdings
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import decimals_call, read_decimals

_NONCE = abi.function("nonce")
_CONDITION = re.compile(r"0x[0-9a-f]{64}")
_MOST_DECIMALS = 36
_MOST_ADDRESS = 1 << 160


@define(eq=False, kw_only=True)
class Planning:
    """One plan: what the chain said once counts for all of it."""

    chain: Chain
    settings: OnchainSettings
    polymarket: Polymarket | None
    """None where its contracts are not on this chain."""
    trades: bool
    """Whether the wallet trades at the configured venues; else at Polymarket's, off the chain."""
    cost: Cost
    until: float
    """Trio time: by then there is a plan, or none."""
    _decimals: dict[Address, int] = field(factory=dict)
    _conditions: Conditions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._conditions = Conditions(self.chain, self.settings, self.polymarket)

    async def plan(self, wallet: Wallet, deed: Deed, wanted: Wanted) -> Sequence[PlannedAct]:
        """Return what would be done, in its order.

        Raises:
            OrderNotSent: it cannot be done, and why; or nobody answers.
        """
        try:
            owner = Owner.of(wallet)
            return [await self._planned(owner, step) for step in await self._steps(owner, deed, wanted)]
        except ChainError as error:
            raise OrderNotSent(f"no node tells what it takes: {error}") from None
        except ValueError as error:
            raise OrderNotSent(str(error)) from None

    async def _steps(self, owner: Owner, deed: Deed, wanted: Wanted) -> Sequence[Step]:
        match deed:
            case Deed.APPROVE:
                return await self._approve(owner, _amount(wanted))
            case Deed.SPLIT:
                return await self._split(owner, _named(wanted), _amount(wanted))
            case Deed.MERGE:
                return await self._merge(owner, _named(wanted), _amount(wanted))
            case Deed.REDEEM:
                return await self._redeem(owner, wanted)
            case Deed.REFUEL:
                raise ValueError(
                    "refuelling follows from what operators have, and is planned by whoever looks after them"
                )

    async def _planned(self, owner: Owner, step: Step) -> PlannedAct:
        if not step.lines:
            return PlannedAct(words=step.words, pays=step.pays)
        key, gas = step.key(self.chain.chain_id, owner), 0
        try:
            gas = 0 if step.waits else await self.cost.of(owner, step.calls, key, self.until)
        except ValueError as error:
            if step.deed is not Deed.REDEEM:
                raise
            # Blocks that are not final may have it done already, and what else is redeemed does not wait for it.
            step = evolve(step, told=(*step.told, str(error)))
        act = Act(key=key, wallet=owner.wallet, deed=step.deed, calls=step.calls, until=0.0)
        return PlannedAct(words=step.words, act=act, pays=step.pays, gas_wei=gas)

    # ------------------------------------------------------------------------------------------------------- deeds

    async def _approve(self, owner: Owner, most: Usd) -> Sequence[Step]:
        polymarket = None if self.trades else self.polymarket
        if not self.trades and polymarket is None:
            raise ValueError("no venue of this configuration is one at which this wallet trades")
        tokens = Tokens({token: await self._decimals_of(token) for token in tokens_of(self.settings, polymarket)})
        needs = needed(self.settings, polymarket, owner, most, tokens)
        missing, said = await self._missing(owner, needs)
        return allowing(owner, missing, said)

    async def _split(self, owner: Owner, name: Hash32, cash: Usd) -> Sequence[Step]:
        found = await self._conditions.named(name, self.until)
        if len(found) != 1:
            raise ValueError(
                f"condition {name}: expected one of a configured market maker"
                if not found
                else f"condition {name}: nobody tells whether it is one of negative risk, and shares of the other kind are no use"
            )
        (condition,) = found
        units, decimals = await self._units(condition, cash)
        has = read_money(await self._read(money_call(condition.collateral, owner.address)))
        if has < units:
            raise ValueError(f"the wallet has {amount(has, decimals)} USD, and not {amount(units, decimals)}")
        call = condition.split(units)
        words = (
            f"{call.to} takes {amount(units, decimals)} USD of the collateral {condition.collateral}, and gives "
            f"{amount(units, decimals)} shares of each of the {counted(len(condition.tokens), 'outcome')} of condition {name}"
        )
        missing, said = await self._missing(owner, _needs(condition, Deed.SPLIT, units, decimals))
        step = Step(deed=Deed.SPLIT, lines=(Line(call=call, words=words),), said=(*said, has))
        return before(owner, step, missing)

    async def _merge(self, owner: Owner, name: Hash32, cash: Usd) -> Sequence[Step]:
        found, short = await self._conditions.named(name, self.until), list[str]()
        for condition in found:
            units, decimals = await self._units(condition, cash)
            has = min((await self._holdings(condition, owner, await self._head())).units)
            if has < units:
                short.append(amount(has, decimals))
                continue
            call = condition.merge(units)
            words = (
                f"{call.to} takes {amount(units, decimals)} shares of each of the {counted(len(condition.tokens), 'outcome')} of "
                f"condition {name}, and gives {amount(units, decimals)} USD of the collateral {condition.collateral}"
            )
            missing, said = await self._missing(owner, _needs(condition, Deed.MERGE, units, decimals))
            step = Step(deed=Deed.MERGE, lines=(Line(call=call, words=words),), said=(*said, has))
            return before(owner, step, missing)
        held = (
            f"the wallet has {' or '.join(short)} shares of every outcome, and not {cash}"
            if short
            else "nobody knows it"
        )
        raise ValueError(f"condition {name}: {held}")

    async def _redeem(self, owner: Owner, wanted: Wanted) -> Sequence[Step]:
        booked, left_out = defaultdict[Known, list[TokenId]](list), list[str]()
        name = _named(wanted) if wanted.condition_id else ""
        for one in wanted.held:
            try:
                known = await self._conditions.of(one, owner.wallet.name, self.until)
            except ValueError as error:
                # Nothing but facts says which condition an outcome that is an ERC-20 belongs to: without, it may be another one.
                if not name or one.token_id >= _MOST_ADDRESS or _is_said_to_be_of(one, name):
                    left_out.append(f"left out: token {one.token_id}: {error}")
                continue
            if name in ("", known.condition) and one.shares:
                booked[known].append(one.token_id)
        if name and not booked:
            booked.update((known, []) for known in await self._conditions.named(Hash32(name), self.until))
        block, steps, allowed = hex(await self.chain.final_block(self.until)), list[Step](), set[object]()
        for condition, held in booked.items():
            try:
                steps += await self._redeem_one(owner, condition, tuple(held), block, allowed)
            except ValueError as error:
                left_out.append(f"left out: condition {condition.condition}: {error}")
        if name and not steps and left_out:
            raise ValueError("; ".join(dict.fromkeys(one.removeprefix("left out: ") for one in left_out)))
        if steps and left_out:
            steps[0] = evolve(steps[0], told=(*steps[0].told, *left_out))
        return steps

    async def _redeem_one(
        self, owner: Owner, condition: Known, held: tuple[TokenId, ...], block: str, allowed: set[object]
    ) -> Sequence[Step]:
        holdings = await self._holdings(condition, owner, block)
        decimals = await self._decimals_of(condition.collateral)
        step = redeeming(Decided(condition=condition, holdings=holdings, booked=held, decimals=decimals))
        if step is None:
            return ()
        if not step.lines:
            return (step,)
        missing, _ = await self._missing(owner, _needs(condition, Deed.REDEEM, 0, decimals))
        new = [one for one in missing if one[0] not in allowed]
        allowed.update(approval for approval, _ in new)
        return before(owner, step, new)

    # ----------------------------------------------------------------------------------------------------- questions

    async def _missing(self, owner: Owner, needs: Sequence[Needed]) -> tuple[list[Needed], tuple[object, ...]]:
        """Return what of it the wallet has not allowed, and what the chain said: by which a later plan is another one."""
        asked = questions(owner.address, [approval for approval, _ in needs])
        answers = [_answered(one) for one in await self.chain.answers(asked, await self._head(), self.until)]
        return lacking(needs, answers), (*(answer.hex() for answer in answers), await self._nonce(owner))

    async def _nonce(self, owner: Owner) -> int:
        """Return how often a wallet has acted, as far as it counts that itself."""
        match owner.wallet.signature_type:
            case SignatureType.EOA:
                return (await self.chain.counts(owner.address, self.until)).latest
            case SignatureType.SAFE:
                return int.from_bytes(await self._read(Call(to=owner.address, data=_NONCE())))
            case _:
                return 0

    async def _holdings(self, condition: Known, owner: Owner, block: str) -> Holdings:
        return condition.holdings(await self.chain.answers(condition.reads(owner.address), block, self.until))

    async def _units(self, condition: Known, cash: Usd) -> tuple[int, int]:
        decimals = await self._decimals_of(condition.collateral)
        units = Tokens({condition.collateral: decimals}).units(condition.collateral, cash)
        if not units:
            raise ValueError(f"expected an amount of a unit at least, got {cash} USD")
        return units, decimals

    async def _decimals_of(self, token: Address) -> int:
        if token not in self._decimals:
            decimals = read_decimals(await self._read(decimals_call(token)))
            if decimals > _MOST_DECIMALS:
                raise ValueError(f"decimals of {token}: expected at most {_MOST_DECIMALS}, got {decimals}")
            self._decimals[token] = decimals
        return self._decimals[token]

    async def _read(self, call: Call) -> bytes:
        (answer,) = await self.chain.answers((call,), await self._head(), self.until)
        return _answered(answer)

    async def _head(self) -> str:
        return hex((await self.chain.nodes.block("latest", self.until)).number)


def _answered(answer: bytes | None) -> bytes:
    if answer is None:
        raise ValueError("a contract does not answer what every contract of its kind does: is its address right?")
    return answer


def _named(wanted: Wanted) -> Hash32:
    name = wanted.condition_id.lower()
    if not _CONDITION.fullmatch(name):
        raise ValueError(f"expected a condition id, 0x and 64 hex digits, got {name[:80] or 'none'}")
    return Hash32(name)


def _is_said_to_be_of(held: Held, condition: str) -> bool:
    return held.facts is not None and held.facts.condition_id == condition


def _amount(wanted: Wanted) -> Usd:
    if wanted.usd is None:
        raise ValueError("expected an amount of USD")
    return wanted.usd


def _needs(condition: Known, deed: Deed, units: int, decimals: int) -> list[Needed]:
    """Return what a deed with a condition needs, in words."""
    return [
        (
            approval,
            f"{approval.spender} may take {amount(approval.units, decimals)} USD at most, of the collateral {approval.token}"
            if isinstance(approval, Allowance)
            else f"{condition.split(1).to} may take all shares of this wallet in {approval.token}, until that is taken back: "
            "they know no amounts",
        )
        for approval in condition.needs(deed, units)
    ]
