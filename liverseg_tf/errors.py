"""The package's own errors: everything that a user can mend."""


class LiverSegError(Exception):
    """What was expected, what came, and for which case, in one line (exit code 1)."""

    def about(self, case: str) -> "LiverSegError":
        """The same error with the case's name at its end, unless it is named there already."""
        mark = f"(case {case})"
        text = str(self)
        return self if text.endswith(mark) else type(self)(f"{text} {mark}")


class SettingsError(LiverSegError):
    """Settings that can't be used, alone or together (exit code 2)."""
