"""The examples in the docstrings of `import liverseg_tf` run and print what they show."""

import doctest
import inspect

import pytest

import liverseg_tf

pytestmark = pytest.mark.usefixtures("untraced_module")
WITHOUT = {"LiverSegError", "SplitRule"}  # their fields say enough


def _examples(name):
    value = getattr(liverseg_tf, name)
    return [one for one in doctest.DocTestFinder().find(value, name) if one.examples]


@pytest.mark.slow
@pytest.mark.parametrize("name", liverseg_tf.__all__)
def test_the_examples_of_a_name_run(name, beside_data):
    examples = _examples(name)
    assert examples or name in WITHOUT
    for example in examples:
        assert not any(doctest.SKIP in one.options for one in example.examples), example.name
        runner = doctest.DocTestRunner()
        printed: list[str] = []
        runner.run(example, out=printed.append)
        assert runner.summarize(verbose=False).failed == 0, "".join(printed)


@pytest.mark.parametrize("name", liverseg_tf.__all__)
def test_every_function_has_hints_and_a_description(name):
    value = getattr(liverseg_tf, name)
    assert inspect.getdoc(value)
    if inspect.isfunction(value):
        hints = inspect.signature(value)
        assert hints.return_annotation is not hints.empty
        for parameter in hints.parameters.values():
            assert parameter.annotation is not parameter.empty, parameter
