"""Corrections of wrong headers for named cases, in the form of command-line options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.dataset.cases import Case
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class CaseCorrections:
    """Orientation and spacing that override the headers of cases.

    Names are shell patterns such as `volume-2[89]`. If several match a case, the last one is used.

    Args:
        orientations: "NAME=LPS": three letters for the directions of the file's axes.
        spacings: "NAME=0.7,0.7,1.5": spacing along the file's axes in mm.
        same_voxels: Names of cases whose mask lies on the voxels of the image, whatever its
            header says.
        form: The form to use for all cases of which sform and qform disagree, "sform" or "qform".
    """

    orientations: Sequence[str] = ()
    spacings: Sequence[str] = ()
    same_voxels: Sequence[str] = ()
    form: str | None = None

    def apply(self, cases: list[Case]) -> list[Case]:
        """Return the cases with their corrections.

        Raises:
            SettingsError: If a text has another form, or its name matches no case.
        """
        rules: list[tuple[str, Any, str]] = [
            *([("*", self.form, "form")] if self.form is not None else []),
            *((*_split(text, "LPS"), "orientation") for text in self.orientations),
            *((*_split(text, "0.7,0.7,1.5"), "spacing_mm") for text in self.spacings),
            *((pattern, True, "same_voxels") for pattern in self.same_voxels),
        ]
        corrected = {case.name: case for case in cases}
        for pattern, value, field in rules:
            parsed: Any = _parse_numbers(value) if field == "spacing_mm" else value
            names = [name for name in corrected if fnmatchcase(name, pattern)]
            if not names:
                raise SettingsError(
                    f"Expected a correction for cases of the data set. Received '{pattern}', which "
                    f"matches no case (the first one is named {cases[0].name})."
                )
            for name in names:
                correction = corrected[name].correction or GridCorrection()
                corrected[name] = replace(
                    corrected[name], correction=replace(correction, **{field: parsed})
                )
        return list(corrected.values())


def _split(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not (name and equals and value):
        raise SettingsError(f"Expected a correction as NAME={example}. Received '{text}'.")
    return name, value


def _parse_numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise SettingsError(
            f"Expected a spacing as three numbers such as 0.7,0.7,1.5. Received '{text}'."
        ) from None
