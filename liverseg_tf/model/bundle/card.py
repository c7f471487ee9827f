"""The model card of a bundle: Markdown with front matter, as model hubs show it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from liverseg_tf.errors import SettingsError
from liverseg_tf.plural import count

DISCLAIMER = (
    "**This model is not a medical device.** It was made for research and education, and nobody "
    "has approved it for diagnosis, for treatment or for any other decision about a patient."
)
# what a card of the author must say something about
SECTIONS = ("Training data", "Scores", "Known failures", "Intended use", "Licence")
# identifiers of licences that hubs know
_LICENCES = re.compile(
    r"(apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|[al]?gpl-3\.0)"
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says about a model.

    Args:
        name: Name of the model.
        version: Version of the model.
        trained_on: What the model was trained on.
        licence: Licence of the model.
        attribution: Whom the licences of model and data ask to name; may be empty.
        regions: Labels in the masks by region.
        modality: CT or MR.
        case_counts: Number of cases on each side of the split.
        validation_dice: Dice of each region on the validation cases of the training.
        score_tables: Tables of scores, in Markdown, by their title.
    """

    name: str
    version: str
    trained_on: str
    licence: str
    attribution: str
    regions: Mapping[str, int]
    modality: str
    case_counts: Mapping[str, int]
    validation_dice: Mapping[str, float]
    score_tables: Mapping[str, str]


def make_card(facts: CardFacts, text: str | None = None) -> str:
    """Return the card of a model.

    Args:
        facts: What is known about the model.
        text: Sections of the author, in Markdown, in place of those that are written from the
            facts. Front matter of its own is replaced.

    Raises:
        SettingsError: If the text of the author lacks a section, or one has no content.
    """
    if text is None:
        body = "\n\n".join(f"## {title}\n\n{part}" for title, part in _sections(facts).items())
    else:
        body = _own_text(text)
    return (
        f"{_front_matter(facts)}\n# {facts.name} {facts.version}\n\n{DISCLAIMER}\n\n"
        f"{_regions(facts)}\n\n{body.strip()}\n"
    )


def without_front_matter(card: str) -> str:
    """Return a card as people read it."""
    match = re.match(r"\A---\r?\n.*?\n---\r?\n", card, re.DOTALL)
    return card[match.end() :].lstrip() if match else card


def score_table(summary: Mapping[str, Mapping[str, Mapping[str, object]]]) -> str:
    """Return a table of mean scores in Markdown: one row a region.

    Args:
        summary: Statistics (`mean`, `n`) by region and score, as in scores.json of `liverseg
            evaluate`.
    """
    scores = [
        score
        for score in dict.fromkeys(name for scores in summary.values() for name in scores)
        if any(_mean(scores.get(score)) for scores in summary.values())
    ]
    rows = [["region", "cases", *scores]]
    for region, values in summary.items():
        counts = [values[score].get("n") for score in scores if score in values]
        numbers = [n for n in counts if isinstance(n, int)]
        means = (_mean(values.get(score)) for score in scores)
        rows.append([region, str(max(numbers, default=0)), *means])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |" for row in rows)


def _mean(statistics: Mapping[str, object] | None) -> str:
    mean = None if statistics is None else statistics.get("mean")
    return f"{mean:.4g}" if isinstance(mean, int | float) else ""


def _front_matter(facts: CardFacts) -> str:
    """Return the metadata for hubs. JSON is YAML, so that no text can become another entry."""
    licence = facts.licence.strip().lower().replace(" ", "-")
    known = bool(_LICENCES.fullmatch(licence))
    entries: dict[str, object] = {
        "license": licence if known else "other",
        **({} if known else {"license_name": facts.licence}),
        "library_name": "liverseg_tf",
        "pipeline_tag": "image-segmentation",
        "tags": ["medical", "segmentation", facts.modality, *facts.regions],
    }
    lines = (f"{key}: {json.dumps(value)}" for key, value in entries.items())
    return "\n".join(["---", *lines, "---", ""])


def _regions(facts: CardFacts) -> str:
    rows = "\n".join(f"| {name} | {label} |" for name, label in facts.regions.items())
    return (
        f"It segments these regions in {facts.modality}:\n\n| region | label |\n|---|---|\n{rows}"
    )


def _sections(facts: CardFacts) -> dict[str, str]:
    sides = {"train": "training", "val": "validation", "test": "test"}
    cases = ", ".join(
        f"{count(facts.case_counts[side], 'case')} for {word}"
        for side, word in sides.items()
        if facts.case_counts.get(side)
    )
    attribution = f"\n\nAttribution: {facts.attribution}" if facts.attribution else ""
    return {
        "Training data": facts.trained_on + (f"\n\nThe split: {cases}." if cases else ""),
        "Scores": _scores(facts),
        "Known failures": "None are recorded. This does not mean that there are none: look at the "
        "masks of images that differ from the training data, before you use them.",
        "Intended use": f"Segmentation of {facts.modality} images like those of the training data, "
        "in research and education. Every mask must be looked at by somebody who can judge it.",
        "Licence": f"{facts.licence}{attribution}",
    }


def _scores(facts: CardFacts) -> str:
    parts = [f"{title}:\n\n{table}" for title, table in facts.score_tables.items()]
    if facts.validation_dice:
        dice = ", ".join(f"{name} {value:.3f}" for name, value in facts.validation_dice.items())
        parts.append(
            f"Mean Dice on the validation cases of the training: {dice}. The best weights were "
            "chosen on these cases, so that new cases can be expected to score lower."
        )
    return "\n\n".join(parts) or "The model has not been scored."


def _own_text(text: str) -> str:
    body = without_front_matter(text.replace("\r\n", "\n"))
    body = re.sub(r"\A#[^#\n][^\n]*\n", "", body)  # the title is written above
    parts = re.split(r"^##[ \t]+(.+?)[ \t]*$", body, flags=re.MULTILINE)
    contents = {
        title.strip().casefold(): content.strip()
        for title, content in zip(parts[1::2], parts[2::2], strict=True)
    }
    missing = [title for title in SECTIONS if not contents.get(title.casefold())]
    if missing:
        raise SettingsError(
            f"Expected the sections {_listed(SECTIONS)} in the model card, as '## Title' with "
            f"text below. Received a card without {_listed(missing)}."
        )
    return body


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(titles)
