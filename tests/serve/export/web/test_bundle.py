import shutil
import subprocess

import pytest

from liverseg_tf.serve.export.web.bundle import bundle
from liverseg_tf.serve.export.web.write_page import read_bundle


def _bundle(**modules):
    texts = {name.replace("_", "/") + ".js": text for name, text in modules.items()}
    return bundle("main.js", texts.__getitem__)


def _run(script):
    program = shutil.which("node") or pytest.skip("needs Node.js (Debian: nodejs)")
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_modules_become_one_script():
    script = _bundle(
        main='import { twice } from "./a/b.js";\nimport {\n  Three,\n} from "./c.js";\n'
        "const value = 1;\nconsole.log(twice(new Three().value) + value);\n",
        a_b="const value = 2;\nexport function twice(n) { return n * value; }\n",
        c='import { twice } from "./a/b.js";\nexport class Three { value = 3; }\n'
        "export { twice };\n",
    )
    assert _run(script) == "7"
    assert script.count("n * value") == 1


@pytest.mark.parametrize(
    "text", ['import x from "./x.js";\n', "export default 1;\n", 'export * from "./x.js";\n']
)
def test_other_imports_and_exports_are_refused(text):
    with pytest.raises(ValueError, match=r"lists of names in main\.js"):
        _bundle(main=text)


def test_circles_are_refused():
    with pytest.raises(ValueError, match="circle"):
        _bundle(main='import { a } from "./b.js";\n', b='import { a } from "./main.js";\n')


@pytest.mark.parametrize("entry", ["page/worker.js", "page/page.js"])
def test_the_scripts_of_the_page_have_no_faults_of_syntax(entry, tmp_path):
    program = shutil.which("node") or pytest.skip("needs Node.js (Debian: nodejs)")
    script = tmp_path / "script.js"
    script.write_text(read_bundle(entry))
    subprocess.run([program, "--check", script], check=True)
    assert "</script" not in script.read_text()
