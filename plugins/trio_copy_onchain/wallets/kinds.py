"""Which kind a wallet is, and where the contracts are by which it acts."""

from attrs import frozen

from trio_copy.model.ids import Address, Hash32
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy_onchain.wallets import proxy, safe
from trio_copy_onchain.wallets.eoa import Eoa
from trio_copy_onchain.wallets.proxy import Proxy, made_by
from trio_copy_onchain.wallets.safe import Safe
from trio_copy_onchain.wallets.seam import WalletKind

_MULTI_SEND = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")
_PROXY_FACTORY = Address("0xab45c5a4b0c941a2f231c04c3f49182e1a254052")
_PROXY_INIT_CODE = Hash32("0xd21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b")


@frozen(kw_only=True)
class WalletContracts:
    """By default Safe 1.3.0 where it was put on most chains, and Polymarket's factory on Polygon."""

    multi_send: Address = _MULTI_SEND
    """Some chains have it at 0x998739bfdaadde7c933b942a68053933098f9eda in its place."""
    proxy_factory: Address = _PROXY_FACTORY
    proxy_init_code: Hash32 = _PROXY_INIT_CODE
    """The hash of what the factory makes: another factory has another one."""


CONTRACTS = WalletContracts()


def of_wallet(wallet: Wallet, contracts: WalletContracts = CONTRACTS) -> WalletKind:
    """Return how a wallet acts by transactions of its operators.

    Raises:
        ValueError: it is one on paper, or acts by a relayer alone.
    """
    if wallet.address is None:
        raise ValueError(f"wallet {wallet.name or wallet.follower}: expected an address, got one on paper")
    match wallet.signature_type:
        case SignatureType.EOA:
            return Eoa(address=wallet.address)
        case SignatureType.SAFE:
            return Safe(address=wallet.address, multi_send=contracts.multi_send)
        case SignatureType.PROXY:
            return Proxy(
                address=wallet.address, factory=contracts.proxy_factory, init_code_hash=contracts.proxy_init_code
            )
        case SignatureType.DEPOSIT:
            raise ValueError(
                f"wallet {wallet.name}: a deposit wallet acts by its relayer alone, and by no transaction of ours"
            )


def moved_by(operator: Address, to: Address, data: bytes, contracts: WalletContracts = CONTRACTS) -> Address:
    """Return the wallet whose calls an operator's transaction makes: a Safe, a proxy wallet, or the operator itself."""
    if data.startswith(safe.SELECTOR):
        return to
    if to == contracts.proxy_factory and data.startswith(proxy.SELECTOR):
        return made_by(contracts.proxy_factory, contracts.proxy_init_code, operator)
    return operator
