"""The state machine of one follower's money: commands in, events out; every rule of money once."""

from trio_copy.accounts.account import Account, DeadLetter, Spot, Waiting
from trio_copy.accounts.orders import OpenOrder, OrderState

__all__ = ["Account", "DeadLetter", "OpenOrder", "OrderState", "Spot", "Waiting"]
