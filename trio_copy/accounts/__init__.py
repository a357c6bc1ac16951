"""The state machine of one follower's money: commands in, events out; every rule of money once."""

from trio_copy.accounts.account import Account
from trio_copy.accounts.budgets import Spot
from trio_copy.accounts.orders import OpenOrder, OrderState
from trio_copy.accounts.unplaced import DeadLetter, Waiting

__all__ = ["Account", "DeadLetter", "OpenOrder", "OrderState", "Spot", "Waiting"]
