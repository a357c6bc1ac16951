"""An operator on a scripted chain, and what was signed for its nonces."""

from collections.abc import Callable
from typing import Any

from tests.builders import NOW, POLYGON
from tests.onchain.executing import KeptJournal, Signing
from tests.onchain.scripted_chain import FEES, KEY, ScriptedChain, sent
from trio_copy.model.ids import IntentKey
from trio_copy.native import SecretKey
from trio_copy.transactions.transaction import Signed
from trio_copy_onchain.asking.fee_clock import FeeClock
from trio_copy_onchain.sending.operator import Operator
from trio_copy_onchain.sending.written import Written
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.sendings import Binding, Sending

BOUND = IntentKey("ab" * 32)


def operator_on(chain: ScriptedChain, on_news: Callable[[IntentKey], None] = lambda key: None) -> Operator:
    """Return one that has sent nothing yet."""
    signer: Any = Signing(KEY)
    return Operator(
        address=KEY.address,
        signer=signer,
        chain=chain.asked,
        fees=fee_clock(chain),
        written=Written(journal=KeptJournal(), chain_id=POLYGON, operator=KEY.address),
        wall=lambda: NOW,
        patience_s=10,
        on_trouble=lambda kind, detail: None,
        on_news=on_news,
        at=lambda point: None,
    )


def fee_clock(chain: ScriptedChain) -> FeeClock:
    return FeeClock(chain=chain.asked, percentile=50, cap=10**15, floor=1)


def bind(nonces: Nonces, key: SecretKey = KEY) -> Signed:
    """Bind the first nonce to `BOUND`, and return the transaction that was signed for it."""
    ours = sent(0, key)
    sending = Sending(nonce=0, hash=ours.hash, raw=ours.raw, fees=FEES, at=0.0)
    nonces.apply([e.Bound(binding=Binding(nonce=0, key=BOUND, until=1e12, sendings=(sending,)))])
    return ours
