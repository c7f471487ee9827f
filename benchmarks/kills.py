"""Kills, two writers and full disks: does every command recover from them?

Each trial runs a command on tiny phantoms, disturbs it, runs the same command again and compares
its output with that of an unbroken run. Trials are numbered, and each is a function of the seed and
its number, so a campaign can be stopped at any time and goes on where it stopped.
"""

import argparse
import functools
import hashlib
import json
import os
import platform
import random
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from snapshots import Snapshot, differences, find_leftovers, take_snapshot, volatile_parts

TASK = "Task09_Spleen"
PHANTOM = "phantom --shape 14 96 96 --spacing 14 4 4"
TINY = "--epochs 3 --steps-per-epoch 3 --base-filters 4 --depth 1 --batch-size 2 --context 1"
TILES = "--spacing 4 --tile 64 --workers 1"
OTHER_TILES = "--spacing 6 --tile 48 --workers 1"
LIMIT_S = 300  # for each command
_DOWNLOAD = """
import sys
from dataclasses import replace
from liverseg_tf.cli.main import liverseg
from liverseg_tf.dataset.download.sources import SOURCES
name, md5 = sys.argv[1:3]
SOURCES[name] = replace(SOURCES[name], md5=md5)
liverseg(sys.argv[3:])
"""


@dataclass(frozen=True)
class Command:
    """A command of the campaign.

    Args:
        name: Name in the results.
        arguments: Arguments after `liverseg`; {work} and {out} are replaced.
        start: Folder in `work` from which the output folder is copied before the command runs.
        repeat_is_error: Whether the finished output makes the same command an error.
        repeat_adds: Whether the same command writes another version beside the finished one.
    """

    name: str
    arguments: str
    start: str | None = None
    repeat_is_error: bool = False
    repeat_adds: bool = False


COMMANDS = [
    Command("phantom", f"{PHANTOM} {{out}} --count 3"),
    Command("download", "download"),
    Command("preprocess hdf5", f"preprocess {{work}}/data {{out}} {TILES}"),
    Command("preprocess png", f"preprocess {{work}}/data {{out}} --storage png {TILES}"),
    Command(
        "overwrite hdf5", f"preprocess {{work}}/data {{out}} --overwrite {TILES}", "other-hdf5"
    ),
    Command(
        "overwrite png",
        f"preprocess {{work}}/data {{out}} --overwrite --storage png {TILES}",
        "other-png",
    ),
    Command("train", f"train {{work}}/store {{out}} {TINY}", repeat_is_error=True),
    Command("crossval", f"crossval {{work}}/store {{out}} --folds 2 {TINY}"),
    Command("tune", "tune {out} {work}/store", "run"),
    Command("export savedmodel", "export {work}/run {out} --name liver", repeat_adds=True),
    Command(
        "export litert", "export {work}/run {out} --name liver --litert float16", repeat_adds=True
    ),
    Command(
        "export int8",
        "export {work}/run {out} --name liver --litert int8 --calibrate {work}/store",
        repeat_adds=True,
    ),
    Command("export onnx", "export {work}/run {out} --name liver --onnx", repeat_adds=True),
    Command(
        "predict",
        "predict {work}/data/imagesTr --model {work}/run --out {out} --format nifti --format stl "
        "--measure --probabilities",
    ),
    Command("evaluate", "evaluate {work}/data/labelsTr {work}/masks --out {out} --workers 1"),
    Command(
        "view",
        "view {work}/data/imagesTr/phantom_000.nii.gz {work}/data/labelsTr/phantom_000.nii.gz "
        "--out {out}/page.html",
    ),
]

INPUTS = {  # what the commands read, besides the phantoms in {work}/data
    "store": f"preprocess {{work}}/data {{out}} {TILES} --test 0",
    "other-hdf5": f"preprocess {{work}}/data {{out}} {OTHER_TILES}",
    "other-png": f"preprocess {{work}}/data {{out}} --storage png {OTHER_TILES}",
    "run": f"train {{work}}/store {{out}} {TINY}",
    "masks": "predict {work}/data/imagesTr --model {work}/run --out {out}",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writers", type=int, default=len(COMMANDS), help="pairs of processes")
    parser.add_argument("--disks", type=int, default=2 * len(COMMANDS), help="full disks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, help="stop after this time; run again to go on")
    parser.add_argument("--only", action="append", help="only the commands whose name contains it")
    parser.add_argument("--work", type=Path, default=Path("data_cache/kills"))
    parser.add_argument("--json", type=Path, default=Path("data_cache/kills.json"))
    options = parser.parse_args()
    ends = time.monotonic() + 60 * (options.minutes or 10**6)
    commands = [
        command
        for command in COMMANDS
        if not options.only or any(word in command.name for word in options.only)
    ]
    with serve_archive(options.work.absolute()) as address:
        campaign = Campaign(options.work.absolute(), address)
        campaign.make_inputs(commands)
        results = read_results(options.json, options.seed)
        done = {(one["kind"], one["number"]) for one in results}
        for kind, number in trials(options):
            if (kind, number) in done:
                continue
            if time.monotonic() > ends:
                break
            chance = random.Random(f"{options.seed} {kind} {number}")
            command = commands[number % len(commands)]
            try:
                found = TRIALS[kind](campaign, command, chance)
            except AssertionError as error:  # an unbroken run fails
                found = {"result": f"WRONG: {error}"}
            results.append({"kind": kind, "number": number, "command": command.name} | found)
            write_results(options.json, options.seed, results, campaign.left_out())
            print(f"{kind} {number} {command.name}: {found['result']}", flush=True)
    print_table(results)


def trials(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    for number in range(max(options.kills, options.writers, options.disks)):
        for kind, count in (
            ("kill", options.kills),
            ("writers", options.writers),
            ("disk", options.disks),
        ):
            if number < count:
                yield kind, number


class Campaign:
    """Inputs, commands and the outputs of unbroken runs.

    Args:
        work: Folder of the campaign.
        address: Address of the archive that `download` gets.
    """

    def __init__(self, work: Path, address: str):
        self.work, self.address = work, address
        self._references: dict[str, tuple[Snapshot, Snapshot, float, float]] = {}

    def make_inputs(self, commands: list[Command]) -> None:
        """Make what the commands read, unless an earlier campaign has made it."""
        wanted = " ".join(f"{command.arguments} {{work}}/{command.start}" for command in commands)
        needed = []
        for name, arguments in reversed(INPUTS.items()):  # each may need those before it
            if f"{{work}}/{name}" in wanted:
                needed.append(name)
                wanted += arguments
        for name in reversed(needed):
            complete = self.work / f"{name}.complete"
            if not complete.exists():
                shutil.rmtree(self.work / name, ignore_errors=True)
                done = self.run(Command(name, INPUTS[name]), self.work / name)
                assert done.returncode == 0, done.stderr
                complete.touch()

    def argv(self, command: Command, out: Path) -> list[str]:
        if command.arguments == "download":
            archive = self.work / "www" / f"{TASK}.tar"
            md5 = hashlib.md5(archive.read_bytes()).hexdigest()
            arguments = ["download", TASK, str(out), "--url", self.address]
            return [sys.executable, "-c", _DOWNLOAD, TASK, md5, *arguments]
        arguments = command.arguments.format(work=self.work, out=out).split()
        return [sys.executable, "-m", "liverseg_tf", *arguments]

    def begin(self, command: Command, out: Path, **options) -> subprocess.Popen:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            self.argv(command, out),
            stdout=options.pop("stdout", subprocess.DEVNULL),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"no_proxy": "127.0.0.1"},
            **options,
        )

    def run(self, command: Command, out: Path, **options) -> subprocess.CompletedProcess:
        process = self.begin(command, out, **options)
        try:
            _, said = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            end_group(process)
            return subprocess.CompletedProcess(process.args, -1, "", f"no end after {LIMIT_S} s")
        return subprocess.CompletedProcess(process.args, process.returncode, "", said)

    def new_output(self, command: Command, name: str) -> Path:
        out = self.work / "out" / command.name.replace(" ", "-") / name
        shutil.rmtree(out, ignore_errors=True)
        if command.start is None:
            out.parent.mkdir(parents=True, exist_ok=True)
        else:
            shutil.copytree(self.work / command.start, out)
        return out

    def reference(self, command: Command) -> tuple[Snapshot, Snapshot, float, float]:
        """Output of an unbroken run, what varies, and when it begins and ends to write (s)."""
        if command.name not in self._references:
            snapshots, times = [], []
            for name in ("first", "second"):
                out = self.new_output(command, name)
                if command.repeat_adds and name == "second":  # versions differ in their number
                    shutil.copytree(out.with_name("first"), out)
                before = newest(out)
                started = time.monotonic()
                process = self.begin(command, out)
                begins = wait_for_change(process, out, before)
                _, said = process.communicate(timeout=LIMIT_S)
                assert process.returncode == 0, f"{command.name}: {said}"
                times.append((begins - started, time.monotonic() - started))
                snapshots.append(take_snapshot(out))
            first, second = snapshots
            self._references[command.name] = (first, volatile_parts(first, second), *times[1])
        return self._references[command.name]

    def left_out(self) -> dict:
        """What is not compared, by command and file, because unbroken runs differ in it."""
        return {
            name: {
                file: sorted(parts) if isinstance(parts, set) else parts
                for file, parts in volatile.items()
            }
            for name, (_, volatile, *_) in self._references.items()
        }

    def judge(self, command: Command, out: Path) -> str:
        """Run the command again until it ends, and compare its output."""
        again = self.run(command, out)
        expected, volatile, *_ = self.reference(command)
        finished = command.repeat_is_error and again.returncode == 2
        if again.returncode != 0 and not finished:
            return (
                f"WRONG: the same command ends with {again.returncode}: {last_line(again.stderr)}"
            )
        wrong = differences(expected, take_snapshot(out), volatile)
        wrong += [f"left: {name}" for name in find_leftovers(out.parent)]
        return f"WRONG: {'; '.join(wrong[:3])}" if wrong else "right"


def kill(campaign: Campaign, command: Command, chance: random.Random) -> dict:
    """Kill a command at a random moment, mostly while it writes."""
    _, _, begins, ends = campaign.reference(command)
    out = campaign.new_output(command, "kill")
    before = newest(out)
    process = campaign.begin(command, out)
    if chance.random() < 0.8:
        wait_for_change(process, out, before)
        time.sleep(chance.uniform(0, max(0.05, ends - begins)))
    else:
        time.sleep(chance.uniform(0, ends))
    alive = process.poll() is None
    process.kill()
    process.wait()
    time.sleep(0.2)  # worker processes follow it
    end_group(process)
    process.communicate()
    return {"alive": alive, "result": campaign.judge(command, out)}


def two_writers(campaign: Campaign, command: Command, chance: random.Random) -> dict:
    """Run a command twice at once: each succeeds or is refused in one line."""
    out = campaign.new_output(command, "writers")
    processes = [campaign.begin(command, out)]
    time.sleep(chance.uniform(0, 0.3))
    processes.append(campaign.begin(command, out))
    said = [process.communicate(timeout=2 * LIMIT_S)[1] for process in processes]
    codes = [process.returncode for process in processes]
    refusals = [last_line(text) for code, text in zip(codes, said, strict=True) if code]
    if min(codes) != 0 or any("Traceback" in text for text in said):
        result = f"WRONG: exit codes {codes}: {' | '.join(refusals)}"
    else:
        wrong = differences(campaign.reference(command)[0], take_snapshot(out), {})
        result = "right" if not wrong else campaign.judge(command, out)
    return {"codes": codes, "refusals": refusals, "result": result}


def full_disk(campaign: Campaign, command: Command, chance: random.Random) -> dict:
    """Run a command on a full disk, with files that cannot grow, or printing to a full disk."""
    campaign.reference(command)
    first = campaign.work / "out" / command.name.replace(" ", "-") / "first"
    sizes = [path.stat().st_size for path in first.rglob("*") if path.is_file()]
    kind = chance.choice(["full disk", "full disk", "small files", "standard output"])
    limit = int(chance.choice([0, 100, *(max(sizes) * n // 5 for n in range(1, 5))]))
    if kind == "full disk":
        limit = int(chance.uniform(0.02, 1) * sum(sizes)) // 4096 * 4096
    out = campaign.new_output(command, "disk")
    with full(kind, limit, out) as options:
        if kind == "full disk" and not options.pop("mounted"):
            kind = "small files"  # no disk can be mounted here
            options = {"preexec_fn": functools.partial(limit_files, limit)}
        done = campaign.run(command, out, **options)
        if done.returncode == 0 and kind != "standard output":
            # it fits: blocks are shared with the old output, or what is written are its small files
            result = campaign.judge(command, out)
        elif done.returncode in (1, 2) and "Traceback" not in done.stderr:
            if kind == "full disk":
                mount("-o", "remount,size=1g", str(out))
            result = campaign.judge(command, out)
        else:
            result = f"WRONG: ends with {done.returncode}: {last_line(done.stderr)}"
    return {"how": kind, "limit": limit, "said": last_line(done.stderr), "result": result}


@contextmanager
def full(kind: str, limit: int, out: Path) -> Iterator[dict]:
    """Prepare a full disk of a kind; yield options for the process."""
    if kind == "standard output":
        with open("/dev/full", "w") as terminal:
            yield {"stdout": terminal}
    elif kind == "small files":
        yield {"preexec_fn": functools.partial(limit_files, limit)}
    else:
        before = out.with_name("before")
        shutil.rmtree(before, ignore_errors=True)
        if out.exists():
            out.rename(before)
        out.mkdir()
        mounted = mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", str(out))
        try:
            if before.exists():
                shutil.copytree(before, out, dirs_exist_ok=True)
            if mounted:
                size = shutil.disk_usage(out).used + limit + 4096
                assert mount("-o", f"remount,size={size}", str(out)), "a smaller disk"
            yield {"mounted": mounted}
        finally:
            if mounted:
                subprocess.run(["umount", "-l", out], check=True)


def mount(*arguments: str) -> bool:
    """Whether the mount succeeds; only a privileged user may."""
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    return done.returncode == 0


def limit_files(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


TRIALS: dict[str, Callable[[Campaign, Command, random.Random], dict]] = {
    "kill": kill,
    "writers": two_writers,
    "disk": full_disk,
}


def newest(folder: Path) -> set[tuple[str, int]]:
    """Names and times of all files, to notice that one changes."""
    found = set()
    for root, _, names in os.walk(folder):  # folders may disappear meanwhile
        for path in (root, *(os.path.join(root, name) for name in names)):
            with suppress(OSError):
                found.add((path, os.lstat(path).st_mtime_ns))
    return found


def wait_for_change(process: subprocess.Popen, folder: Path, before: set) -> float:
    """Wait until a command writes something; return the time, or that of its end."""
    ends = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < ends:
        found = newest(folder) | newest_beside(folder)
        if found - before:
            break
        time.sleep(0.01)
    return time.monotonic()


def newest_beside(folder: Path) -> set[tuple[str, int]]:
    return {entry for entry in newest(folder.parent) if ".partial-" in entry[0]}


def end_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""


class SlowHandler(SimpleHTTPRequestHandler):
    """Sends a file in pieces, so that a download lasts a second."""

    def log_message(self, *arguments) -> None:
        pass

    def copyfile(self, source, outputfile) -> None:
        while piece := source.read(20_000):
            outputfile.write(piece)
            outputfile.flush()
            time.sleep(0.02)


class QuietServer(ThreadingHTTPServer):
    """A server that says nothing about clients that were killed."""

    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client_address) -> None:
        pass


@contextmanager
def serve_archive(work: Path) -> Iterator[str]:
    """Serve the phantoms as the archive of a task, and make both if they are missing."""
    data, www = work / "data", work / "www"
    if not (www / f"{TASK}.tar").exists():
        shutil.rmtree(data, ignore_errors=True)
        arguments = [*PHANTOM.split(), "--count", "4", str(data)]
        subprocess.run([sys.executable, "-m", "liverseg_tf", *arguments], check=True)
        www.mkdir(parents=True, exist_ok=True)
        with tarfile.open(www / "new.tar", "w") as tar:
            tar.add(data, TASK)
        (www / "new.tar").rename(www / f"{TASK}.tar")
    handler = functools.partial(SlowHandler, directory=str(www))
    server = QuietServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{TASK}.tar"
    finally:
        server.shutdown()
        server.server_close()


def read_results(path: Path, seed: int) -> list[dict]:
    if not path.exists():
        return []
    value = json.loads(path.read_text())
    assert value["seed"] == seed, f"{path} holds a campaign with the seed {value['seed']}"
    return value["trials"]


def write_results(path: Path, seed: int, results: list[dict], left_out: dict) -> None:
    earlier = json.loads(path.read_text()).get("left_out", {}) if path.exists() else {}
    value = {
        "seed": seed,
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "right": sum(one["result"] == "right" for one in results),
        "wrong": sum(one["result"] != "right" for one in results),
        "left_out": earlier | left_out,
        "trials": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(json.dumps(value, indent=1))
    path.with_suffix(".new").rename(path)


def print_table(results: list[dict]) -> None:
    counts: Counter = Counter()
    for one in results:
        counts[one["command"], one["kind"], one["result"] == "right"] += 1
    print("\n| command | kills: right, wrong | two writers | full disk |\n|---|---|---|---|")
    for command in COMMANDS:
        cells = [
            f"{counts[command.name, kind, True]}, {counts[command.name, kind, False]}"
            for kind in TRIALS
        ]
        print(f"| {command.name} | {' | '.join(cells)} |")
    for one in results:
        if one["result"] != "right":
            print(f"{one['kind']} {one['number']} {one['command']}: {one['result']}")


if __name__ == "__main__":
    main()
