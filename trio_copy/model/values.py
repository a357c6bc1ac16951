"""Values: what is made once and then read, never changed.

The type checker takes `value` for `attrs.frozen` and refuses every assignment. At run time nothing stands in the way of
one: a value that guards itself takes twice as long to be made, and a copy makes a dozen of them. What is handed to plugins
while it is still to be acted upon, such as an order, is `attrs.frozen` for good.

For the same reason those that every copy makes are made by position where it makes them, in the order of their fields:
by name it takes twice as long as well.
"""

from functools import partial
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from attrs import frozen as value
else:
    value = partial(define, unsafe_hash=True, weakref_slot=False)

__all__ = ["value"]
