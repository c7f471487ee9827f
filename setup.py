"""Everything is in setup.cfg, except for the README as package indexes show it."""

import os
import re
from pathlib import Path

from setuptools import setup


def long_description() -> str:
    """Return the README, with its relative pictures and links made absolute where possible.

    Package indexes show pictures from absolute addresses only. Set LIVERSEG_PUBLIC_URL to the
    address of the repository's files (as in https://HOST/OWNER/REPOSITORY/raw/main) when you
    build a release. Without it, the picture becomes its description.
    """
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    base = os.environ.get("LIVERSEG_PUBLIC_URL", "").rstrip("/")
    if base:
        return re.sub(r"\]\((?!https?://|#)([^)]+)\)", rf"]({base}/\1)", text)
    return re.sub(r"!\[([^\]]*)\]\((?!https?://)[^)]+\)", r"*\1*", text)


setup(long_description=long_description(), long_description_content_type="text/markdown")
