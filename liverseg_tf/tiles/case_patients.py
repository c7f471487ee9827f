"""Which cases of a store are of one patient, and which have the same image."""

from collections.abc import Mapping

from liverseg_tf.dataset.cases import natural_sort_key


def patients_of(records: Mapping[str, dict]) -> dict[str, str]:
    """Find the patients of cases, as far as their files name them; equal images have one patient.

    Args:
        records: Records of cases by name; see `CaseTiles`.
    """
    of_image: dict[str, str] = {}
    patients = {}
    for name in sorted(records, key=natural_sort_key):
        patient, digest = (records[name].get(key) for key in ("patient", "image_digest"))
        if digest is not None:
            patient = of_image.setdefault(digest, patient or name)
        if patient not in (None, name):
            patients[name] = patient
    return patients


def find_duplicates(records: Mapping[str, dict]) -> dict[str, str]:
    """Find cases whose image has the same voxels as that of an earlier case.

    Args:
        records: Records of cases by name; see `CaseTiles`.

    Returns:
        The earlier case of each of them, in natural order of the names.
    """
    first: dict[str, str] = {}
    duplicates = {}
    for name in sorted(records, key=natural_sort_key):
        digest = records[name].get("image_digest")
        if digest is not None and (same := first.setdefault(digest, name)) != name:
            duplicates[name] = same
    return duplicates
