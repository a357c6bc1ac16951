"""How many there are of something, in words."""


def counted(count: int, noun: str, many: str | None = None) -> str:
    """Write a count with its noun: 1 follow, 2 follows; `many` where an s behind it does not do."""
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"
