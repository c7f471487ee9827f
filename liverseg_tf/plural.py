"""Numbers with their nouns, singular or plural."""


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
