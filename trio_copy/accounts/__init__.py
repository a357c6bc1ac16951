"""The state machine of one follower's money: commands in, events out; every rule of money once."""

from trio_copy.accounts.account import Account, DeadLetter, Waiting
from trio_copy.accounts.budgets import Spot
from trio_copy.accounts.orders import OpenOrder, OrderState

__all__ = ["Account", "DeadLetter", "OpenOrder", "OrderState", "Spot", "Waiting"]
