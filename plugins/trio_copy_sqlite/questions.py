"""Questions about facts as conditions of SQL."""

from attrs import frozen

from trio_copy.model.facts import FactQuery


@frozen
class Condition:
    """Some SQL and its values, in the order of its question marks."""

    text: str
    values: tuple[object, ...]


def of_names(query: FactQuery) -> Condition:
    """Narrow down to kinds, follower and leader, which stand as numbers in every table."""
    kinds = sorted(query.kinds)
    marks = ", ".join("?" * len(kinds))
    return _all(
        (f"kind IN (SELECT id FROM names WHERE name IN ({marks}))", *kinds),
        ("follower = (SELECT id FROM names WHERE name = ?)", query.follower),
        ("leader = (SELECT id FROM names WHERE name = ?)", query.leader),
    )


def of_facts(query: FactQuery) -> Condition:
    """Narrow down to all that a question names."""
    names = of_names(query)
    return _all(
        (names.text, *names.values),
        ("token_id = (SELECT id FROM names WHERE name = ?)", None if query.token_id is None else str(query.token_id)),
        ("at >= ?", query.since),
        ("at < ?", query.until),
    )


def _all(*conditions: tuple[object, ...]) -> Condition:
    """Join conditions; one whose value is None narrows nothing down."""
    wanted = [condition for condition in conditions if None not in condition]
    values = tuple(value for _, *some in wanted for value in some)
    return Condition(" AND ".join(str(text) for text, *_ in wanted), values)
