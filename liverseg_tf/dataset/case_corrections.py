"""Corrections of grids for named cases, as they are written on a command line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.dataset.cases import Case
from liverseg_tf.errors import SettingsError


@dataclass(frozen=True)
class Corrections:
    """What is known better than the headers, for cases by name.

    Names are shell patterns (`volume-2[89]`); where several match, the last one wins.

    Args:
        orientations: each "NAME=LPS", three letters for the file's axes.
        spacings: each "NAME=0.7,0.7,1.5", mm along the file's axes.
        same_voxels: names of cases whose mask lies on its image's voxels whatever its header
            says.
    """

    orientations: Sequence[str] = ()
    spacings: Sequence[str] = ()
    same_voxels: Sequence[str] = ()

    def apply(self, cases: list[Case]) -> list[Case]:
        """The cases with their corrections.

        Raises:
            SettingsError: on a text of another form, or a name that no case has.
        """
        rules = [
            *((*_split(text, "LPS"), "orientation") for text in self.orientations),
            *((*_split(text, "0.7,0.7,1.5"), "spacing_mm") for text in self.spacings),
            *((pattern, True, "same_voxels") for pattern in self.same_voxels),
        ]
        corrected = {case.name: case for case in cases}
        for pattern, value, field in rules:
            value = _numbers(value) if field == "spacing_mm" else value
            names = [name for name in corrected if fnmatchcase(name, pattern)]
            if not names:
                raise SettingsError(
                    f"Expected a correction for cases of the data set. Received {pattern!r}, "
                    f"which is none of them (they are named like {cases[0].name})."
                )
            for name in names:
                correction = corrected[name].correction or GridCorrection()
                corrected[name] = replace(
                    corrected[name], correction=replace(correction, **{field: value})
                )
        return list(corrected.values())


def _split(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not (name and equals and value):
        raise SettingsError(f"Expected a correction as NAME={example}. Received {text!r}.")
    return name, value


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise SettingsError(
            f"Expected a spacing as three numbers, 0.7,0.7,1.5. Received {text!r}."
        ) from None
