import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.bundle.card import (
    DISCLAIMER,
    SECTIONS,
    CardFacts,
    make_card,
    score_table,
    without_front_matter,
)

FACTS = CardFacts(
    name="abdomen",
    version="1.0",
    trained_on='27 "CTs"\nlicense: mit',
    licence="CC-BY-4.0",
    attribution="The authors.",
    regions={"liver": 1, "tumour": 2},
    modality="CT",
    case_counts={"train": 1, "val": 2, "test": 0},
    validation_dice={"liver": 0.95},
    score_tables={"Mean scores": score_table({"liver": {"dice": {"mean": 0.961, "n": 3}}})},
)
OWN = "# Mine\n\n" + "\n".join(f"## {title}\n\nText of {title}.\n" for title in SECTIONS)


def test_a_card_has_front_matter_and_every_section():
    card = make_card(FACTS)
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert 'license: "cc-by-4.0"' in head.splitlines()
    assert sum(line.startswith("license") for line in head.splitlines()) == 1
    assert DISCLAIMER in body
    assert all(f"## {title}\n\n" in body for title in SECTIONS)
    assert "| region | cases | dice |\n| --- | --- | --- |\n| liver | 3 | 0.961 |" in body
    assert "1 case for training, 2 cases for validation" in body
    assert "liver 0.950" in body
    assert without_front_matter(card).startswith("# abdomen 1.0\n")


def test_an_own_card_keeps_its_text_and_gets_the_disclaimer():
    card = make_card(FACTS, "---\nlicense: wrong\n---\n" + OWN)
    assert "wrong" not in card
    assert "# Mine" not in card
    assert card.count(DISCLAIMER) == 1
    assert "Text of Known failures." in card


@pytest.mark.parametrize("title", SECTIONS)
def test_an_own_card_without_a_section_is_refused(title):
    for text in (OWN.replace(f"## {title}", "## Other"), OWN.replace(f"Text of {title}.", "")):
        with pytest.raises(SettingsError, match=f"without {title}"):
            make_card(FACTS, text)
