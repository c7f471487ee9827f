"""Numbers with their nouns, singular or plural, and the first names of a list."""

from collections.abc import Iterable


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun, such as "1 case" or "2 cases".

    Args:
        number: Number of things.
        noun: Singular form of the noun.
        plural: Plural form; None appends "s".

    Example:
        >>> count(1, "case"), count(2, "case")
        ('1 case', '2 cases')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def name_some(names: Iterable[str], most: int = 3) -> str:
    """Return the first names of a list, and the number of the others.

    Args:
        names: Names.
        most: Number of names that are shown.

    Example:
        >>> name_some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
