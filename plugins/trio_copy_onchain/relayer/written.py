"""An action in its shard's journal."""

from collections.abc import Collection, Sequence

from attrs import frozen

from trio_copy.model.ids import Address, ChainId, IntentKey
from trio_copy.ports import Journal
from trio_copy_onchain.relayer.submitted import Action, actions_of, name_of, read_action, write_action

_KEEP_S = 30 * 86_400
"""For how long it is known of an action that it has landed."""


@frozen(kw_only=True)
class Written:
    journal: Journal
    chain_id: ChainId
    wallet: Address
    key: IntentKey

    @property
    def name(self) -> str:
        return name_of(self.chain_id, self.wallet, self.key)

    def read(self) -> Action | None:
        """Return what is written down; None where nothing is."""
        body = self.journal.documents().get(self.name)
        return None if body is None else read_action(body)

    def write(self, action: Action) -> None:
        """Write it down; durable once somebody has waited for the journal."""
        self.journal.put(self.name, write_action(action))

    def rivals(self, action: Action) -> Sequence[Action]:
        """Return the wallet's other actions of the same nonce: one of all of them happens at most."""
        others = actions_of(self.journal.documents(), self.chain_id, self.wallet)
        return [other for key, other in others if key != self.key and other.nonce == action.nonce]

    def forget_others(self, landed: Action, unix_s: float) -> Collection[str]:
        """Delete actions of the nonce of one that has landed, which never happen, and those that landed long ago.

        Returns the names of what was deleted.
        """
        gone = []
        for key, other in actions_of(self.journal.documents(), self.chain_id, self.wallet):
            old = other.landed is not None and other.at < unix_s - _KEEP_S and key not in self.journal.open_keys()
            displaced = other.landed is None and other.nonce == landed.nonce
            if key != self.key and (old or displaced):
                gone.append(name_of(self.chain_id, self.wallet, key))
        for name in gone:
            self.journal.put(name, None)
        return gone
