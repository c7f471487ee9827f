"""A plugin of pytest: it counts the trainings, and `--fast` leaves out the slow tests."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import training_hook

LIMIT = 25
# tests that use one of these are slow, whether or not they are marked
SLOW_FIXTURES = {"demo", "served", "liver_exports", "site", "driver", "browser"}
SUPPORT = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption(
        "--fast",
        action="store_true",
        help="Leave out the slow tests: trainings, exports, the site, browsers.",
    )


def pytest_collection_modifyitems(config, items):
    """Slow tests come first, so that two workers (`-n 2 --dist loadfile`) end together."""
    slow, others = [], []
    for item in items:
        (slow if _is_slow(item) else others).append(item)
    if config.getoption("--fast"):
        config.hook.pytest_deselected(items=slow)
        slow = []
    items[:] = [*slow, *others]


def pytest_configure(config):
    training_hook.install()
    if hasattr(config, "workerinput"):  # the main process has prepared the environment
        return
    os.environ[training_hook.FOLDER] = tempfile.mkdtemp(prefix="liverseg-trainings-")
    # one thread for each process: two processes run the tests, and threads that share the small
    # arrays of the tests mostly wait for each other
    for library in ("TF_NUM_INTRAOP", "OPENBLAS_NUM", "OMP_NUM"):
        os.environ.setdefault(f"{library}_THREADS", "1")
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), *([path] if path else [])])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        return
    session.config.trainings = training_hook.count_trainings()
    shutil.rmtree(os.environ[training_hook.FOLDER])
    if session.config.trainings.total() > _limit(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    trainings = getattr(config, "trainings", None)
    if trainings is None:
        return
    total, limit = trainings.total(), _limit(config)
    terminalreporter.section(f"{total} trainings (at most {limit})", red=total > limit)
    for test, count in sorted(trainings.items()):
        terminalreporter.write_line(f"{count:3} {test}")


def _is_slow(item):
    return item.get_closest_marker("slow") or not SLOW_FIXTURES.isdisjoint(item.fixturenames)


def _limit(config):
    return 0 if config.getoption("--fast") else LIMIT
