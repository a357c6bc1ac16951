"""What the venue says: of our clock and our place, and of a signer and of what his wallet has."""

from collections.abc import Mapping

import trio
from attrs import frozen

from trio_copy.errors import ExecutorError
from trio_copy.model.ids import ChainId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import Usd
from trio_copy.native import signer_of
from trio_copy.ports import Finding, Health, Signer
from trio_copy_clob.orders.headers import Credentials, access_of, auth_separator, l1_headers, l2_headers
from trio_copy_clob.orders.words import checksummed, to_be_signed
from trio_copy_clob.sending.balances import asset, read_balance
from trio_copy_clob.sending.calling import Caller, take_time
from trio_copy_clob.sending.credentials import ApiKey, NoKey, VenueSigner
from trio_copy_clob.sending.limits import Turns, limits_of_signer
from trio_copy_clob.sending.permissions import is_closed_only, read_region, read_tier
from trio_copy_clob.sending.skew import SET_CLOCK, VenueClock

_OFF_S, _FAR_OFF_S = 10.0, 100.0
_CLOCK = "a time server for this machine (systemd-timesyncd, chrony)"
_TYPES = tuple(SignatureType)


async def examine_clock(caller: Caller, clock: VenueClock, wait_s: float) -> Finding:
    """Say how far our clock is from the venue's, and remember it for what is signed."""

    def found(health: Health, text: str, advice: str = "") -> Finding:
        return Finding(check="clock", health=health, text=text, advice=advice)

    why = await take_time(caller, clock, clock.wall, trio.current_time() + wait_s)
    if why is not None:
        return found(Health.BAD, why, _CLOCK) if why.endswith(SET_CLOCK) else found(Health.UNKNOWN, why)
    ahead = "ahead of" if clock.skew_s > 0 else "behind"
    text = f"{abs(clock.skew_s):.0f} s {ahead} the venue's"
    if abs(clock.skew_s) <= _OFF_S:
        return found(Health.GOOD, text)
    return found(Health.GOOD if abs(clock.skew_s) <= _FAR_OFF_S else Health.BAD, text, _CLOCK)


async def examine_region(caller: Caller, wait_s: float) -> Finding:
    """Say whether the venue serves the place from which this machine is seen."""
    check = "region"
    try:
        region = await read_region(caller, "", trio.current_time() + wait_s)
    except ExecutorError as error:
        return Finding(check=check, health=Health.UNKNOWN, text=str(error).removeprefix(": "))
    if not region.blocked:
        return Finding(check=check, health=Health.GOOD, text=str(region))
    advice = "run it where the venue may serve you; orders from here are refused, and asking again makes it no better"
    return Finding(check=check, health=Health.BAD, text=str(region), advice=advice)


def examine_signature(wallet: Wallet, signer: Signer | None, chain_id: ChainId, at: int) -> Finding:
    """Let a key say who asks, as it does to the venue, and see whether that is told from the signature."""

    def found(health: Health, text: str, advice: str = "") -> Finding:
        return Finding(check="signature", health=health, text=text, advice=advice, wallet=wallet.name)

    if signer is None:
        return found(Health.UNKNOWN, "without the key nothing can be signed")
    access = access_of(signer.address, at, 0, chain_id)
    signed = signer.sign_access(access)
    if not isinstance(signed, bytes):
        return found(Health.BAD, f"nothing was signed: {signed.value}", f"{signed.control}: {signed.limit}")
    try:
        good = signer_of(to_be_signed(auth_separator(chain_id), access.statement), signed) == signer.address
    except ValueError:
        good = False
    if good:
        return found(Health.GOOD, f"signed by {checksummed(signer.address)}, and read back as such")
    text = f"signed by {checksummed(signer.address)}, read back as something else"
    return found(
        Health.BAD, text, "pip install --force-reinstall 'trio-copy[live]': what signs is broken; trade with nothing"
    )


def venue_signer(signer: Signer, caller: Caller, clock: VenueClock, reads: Turns, chain_id: ChainId) -> VenueSigner:
    """Return a signer as the venue knows it, who is told the API key that he has, and has none made."""
    address = signer.address

    def level1(timestamp: int) -> Mapping[str, str]:
        signed = signer.sign_access(access_of(address, timestamp, 0, chain_id))
        return l1_headers(address, lambda digest: signed if isinstance(signed, bytes) else b"", timestamp, 0, chain_id)

    def level2(key: ApiKey, timestamp: int, method: str, path: str, body: bytes | None) -> Mapping[str, str]:
        assert isinstance(key, Credentials)  # nobody else makes any
        return l2_headers(key, timestamp, method, path, body)

    def make_key(api_key: str, secret: str, passphrase: str) -> Credentials:
        return Credentials(address=address, api_key=api_key, secret=secret, passphrase=passphrase)

    return VenueSigner(
        address=checksummed(address),
        caller=caller,
        clock=clock,
        wall=clock.wall,
        limits=limits_of_signer(),
        reads=reads,
        level1=level1,
        level2=level2,
        make_key=make_key,
        makes_keys=False,
    )


@frozen
class AtVenue:
    """What the venue says of one wallet and its signer."""

    wallet: Wallet
    signer: VenueSigner | None
    wait_s: float

    async def examine(self, cash: int | None) -> list[Finding]:
        """Ask for the API key, and with it for the rest; `cash` is what the chain says that the wallet has."""
        why = "without the key the venue cannot be asked"
        if self.signer is not None:
            key = await self.signer.key(self._until)
            api_key = self._api_key(key)
            if not isinstance(key, NoKey):
                rest = [await self._money(self.signer, cash), await self._tier(self.signer)]
                return [api_key, *rest, await self._closed_only(self.signer)]
            why = "without an API key the venue cannot be asked"
        else:
            api_key = self._found("API key", Health.UNKNOWN, why)
        untold = [self._found(check, Health.UNKNOWN, why) for check in ("money by type", "tier", "closed-only")]
        return [api_key, *untold]

    def _api_key(self, key: ApiKey | NoKey) -> Finding:
        if not isinstance(key, NoKey):
            return self._found("API key", Health.GOOD, f"{key.api_key[:8]}.., made before and told again")
        if key.none_yet:
            text, advice = (
                f"{key.why}; so there seems to be none yet",
                "the first run makes one; then look again",
            )
            return self._found("API key", Health.UNKNOWN, text, advice)
        if key.refused:
            advice = "key and clock: the venue does not believe who asks, and would take no order"
            return self._found("API key", Health.BAD, key.why, advice)
        return self._found("API key", Health.UNKNOWN, key.why)

    async def _money(self, signer: VenueSigner, cash: int | None) -> Finding:
        """Say by which signature type the venue finds money: by a wrong one it finds nothing, and refuses nothing."""
        check, own = "money by type", self.wallet.signature_type
        try:
            by_type = {
                kind: (await read_balance(signer, asset(None, "v2", kind), self._until)).amount for kind in _TYPES
            }
        except ExecutorError as error:
            return self._found(check, Health.UNKNOWN, str(error))
        seen = ", ".join(f"{kind.name.lower()} {Usd(amount)}" for kind, amount in by_type.items() if amount)
        if by_type[own]:
            return self._found(check, Health.GOOD, f"{Usd(by_type[own])} USD as {own.name.lower()}")
        if seen:
            named = max(by_type, key=by_type.__getitem__).name.lower()
            advice = f'signature_type = "{named}" and the address of that wallet in [wallet.{self.wallet.name}]'
            return self._found(check, Health.BAD, f"none as {own.name.lower()}, but: {seen}", advice)
        if cash:
            text = f"none by any type, though the chain says {Usd(cash)} USD"
            advice = "the address that this account shows at polymarket.com; right after a deposit, wait a minute"
            return self._found(check, Health.BAD, text, advice)
        if cash == 0:
            return self._found(check, Health.BAD, "none by any type, and none on the chain", "pUSD for the wallet")
        return self._found(
            check, Health.UNKNOWN, "none by any type, so nobody can tell which is right", "pUSD for the wallet"
        )

    async def _tier(self, signer: VenueSigner) -> Finding:
        try:
            tier = await read_tier(signer, self._until)
        except ExecutorError as error:
            return self._found("tier", Health.UNKNOWN, str(error))
        return self._found("tier", Health.GOOD, f"{tier.name}, {tier.orders_per_s:g} orders a second")

    async def _closed_only(self, signer: VenueSigner) -> Finding:
        try:
            closed = await is_closed_only(signer, self._until)
        except ExecutorError as error:
            return self._found("closed-only", Health.UNKNOWN, str(error))
        if not closed:
            return self._found("closed-only", Health.GOOD, "no: it may buy and sell")
        return self._found(
            "closed-only",
            Health.BAD,
            "it may only sell what it has",
            "another account for entries, or ask the venue why",
        )

    @property
    def _until(self) -> float:
        return trio.current_time() + self.wait_s

    def _found(self, check: str, health: Health, text: str, advice: str = "") -> Finding:
        return Finding(check=check, health=health, text=text, advice=advice, wallet=self.wallet.name)
