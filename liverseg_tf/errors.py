"""The package's own errors: every problem that a user can solve."""


class LiverSegError(Exception):
    """One line: what is wrong, with which file or case, and what to do about it (exit code 1)."""

    def about(self, case: str) -> "LiverSegError":
        """Return the same error with the name of its case appended, unless it is there already."""
        suffix = f"(case {case})"
        text = str(self)
        return self if text.endswith(suffix) else type(self)(f"{text} {suffix}")


class SettingsError(LiverSegError):
    """Settings that cannot be used, alone or together (exit code 2)."""


class MemoryLimitError(LiverSegError):
    """An image that is too large for the memory of this machine."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class name if it has none.

    Errors of other libraries are often long; this makes one line of them.
    """
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def reason_of(error: BaseException) -> str:
    """Return why an operation failed: the system's words for an `OSError`, or else `first_line`."""
    return getattr(error, "strerror", None) or first_line(error)
