import pytest

from liverseg_tf.printable import printable, shorten_home, spreadsheet_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fälle-肝臓 2 x", "Fälle-肝臓 2 x"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),  # the same command in one character
        ("one\ntwo\r\tthree", "one\\x0atwo\\x0d\\x09three"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\u2066\u2069\u200e\u2028\ufeff", "\\u2066\\u2069\\u200e\\u2028\\ufeff"),
        (b"caf\xe9\xff".decode(errors="surrogateescape"), "caf\\xe9\\xff"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("C:\\data", "C:\\data"),
    ],
)
def test_every_character_is_visible(text, shown):
    assert printable(text) == shown
    printable(text).encode("utf-8")
    assert printable(printable(text)) == shown


@pytest.mark.parametrize("text", ["=1+1", "+SUM(A1)", "-2+3", "@x"])
def test_names_are_not_formulas(text):
    assert spreadsheet_text(text) == "'" + text


@pytest.mark.parametrize("text", ["case_1", "-1", "+2.5", "", "a=b"])
def test_other_texts_stay(text):
    assert spreadsheet_text(text) == text


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/jane", "~"),
        ("/home/jane/runs/a", "~/runs/a"),
        ("a:/home/jane/b", "a:~/b"),
        ("/home/janet/b", "/home/janet/b"),
        ("/scratch/jane/b", "/scratch/USER/b"),
    ],
)
def test_paths_name_no_user(path, shown, monkeypatch):
    for name, value in (("HOME", "/home/jane"), ("USERPROFILE", "/home/jane"), ("USER", "jane")):
        monkeypatch.setenv(name, value)
    assert shorten_home(path) == shown
