"""Extension of griffe for the site: rename the docstring section 'Example:' to 'Examples:'."""

import re

import griffe


class Examples(griffe.Extension):
    """Rename the docstring section to the name that griffe expects."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(
                r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.MULTILINE
            )
