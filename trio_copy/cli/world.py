"""What an engine is connected to."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from trio_copy.chain.dial import Dial
from trio_copy.config import EndpointSettings
from trio_copy.engine.plan import Plan
from trio_copy.model.catalog import Catalog, Labels
from trio_copy.model.ids import TokenId
from trio_copy.model.units import Usd
from trio_copy.ports import OpenSocket, Quotes
from trio_copy.sockets import open_socket

PLAY_USD = Usd.parse(1000)
"""What a wallet has at the venue of a run, where it is not said."""


@frozen(kw_only=True)
class World:
    endpoints: Sequence[EndpointSettings]
    dial: Dial
    quotes: Quotes | None
    plan: Plan
    """With the addresses of what is served inside the process."""
    catalog: Catalog
    """What is known about tokens; more as time goes on."""
    open_socket: OpenSocket = open_socket
    """How the market source is reached."""
    policy: Mapping[str, Any] = field(factory=dict)
    """What the guards of wallets have to know of venues that came with the run, by the settings of [wallet.NAME.policy]."""
    steps: Sequence[tuple[str, str]] = ()
    """What came with the run, to be told once somebody listens."""

    @property
    def labels(self) -> Mapping[TokenId, str]:
        return Labels(self.catalog)
