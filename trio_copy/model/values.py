"""Values: what is made once and then read, never changed.

The type checker takes `value` and `sealed` for `attrs.frozen` and refuses every assignment. At run time nothing stands in the
way of one to a `value`: what guards itself takes twice as long to be made, and a copy makes a dozen of them. What is handed to
plugins while it is still to be acted upon, such as an order, refuses every change for good: it is `sealed` where every copy
makes one, and `attrs.frozen` elsewhere.

For the same reason those that every copy makes are made by position where it makes them, in the order of their fields:
by name it takes twice as long as well.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define
from attrs.exceptions import FrozenInstanceError

if TYPE_CHECKING:
    from attrs import frozen as sealed
    from attrs import frozen as value
else:
    value = partial(define, unsafe_hash=True, weakref_slot=False)

    class _Sealed(type):
        """Makes an open one, and closes it once it is whole.

        One that was never open, as those of `attrs.frozen`, passes each of its fields around its own guard.
        """

        def __call__(cls, *fields: Any, **named: Any) -> Any:  # noqa: ANN401
            made = cls._opened(*fields, **named)
            made.__class__ = cls
            return made

    def _refuse(_self: object, *_: object) -> NoReturn:
        raise FrozenInstanceError

    def sealed(cls: type) -> type:
        """Make a value of a class that refuses every change, at half of what `attrs.frozen` takes."""
        names = {name: getattr(cls, name) for name in ("__doc__", "__module__", "__qualname__")}
        guard = {"__slots__": (), "__setattr__": _refuse, "__delattr__": _refuse}
        opened = value(cls)
        return _Sealed(cls.__name__, (opened,), {**names, **guard, "_opened": opened})


__all__ = ["sealed", "value"]
