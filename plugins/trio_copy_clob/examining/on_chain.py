"""What the chain says of a wallet: asked of the configured nodes, and of nobody else."""

from attrs import frozen

from trio_copy.errors import ChainError
from trio_copy.model.ids import Address
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd
from trio_copy.ports import Contracts, ExecutorContext, Finding, Health, Signer
from trio_copy_clob.examining.contracts import UNLIMITED, Traded, address_in, asking, number_in, traded_on
from trio_copy_clob.examining.nested import MAGIC, is_valid_signature, nested_access
from trio_copy_clob.orders.words import checksummed

_LEAST_PURCHASE = Usd.parse(1)
_ON_SITE = "approve it at polymarket.com, or by a transaction of the wallet"


@frozen
class OnChain:
    """The looks at one wallet."""

    context: ExecutorContext
    contracts: Contracts
    wallet: Wallet
    address: Address
    signer: Signer | None

    async def code(self) -> tuple[Finding, bool | None]:
        """Say whether a contract is where one has to be; and whether one is, None where nobody tells."""
        check = "code"
        if self.wallet.signature_type is SignatureType.EOA:
            return self._found(check, Health.GOOD, "none is needed: the key's own account"), True
        try:
            code = await self.contracts.code(self.address)
        except ChainError as error:
            return self._untold(check, error), None
        if code:
            return self._found(check, Health.GOOD, "its contract is there"), True
        text = f"no contract at {checksummed(self.address)}: a wallet that is not deployed cannot trade"
        return self._found(
            check, Health.BAD, text, "one small trade at polymarket.com with this account deploys it"
        ), False

    async def owner(self, *, deployed: bool | None) -> Finding | None:
        """Say whether the key may sign for the wallet, as its contract tells; None of kinds that tell nothing."""
        check, kind = "owner", self.wallet.signature_type
        if kind in (SignatureType.EOA, SignatureType.PROXY):
            return None  # their addresses prove it
        if self.signer is None:
            return self._found(check, Health.UNKNOWN, "without the key nobody can tell whether it is its own")
        if not deployed:
            return self._found(check, Health.UNKNOWN, "there is no contract that could tell")
        key, told = self.signer.address, "its contract does not tell"
        try:
            if kind is SignatureType.SAFE:
                answer = number_in(await self._call(self.address, asking("isOwner(address)", key)))
                owns, who = None if answer is None else bool(answer), "somebody else"
            else:
                owner = address_in(await self._call(self.address, asking("owner()")))
                owns, who = None if owner is None else owner == key, "" if owner is None else checksummed(owner)
        except ChainError as error:
            return self._untold(check, error)
        if owns is None:
            return self._found(check, Health.UNKNOWN, told)
        if owns:
            return self._found(check, Health.GOOD, f"{checksummed(key)}, the key's address")
        return self._found(
            check,
            Health.BAD,
            f"{who}, and not {checksummed(key)}, the key's address",
            f"the key of its owner in [wallet.{self.wallet.name}], or the address of this key's own wallet",
        )

    async def cash(self) -> int | None:
        """Return the money in the wallet, in millionths; None where nobody tells."""
        traded = traded_on(self.context.chain_id)
        try:
            asked = asking("balanceOf(address)", self.address)
            return number_in(await self._call(traded[0].cash, asked)) if traded else None
        except ChainError:
            return None

    async def approvals(self) -> list[Finding]:
        """Say, of each exchange, whether it may take cash to buy, and shares to sell."""
        traded = traded_on(self.context.chain_id)
        return [await look(one) for one in traded for look in (self._to_buy, self._to_sell)]

    async def signature(self) -> Finding | None:
        """Let a deposit wallet itself judge its owner's signature; None of other kinds."""
        check = "signature by wallet"
        if self.wallet.signature_type is not SignatureType.DEPOSIT:
            return None
        if self.signer is None:
            return self._found(check, Health.UNKNOWN, "without the key nothing can be signed")
        now, chain_id = int(self.context.wall()), self.context.chain_id
        access, digest, rest = nested_access(self.address, self.signer.address, now, chain_id)
        signed = self.signer.sign_access(access)
        if not isinstance(signed, bytes):
            return self._found(check, Health.UNKNOWN, f"nothing was signed: {signed.value}")
        try:
            answer = await self._call(self.address, is_valid_signature(digest, signed + rest))
        except ChainError as error:
            return self._untold(check, error)
        if answer == MAGIC:
            return self._found(check, Health.GOOD, "the wallet takes the nested signature of its key (ERC-7739)")
        if not answer and answer is not None:
            return self._found(check, Health.UNKNOWN, "there is no contract that could judge it")
        return self._found(
            check,
            Health.BAD,
            "the wallet does not take the nested signature of its key (ERC-7739)",
            "check key and address; where both are right, trade with another wallet: the venue would refuse every order",
        )

    async def _to_buy(self, traded: Traded) -> Finding:
        check = f"approval {traded.exchange} BUY"
        try:
            asked = asking("allowance(address,address)", self.address, traded.contract)
            allowed = number_in(await self._call(traded.cash, asked))
        except ChainError as error:
            return self._untold(check, error)
        if allowed is None:
            return self._found(check, Health.UNKNOWN, f"the node knows no pUSD at {checksummed(traded.cash)}")
        spender = checksummed(traded.contract)
        if allowed >= UNLIMITED:
            return self._found(
                check,
                Health.GOOD,
                f"unlimited: {spender} may take all that the wallet ever has",
                "a finite allowance of pUSD, as much as it may trade with",
            )
        if allowed < _LEAST_PURCHASE.micro:
            amount = f"{Usd(allowed)} USD" if allowed else "none"
            return self._found(check, Health.BAD, f"{amount}: no order can be paid", f"pUSD for {spender}: {_ON_SITE}")
        return self._found(check, Health.GOOD, f"{Usd(allowed)} USD")

    async def _to_sell(self, traded: Traded) -> Finding:
        check = f"approval {traded.exchange} SELL"
        try:
            asked = asking("isApprovedForAll(address,address)", self.address, traded.contract)
            approved = number_in(await self._call(traded.shares, asked))
        except ChainError as error:
            return self._untold(check, error)
        ledger = checksummed(traded.shares)
        if approved is None:
            return self._found(check, Health.UNKNOWN, f"the node knows no shares at {ledger}")
        if approved:
            return self._found(check, Health.GOOD, f"for all shares at {ledger}")
        spender = checksummed(traded.contract)
        return self._found(
            check, Health.BAD, "none: what is bought could not be sold", f"shares of {ledger} for {spender}: {_ON_SITE}"
        )

    async def _call(self, to: Address, data: bytes) -> bytes | None:
        return await self.contracts.call(to, data)

    def _untold(self, check: str, error: ChainError) -> Finding:
        return self._found(check, Health.UNKNOWN, str(error))

    def _found(self, check: str, health: Health, text: str, advice: str = "") -> Finding:
        return Finding(check=check, health=health, text=text, advice=advice, wallet=self.wallet.name)
