"""How real do synthetic lesions look? A classifier tries to tell them from real ones.

    pip install scikit-learn
    python benchmarks/lesion_realism.py --real SET [SET ...] --livers SET --work NEW

Patches around real lesions (label 2 of the data sets of --real) are compared with patches around
synthetic lesions that are drawn in the healthy liver of the same patients, so that it is not
patients, scanners and noise that are told apart, and with those in the livers of --livers. Each
real lesion has a few sections; synthetic lesions have the diameters of the real ones. In the
cross-validation, all sections of a lesion are on one side. Two classifiers are trained: gradient
boosting on features (contrast, width of the border, texture, shape), and logistic regression on
the pixels. An AUC of 0.5 means that they cannot tell them apart. The figure shows histograms of
the features, of which `importance` names those that give synthetic lesions away.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measure import print_hardware
from scipy import ndimage

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.reading import read_case
from liverseg_tf.phantom.lesions.grid import Grid
from liverseg_tf.phantom.lesions.lesion import draw_lesion
from liverseg_tf.phantom.lesions.paint import box_reach_mm, paint_lesion
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec

PIXEL_MM, SIDE = 1.25, 48  # of a patch
SECTIONS = 5  # of a lesion, at most
SMALLEST_MM, LARGEST_MM = 5.5, 60.0
FEATURES = (
    *("contrast", "contrast of centre", "contrast of border", "width of border", "diameter"),
    *("fine texture", "coarse texture", "skewness", "noise outside", "elongation", "roundness"),
    *("minimum", "maximum", "fine texture of the ring"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, nargs="+", required=True)
    parser.add_argument("--livers", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=6, help="Of --livers.")
    parser.add_argument("--count", type=int, default=60, help="Synthetic lesions of each source.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True, help="New folder.")
    options = parser.parse_args()
    options.work.mkdir(parents=True)
    print_hardware()
    rng = np.random.default_rng(options.seed)
    patients = {}
    real, diameters = [], []
    for folder in options.real:
        for case in find_cases(folder):
            patient = Patient.read(case)
            found = patient.real_lesions()
            patients[f"{folder.name}/{case.name}"] = (patient, len(found))
            print(f"{case.name}: {len(found)} real lesions, {patient.describe()}", flush=True)
            real += found
            diameters += [patches[0].features[4] for patches in found]
    # as many in each patient as it has real ones, so that the patient says nothing
    same = []
    for patient, number in patients.values():
        wanted = max(1, round(options.count * number / max(1, len(real))))
        own = [patches[0].features[4] for patches in patient.real_lesions()] or diameters
        same += patient.synthetic_lesions(rng, rng.choice(own, wanted))
    others = []
    cases = find_cases(options.livers)[:: max(1, 30 // options.patients)][: options.patients]
    for case in cases:
        patient = Patient.read(case)
        drawn = rng.choice(diameters, options.count // len(cases))
        others += patient.synthetic_lesions(rng, drawn)
    results = {}
    for name, synthetic in (("the same patients", same), ("other livers", others)):
        results[name] = compare(real, synthetic, options.seed)
        print(f"{name}: {len(synthetic)} synthetic lesions", flush=True)
        for line in json.dumps(results[name], indent=2).splitlines():
            print(f"  {line}")
    (options.work / "realism.json").write_text(json.dumps(results, indent=2))
    draw_histograms(real, same, others, options.work / "histograms.png")
    print(f"figure: {options.work / 'histograms.png'}")


class Patch:
    """A section of a lesion: its features, and its pixels relative to the organ in units of HU."""

    def __init__(self, features: np.ndarray, pixels: np.ndarray):
        self.features, self.pixels = features, pixels


class Patient:
    """A CT with its organ and lesions."""

    def __init__(self, image: np.ndarray, labels: np.ndarray, spacing_mm: tuple):
        self.image, self.labels, self.spacing_mm = image, labels, spacing_mm
        organ = OrganMap.of(image, labels, spacing_mm, LesionSpec())
        assert organ is not None, "the organ is label 1"
        self.organ = organ

    @classmethod
    def read(cls, case) -> "Patient":
        image, labels = map(to_canonical, read_case(case))
        array = np.ascontiguousarray(image.array, np.float32)
        return cls(array, np.ascontiguousarray(labels.array), image.spacing_mm)

    def describe(self) -> str:
        return f"organ {self.organ.level_hu:.0f} HU"

    def real_lesions(self) -> list[list[Patch]]:
        """Sections of each labelled lesion."""
        parts, _ = ndimage.label(self.labels == 2)
        found = []
        for number, box in enumerate(ndimage.find_objects(parts), 1):
            mask = parts[box] == number
            if SMALLEST_MM <= self._diameter(mask) <= LARGEST_MM:
                found.append(self._sections(self.image, self.labels, parts == number, box))
        return [patches for patches in found if patches]

    def synthetic_lesions(self, rng, diameters) -> list[list[Patch]]:
        """Sections of lesions of some diameters in the healthy organ, each drawn alone."""
        found = []
        for diameter in diameters:
            for _ in range(8):  # where no lesion is placed or seen, the next one is tried
                patches = self._synthetic(rng, float(diameter))
                if patches:
                    found.append(patches)
                    break
        return found

    def _synthetic(self, rng, diameter: float) -> list[Patch]:
        spec = LesionSpec(diameter_mm=(2, 200))
        centre = self.organ.choose(rng, diameter / 2, "any")
        if centre is None:
            return []
        lesion = draw_lesion(rng, spec, diameter, self.organ.level_hu, self.organ.noise_hu)
        spacing = np.array(self.spacing_mm)
        reach = box_reach_mm(lesion)
        low = np.maximum(np.floor((centre - reach) / spacing).astype(int), 0)
        high = np.minimum(np.ceil((centre + reach) / spacing).astype(int) + 1, self.image.shape)
        box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
        axes = [
            np.arange(part.start, part.stop) * mm - at
            for part, mm, at in zip(box, spacing, centre, strict=True)
        ]
        grid = Grid(*axes, spacing[0], tuple(spacing[1:]))
        painted = paint_lesion(
            self.image[box], self.labels[box], lesion, grid, (1, 2), self.organ.level_hu
        )
        if not SMALLEST_MM <= self._diameter(painted.mask) <= LARGEST_MM:
            return []
        # the lesion with the surroundings of its patch
        margin = np.array([0, *(PIXEL_MM * SIDE / 2 / mm + 2 for mm in spacing[1:])])
        outer = tuple(
            slice(max(0, int(part.start - more)), min(size, int(part.stop + more)))
            for part, more, size in zip(box, margin, self.image.shape, strict=True)
        )
        image, labels = self.image[outer].copy(), self.labels[outer].copy()
        inner = tuple(
            slice(part.start - around.start, part.stop - around.start)
            for part, around in zip(box, outer, strict=True)
        )
        image[inner], labels[inner] = self._as_stored(painted.image), painted.labels
        mask = np.zeros(labels.shape, bool)
        mask[inner] = painted.mask
        return self._sections(image, labels, mask, ndimage.find_objects(mask.astype(np.uint8))[0])

    def _as_stored(self, values: np.ndarray) -> np.ndarray:
        """Round to the values that the image has."""
        if not hasattr(self, "_steps"):
            self._steps = np.unique(self.image[:: max(1, len(self.image) // 16)])
        places = np.clip(np.searchsorted(self._steps, values), 1, len(self._steps) - 1)
        lower, upper = self._steps[places - 1], self._steps[places]
        return np.where(values - lower < upper - values, lower, upper)

    def _diameter(self, mask: np.ndarray) -> float:
        return float(np.cbrt(6 * mask.sum() * np.prod(self.spacing_mm) / np.pi))

    def _sections(self, image, labels, mask, box) -> list[Patch]:
        """Sections with at least half of the largest area."""
        areas = mask[box[0]].sum(axis=(1, 2))
        slices = np.flatnonzero(areas >= 0.5 * areas.max()) + box[0].start
        slices = slices[np.unique(np.linspace(0, len(slices) - 1, SECTIONS).round().astype(int))]
        diameter = self._diameter(mask[box])
        patches = [self._patch(image[z], labels[z], mask[z], diameter) for z in slices]
        return [patch for patch in patches if patch is not None]

    def _patch(self, image, labels, mask, diameter) -> Patch | None:
        """Resample a section, and measure it."""
        middle = ndimage.center_of_mass(mask)
        steps = [PIXEL_MM / mm for mm in self.spacing_mm[1:]]
        axes = [
            m + (np.arange(SIDE) - SIDE / 2) * step for m, step in zip(middle, steps, strict=True)
        ]
        places = np.meshgrid(*axes, indexing="ij")
        pixels = ndimage.map_coordinates(image, places, order=1, mode="nearest")
        lesion = ndimage.map_coordinates(mask.astype(np.float32), places, order=1) > 0.5
        inside = np.isin(labels, (1, 2)).astype(np.float32)
        organ = ndimage.map_coordinates(inside, places, order=1) > 0.5
        features = measure(pixels, lesion, organ, diameter)
        if features is None:
            return None
        shown = np.where(organ, np.clip(pixels - features[-1], -120, 120), 0)
        return Patch(features[:-1], ndimage.zoom(shown, 0.5, order=1).ravel())


def measure(pixels, lesion, organ, diameter) -> np.ndarray | None:
    """Features of a section, the last one the intensity of the organ around it."""
    inner = ndimage.distance_transform_edt(lesion) * PIXEL_MM
    outer = ndimage.distance_transform_edt(~lesion) * PIXEL_MM
    depth = np.where(lesion, inner - PIXEL_MM / 2, PIXEL_MM / 2 - outer)
    healthy = organ & (depth < -4) & (depth > -16)
    core = depth > 0.55 * depth.max()
    border = lesion & (depth < 2)
    if healthy.sum() < 60 or core.sum() < 3 or border.sum() < 5:
        return None
    level = float(np.median(pixels[healthy]))
    fine = pixels - ndimage.gaussian_filter(pixels, 1.6)
    smooth = ndimage.gaussian_filter(pixels, 1.6)
    # how far the profile across the border takes from a fifth to four fifths of its contrast
    edges = np.arange(-7, 8)
    profile = np.array(
        [
            pixels[organ & (depth >= low) & (depth < low + 1)].mean()
            if (organ & (depth >= low) & (depth < low + 1)).sum() > 3
            else np.nan
            for low in edges
        ]
    )
    known = np.isfinite(profile)
    contrast = float(pixels[core].mean() - level)
    share = np.interp(edges, edges[known], profile[known] - level) / (contrast or 1e-3)
    width = float(
        np.interp(0.8, np.maximum.accumulate(share), edges)
        - np.interp(0.2, np.maximum.accumulate(share), edges)
    )
    values = pixels[lesion] - level
    rows, columns = np.nonzero(lesion)
    sizes = np.sqrt(np.linalg.eigvalsh(np.cov(rows, columns) + 0.1 * np.eye(2)))
    area = lesion.sum()
    edge_length = (lesion ^ ndimage.binary_erosion(lesion)).sum()
    ring = organ & (depth < 0) & (depth > -4)
    return np.array(
        [
            values.mean(),
            contrast,
            pixels[border].mean() - level,
            np.clip(width, 0, 14),
            diameter,
            fine[core].std() if core.sum() > 8 else fine[lesion].std(),
            smooth[lesion].std(),
            ((values - values.mean()) ** 3).mean() / (values.std() ** 3 + 1e-3),
            fine[healthy].std(),
            sizes[1] / sizes[0],
            edge_length / np.sqrt(area),
            values.min(),
            values.max(),
            fine[ring].std() if ring.sum() > 8 else fine[healthy].std(),
            level,
        ]
    )


def compare(real, synthetic, seed: int) -> dict:
    """Cross-validated accuracy and AUC of the classifiers, and medians of the features."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    lesions = [*real, *synthetic]
    flat = [(number, patch) for number, patches in enumerate(lesions) for patch in patches]
    groups = np.array([number for number, _ in flat])
    truth = (groups >= len(real)).astype(int)
    features = np.stack([patch.features for _, patch in flat])
    pixels = np.stack([patch.pixels for _, patch in flat])
    boosting = GradientBoostingClassifier(n_estimators=80, max_depth=2, random_state=seed)
    linear = make_pipeline(
        StandardScaler(), PCA(20, random_state=seed), LogisticRegression(class_weight="balanced")
    )
    results: dict = {"real lesions": len(real), "sections": len(flat)}
    for name, model, inputs in (("features", boosting, features), ("pixels", linear, pixels)):
        aucs, accuracies = [], []
        for repeat in range(4):
            score = np.zeros(len(truth))
            folds = StratifiedGroupKFold(4, shuffle=True, random_state=seed + repeat)
            for train, test in folds.split(inputs, truth, groups):
                weight = np.where(
                    truth[train], 1 / truth[train].sum(), 1 / (1 - truth[train]).sum()
                )
                fit = {"sample_weight": weight} if model is boosting else {}
                score[test] = model.fit(inputs[train], truth[train], **fit).predict_proba(
                    inputs[test]
                )[:, 1]
            mean = np.bincount(groups, score) / np.bincount(groups)  # of each lesion
            of_lesion = (np.arange(len(mean)) >= len(real)).astype(int)
            aucs.append(roc_auc_score(of_lesion, mean))
            accuracies.append(balanced_accuracy_score(of_lesion, mean > 0.5))
        results[f"AUC of {name}"] = [round(float(np.mean(aucs)), 3), round(float(np.std(aucs)), 3)]
        results[f"balanced accuracy of {name}"] = round(float(np.mean(accuracies)), 3)
    boosting.fit(features, truth)
    found = permutation_importance(boosting, features, truth, n_repeats=4, random_state=seed)
    order = np.argsort(-found.importances_mean)[:5]
    results["importance"] = {FEATURES[n]: round(float(found.importances_mean[n]), 3) for n in order}
    results["medians (10th, 90th percentile), real and synthetic"] = {
        name: [
            " ".join(
                f"{value:.1f}" for value in np.percentile(features[truth == side, n], (50, 10, 90))
            )
            for side in (0, 1)
        ]
        for n, name in enumerate(FEATURES)
    }
    return results


def draw_histograms(real, same, others, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), layout="constrained")
    sources = {"real": real, "synthetic, same patients": same, "synthetic, other livers": others}
    for n, name in enumerate(FEATURES):
        axes = figure.add_subplot(3, 5, n + 1)
        values = [
            [patch.features[n] for one in found for patch in one] for found in sources.values()
        ]
        low, high = np.percentile(np.concatenate(values), (1, 99))
        axes.hist(
            values, np.linspace(low, high, 16), density=True, histtype="step", label=list(sources)
        )
        axes.set_title(name, fontsize=9)
        axes.set_yticks([])
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
