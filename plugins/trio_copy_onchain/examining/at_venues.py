"""Whether what the settings name is there, and is what they say: asked of the contracts themselves."""

from collections.abc import Iterator, Mapping

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.counts import counted
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Finding
from trio_copy_onchain.examining.looking import Look, bad, checksummed, good, listed, unknown
from trio_copy_onchain.holdings.ids import token_of
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable
from trio_copy_onchain.tx.wire import MISREAD, number_of
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import Decimals

_TOKENS, _COLLATERAL = abi.function("conditionalTokens"), abi.function("collateralToken")
_CONDITIONS, _SLOTS = abi.function("conditionIds", "uint256"), abi.function("getOutcomeSlotCount", "bytes32")
_TOKEN0, _TOKEN1, _FEE = abi.function("token0"), abi.function("token1"), abi.function("fee")
_FACTORY, _SECOND_FACTORY = abi.function("factory"), abi.function("factoryV2")
_GET_POOL = abi.function("getPool", "address", "address", "uint24")
_DECIMALS = abi.function("decimals")
_QUOTES = b"\x63" + abi.selector("quoteExactInputSingle", "(address,address,uint256,uint24,uint160)")
"""What a contract that has this function compares the first bytes of a call with: PUSH4, and them."""
_MOST_FEE = 1_000_000


@frozen
class AtVenues:
    """The looks at what is about all wallets."""

    look: Look
    settings: OnchainSettings

    @property
    def _table(self) -> str:
        return f"[executor.{self.look.context.name}]"

    async def chain(self) -> Finding:
        """Say which chain the nodes serve."""
        check, wanted = "chain", self.look.context.chain_id
        told = await self.look.every_node("eth_chainId")
        others = {name: number for name, number in _numbers(told).items() if number != wanted}
        if others:
            which = ", ".join(f"{name} serves {number}" for name, number in others.items())
            return bad(check, f"expected {wanted}: {which}", "chain.chain_id, or the url of [[endpoint]]")
        able = len(_numbers(told))
        if not able:
            return unknown(check, "no node told its chain")
        return good(check, f"{wanted}, as {counted(able, 'node')} of {len(told)} told")

    async def code(self) -> list[Finding]:
        """Say whether there is a contract at each address of the settings."""
        check, found, seen = "code", list[Finding](), 0
        for address, place in self._targets().items():
            try:
                if await self.look.contracts.code(address):
                    seen += 1
                    continue
            except ChainError as error:
                return [unknown(check, error)]
            found.append(bad(check, f"no contract at {checksummed(address)}", f"{place} in {self._table}"))
        if not found:
            return [good(check, f"all {counted(seen, 'contract')} of {self._table} are there")]
        return found

    async def venues(self) -> list[Finding]:
        """Say of each market maker and each pool whether it is what the settings say."""
        found = list[Finding]()
        for maker in self.settings.fpmm:
            check = f"fpmm {maker.maker[:10]}"
            try:
                found.append(await self._maker(check, maker))
            except ChainError as error:
                found.append(unknown(check, error))
        for pool in self.settings.pools:
            check = f"pool {pool.pool[:10]}"
            try:
                found.append(await self._pool(check, pool))
            except ChainError as error:
                found.append(unknown(check, error))
        return found

    def _targets(self) -> Mapping[Address, str]:
        """Return every address at which a contract has to be, with the key that names it."""
        places: dict[Address, str] = {}
        for maker in self.settings.fpmm:
            for key in ("maker", "conditional_tokens", "collateral"):
                places.setdefault(getattr(maker, key), f"fpmm.{key}")
        for pool in self.settings.pools:
            for key in ("pool", "outcome", "collateral", "router", "quoter"):
                places.setdefault(getattr(pool, key), f"pools.{key}")
        if any(wallet.signature_type is SignatureType.SAFE for wallet in self.look.context.wallets):
            places.setdefault(self.settings.multi_send, "multi_send")
        return places

    async def _maker(self, check: str, table: FpmmTable) -> Finding:
        where = f"fpmm in {self._table}"
        for key, question in (("conditional_tokens", _TOKENS), ("collateral", _COLLATERAL)):
            told, wanted = await self.look.address(table.maker, question()), getattr(table, key)
            if told is None:
                return bad(
                    check, f"{checksummed(table.maker)} is no market maker: it tells no {key}", f"maker of {where}"
                )
            if told != wanted:
                return bad(check, f"its {key} is {checksummed(told)}, not {checksummed(wanted)}", f"{key} of {where}")
        condition = await self.look.number(table.maker, _CONDITIONS(0))
        if condition is None:
            return bad(check, f"{checksummed(table.maker)} tells no condition", f"maker of {where}")
        if await self.look.number(table.maker, _CONDITIONS(1)) is not None:
            return unknown(check, "it is about several conditions together, whose tokens are not worked out here")
        slots = await self.look.number(table.conditional_tokens, _SLOTS(condition.to_bytes(32)))
        if slots != len(table.tokens):
            told_slots = "none" if slots is None else str(slots)
            return bad(check, f"its outcomes are {told_slots}, not {len(table.tokens)}", f"tokens of {where}")
        name = Hash32(f"0x{condition:064x}")
        for place, token in enumerate(table.tokens):
            ours = token_of(table.collateral, name, 1 << place)
            if ours != token:
                return bad(check, f"token {place} of its condition is {ours}, not {token}", f"tokens of {where}")
        decimals = await self._decimals(table.collateral)
        if decimals is None:
            return bad(check, f"{checksummed(table.collateral)} tells no decimals up to 24", f"collateral of {where}")
        return good(check, f"{counted(slots, 'outcome')} of {name}, in a token of {decimals} decimals")

    async def _pool(self, check: str, table: PoolTable) -> Finding:
        where, pool = f"pools in {self._table}", table.pool
        told = [await self.look.address(pool, question()) for question in (_TOKEN0, _TOKEN1)]
        wanted = sorted((table.outcome, table.collateral))
        tokens = [token for token in told if token is not None]
        if len(tokens) < 2:
            return bad(check, f"{checksummed(pool)} is no pool: it tells no tokens", f"pool of {where}")
        if tokens != wanted:
            return bad(
                check, f"its tokens are {listed(tokens)}, not {listed(wanted)}", f"outcome, collateral of {where}"
            )
        fee = await self.look.number(pool, _FEE())
        if fee is None or fee >= _MOST_FEE:
            return bad(check, f"{checksummed(pool)} tells no fee", f"pool of {where}")
        factory = await self.look.address(table.router, _FACTORY())
        if factory is None:
            return bad(check, f"{checksummed(table.router)} is no router: it tells no factory", f"router of {where}")
        # What a pool says of itself proves nothing: the factory of the router says which pool is its own.
        its_own = await self.look.address(factory, _GET_POOL(*wanted, fee))
        if its_own != pool:
            whose = "none" if its_own is None or not int(its_own, 16) else checksummed(its_own)
            text = f"the router's factory {checksummed(factory)} has made {whose} for these tokens and a fee of {fee}"
            return bad(check, text, f"pool, or router of {where}")
        if (quoting := await self.look.address(table.quoter, _FACTORY())) != factory:
            of = "no factory" if quoting is None else f"the factory {checksummed(quoting)}"
            return bad(check, f"the quoter is of {of}, not of {checksummed(factory)}", f"quoter of {where}")
        # A router is of that factory as well, and an address pasted twice would be told by no other answer.
        if _QUOTES not in await self.look.contracts.code(table.quoter):
            return bad(
                check, f"{checksummed(table.quoter)} is no QuoterV2: it quotes no single swap", f"quoter of {where}"
            )
        second = await self.look.number(table.router, _SECOND_FACTORY()) is not None
        if second is table.takes_deadline:
            kind = "SwapRouter02, which takes no deadline" if second else "SwapRouter, which takes a deadline"
            return bad(check, f"the router is a {kind}", f"takes_deadline of {where}")
        decimals = [await self._decimals(token) for token in (table.outcome, table.collateral)]
        if None in decimals:
            return bad(check, "a token of it tells no decimals up to 24", f"outcome, collateral of {where}")
        shares, cash = decimals
        return good(
            check, f"its factory's own, fee {fee} millionths, {shares} decimals of the outcome, {cash} of the cash"
        )

    async def _decimals(self, token: Address) -> int | None:
        told = await self.look.number(token, _DECIMALS())
        try:
            return None if told is None else Decimals(shares=told, cash=told).cash
        except ValueError:
            return None


def _numbers(told: Mapping[str, object]) -> dict[str, int]:
    return dict(_read(told))


def _read(told: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    for name, answer in told.items():
        if isinstance(answer, str | int):
            try:
                yield name, number_of(answer)
            except MISREAD:
                continue
