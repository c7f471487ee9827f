"""The examples of containers: they parse, fit together, and name options that the commands have.

No container is started: that needs a container engine.
"""

import configparser
import json
import re
from pathlib import Path

import pytest

from liverseg_tf import __version__
from liverseg_tf.cli.main import liverseg

yaml = pytest.importorskip("yaml")
packaging = pytest.importorskip("packaging.requirements")

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "deploy"
IMAGE = f"liverseg:{__version__}"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def kubernetes():
    return list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))


def _check_command(words):
    """Check that a command has every option that is given."""
    name, *options = words
    command = liverseg.get_command(None, name)
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {option.partition("=")[0] for option in options} <= known
    required = {parameter.opts[0] for parameter in command.params if parameter.required}
    assert required <= {option.partition("=")[0] for option in options}


def _check_image(name):
    tag = name.rpartition(":")[2]
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), f"{name}: not pinned"


def test_compose_names_what_exists(compose):
    for name, service in compose["services"].items():
        _check_image(service["image"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (FOLDER / source).exists()
            elif not source.startswith("../../"):
                assert source in compose["volumes"]
        for other in service.get("depends_on", ()):
            assert other in compose["services"]
        assert "healthcheck" in service or name == "prometheus"
        if service["image"] == IMAGE:
            _check_command(service["command"])
    assert (FOLDER / compose["services"]["node"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / compose["services"]["node"]["build"]["dockerfile"]).is_file()


def test_kubernetes_objects_fit_together(kubernetes):
    workloads = [one for one in kubernetes if "template" in one["spec"]]
    services = {
        one["metadata"]["name"]: one["spec"] for one in kubernetes if "ports" in one["spec"]
    }
    assert {one["kind"] for one in workloads} == {"Deployment", "StatefulSet"}
    for workload in workloads:
        template = workload["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"] == labels
        service = services[workload["metadata"]["name"]]
        assert service["selector"] == labels
        (container,) = template["spec"]["containers"]
        _check_image(container["image"])
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert {port["name"]: port["port"] for port in service["ports"]} == ports
        for probe in ("readinessProbe", "livenessProbe"):
            (target,) = [value for value in container[probe].values() if isinstance(value, dict)]
            assert target["port"] in ports
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        claims = workload["spec"].get("volumeClaimTemplates", ())
        given = {volume["name"] for volume in template["spec"]["volumes"]}
        assert mounts == given | {claim["metadata"]["name"] for claim in claims}
        if container["image"] == IMAGE:
            _check_command(container["args"])


def test_prometheus_asks_services_that_exist(compose):
    settings = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    for job in settings["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.partition(":")[0] in compose["services"]


def test_orthanc_knows_the_node(compose):
    settings = json.loads((FOLDER / "orthanc.json").read_text())
    aet, host, port = settings["DicomModalities"]["liverseg"]
    command = compose["services"]["node"]["command"]
    assert {f"--aet={aet}", f"--port={port}"} <= set(command)
    assert f"--send={settings['DicomAet']}@orthanc:{settings['DicomPort']}" in command
    assert host in compose["services"]
    mounted = {volume.split(":")[1] for volume in compose["services"]["orthanc"]["volumes"]}
    assert set(settings["LuaScripts"]) <= mounted


def test_the_container_file_copies_what_exists_and_installs_known_extras():
    text = (FOLDER / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    (extras,) = re.findall(r'"\.\[([a-z,]+)\]"', text)
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    assert set(extras.split(",")) <= set(settings["options.extras_require"])
    _check_image(re.findall(r"^FROM (\S+?)(?:-[a-z-]+)?$", text, re.MULTILINE)[0])
    pinned = dict(
        line.split("==")
        for line in (FOLDER / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    )
    lists = [settings["options"]["install_requires"]]
    lists += [settings["options.extras_require"][extra] for extra in extras.split(",")]
    for line in "\n".join(lists).splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = packaging.Requirement(line)
            name = requirement.name.lower().replace("_", "-")
            assert name == "liverseg-tf" or pinned[name] in requirement.specifier, line
