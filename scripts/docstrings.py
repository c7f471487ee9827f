"""For the site: what docstrings call 'Example:' is a section that griffe knows as 'Examples:'."""

import re

import griffe


class Examples(griffe.Extension):
    """Names the section as griffe expects it."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
