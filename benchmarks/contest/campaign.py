"""A campaign of trainings, which can be interrupted and goes on where it stopped."""

import argparse
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

from contest import contestants, tables
from contest.contestants import Contestant, Place
from contest.costs import Cost, busy, measure_costs, run_on_core
from contest.folds import clip_cases, make_fold
from contest.jobs import Job, claim
from contest.picture import write_worst_cases
from contest.results import Results, describe_version
from contest.scores import score_test_cases
from contest.task import Length, Task
from liverseg_tf.dataset.cases import find_cases


class Campaign:
    """All trainings that were asked for.

    Args:
        options: Arguments of the command.
    """

    def __init__(self, options: argparse.Namespace):
        self.options, self.work = options, options.work
        self.task = Task(options.task, tuple(options.limits), preset=options.preset)
        self.results = Results(options.results)
        self.contestants = _contestants(options)
        self.sources = {case.name: options.data.name for case in find_cases(options.data)}
        for folder in options.external:
            self.sources |= {case.name: folder.name for case in find_cases(folder)}

    def fold_folder(self, fold: int) -> Path:
        """Return the folder of a fold, which is made if it is missing."""
        folder = self.work / "folds" / str(fold)
        clipped = [self.work / "external" / source.name for source in self.options.external]
        with claim(folder.with_suffix(".lock"), wait=True):
            if not (folder / "complete").exists():
                for target, source in zip(clipped, self.options.external, strict=True):
                    clip_cases(target, source, self.task.limits)
                make_fold(folder, self.options.data, clipped, fold)
                (folder / "complete").touch()
        return folder

    def place(self, contestant: Contestant, fold: int) -> Place:
        run = self._run_folder(contestant, fold)
        prepared = self.work / self.task.name / contestant.name / f"prepared-{fold}"
        return Place(self.fold_folder(fold), prepared, run / "run", run / "masks")

    def measure_costs(self, again: bool) -> None:
        """Measure the costs of all contestants, if one is missing or all are wanted again."""
        known = [self.results.cost(**self._cost_identity(one)) for one in self.contestants]
        if not self.contestants or (all(known) and not again):
            return
        places = []
        for one in self.contestants:
            folder = self.work / self.task.name / one.title / "cost"
            fold = self.fold_folder(self.options.folds[0])
            places.append(Place(fold, *(folder / name for name in ("prepared", "run", "masks"))))
        core, *others = self.options.cores[: self.options.workers]
        call = datetime.now(UTC).isoformat(timespec="seconds")
        with busy(others):
            costs = measure_costs(self.contestants, places, self.task, core, call)
        for one, cost in zip(self.contestants, costs, strict=True):
            self.results.add_cost(cost, **self._cost_identity(one))
            print(f"{one.title}: {cost}", flush=True)

    def length(self, contestant: Contestant, fold: int) -> Length:
        """Return the length of a training.

        It costs what the finished training costs with which it will be compared, or the minutes
        if there is none. If several are finished, it is the first one whose cost was measured in
        the same call.
        """
        cost = self._require_cost(contestant)
        minutes = self.options.minutes
        names = ("ours",) if contestant.variant != "default" else ("monai", "nnunet", "ours")
        identities = [
            {"contestant": name, "variant": "default", "task": self.task.name} for name in names
        ]
        finished = [
            one for one in identities if self.results.find(**one, minutes=minutes, fold=fold)
        ]
        if not finished:
            return cost.length(60 * minutes, contestant.epochs)
        comparable = (one for one in finished if self._measured_in(cost.call, one))
        like = next(comparable, finished[0])
        seconds = self.results.seconds_like(cost, minutes, fold, **like)
        return cost.length(seconds, contestant.epochs)

    def _measured_in(self, call: str, identity: dict) -> bool:
        cost = self.results.cost(**identity)
        return cost is not None and cost.call == call

    def _require_cost(self, contestant: Contestant) -> Cost:
        cost = self.results.cost(**self._cost_identity(contestant))
        assert cost is not None, "measured at the start"
        return cost

    def _cost_identity(self, contestant: Contestant) -> dict:
        return {
            "contestant": contestant.name,
            "variant": contestant.variant,
            "task": self.task.name,
        }

    def run(self) -> None:
        """Run all trainings that have no result yet, several at a time."""
        cores: Queue[int] = Queue()
        for core in self.options.cores[: self.options.workers]:
            cores.put(core)
        todo = [Job(one, fold) for fold in self.options.folds for one in self.contestants]
        with ThreadPoolExecutor(self.options.workers) as pool:
            futures = [pool.submit(self._run_job, job, cores) for job in todo]
        failed = {str(future.exception()) for future in futures if future.exception()}
        if failed:
            raise SystemExit("\n".join(sorted(failed)))

    def forget(self) -> None:
        """Remove the results and the files of the trainings that the options name."""
        for fold in self.options.folds:
            for one in self.contestants:
                identity = self._identity(Job(one, fold))
                self.results.remove(identity)
                run = self._run_folder(one, fold)
                with claim(run / "lock") as lock:
                    if lock is None:
                        raise SystemExit(f"{Job(one, fold)}: another process trains it.")
                    shutil.rmtree(run)

    def _run_folder(self, contestant: Contestant, fold: int) -> Path:
        name = f"{self.options.minutes:g}min-{fold}"
        return self.work / self.task.name / contestant.title / name

    def _run_job(self, job: Job, cores: Queue) -> None:
        core = cores.get()
        try:
            identity = self._identity(job)
            if self.results.find(**identity) is not None:
                return
            place = self.place(job.contestant, job.fold)
            with claim(place.run.parent / "lock") as lock:
                if lock is None:
                    print(f"{job}: another process trains it", flush=True)
                elif self.results.find(**identity) is None:
                    row = identity | self._train(job, place, core, lock)
                    self.results.add(row)
                    print(f"{job}: {_describe(row)}", flush=True)
        finally:
            cores.put(core)

    def _identity(self, job: Job) -> dict:
        identity = self._cost_identity(job.contestant)
        return identity | {"minutes": self.options.minutes, "fold": job.fold}

    def _train(self, job: Job, place: Place, core: int, lock: int) -> dict:
        contestant, task = job.contestant, self.task
        cost, length = self._require_cost(contestant), self.length(contestant, job.fold)
        log = place.run.parent / "log.txt"
        place.prepared.parent.mkdir(parents=True, exist_ok=True)
        with claim(place.prepared.with_suffix(".lock"), wait=True):
            for command in contestant.preparation(place, task):
                run_on_core(command, core, log, (lock,))
        seconds = run_on_core(contestant.training(place, task, length), core, log, (lock,))
        run_on_core(contestant.prediction(place, task, length), core, log, (lock,))
        batch, details = contestant.describe_run(place)
        return {
            "options": " ".join(contestant.options),
            "epochs": length.epochs,
            "steps": length.steps,
            "images_per_second": round(batch / cost.step_s, 2),
            "cost_s": round(cost.seconds(length)),
            "processor_s": round(seconds),
            "details": details,
            "version": describe_version(),
            "cases": score_test_cases(place.fold, place.masks, task),
        }

    def tables(self) -> str:
        """Return all tables of the task, in Markdown."""
        rows = tables.select(self.results.rows, task=self.task.name)
        parts = []
        for minutes in sorted({row["minutes"] for row in rows}, reverse=True):
            chosen = tables.select(rows, minutes=minutes)
            parts.append(f"\n{self.task.name}, {minutes:g} minutes of one core\n")
            if self.task.name == "liver":
                parts.append(tables.score_table(chosen, self.sources))
                parts.append("\n" + tables.difference_table(chosen, self.sources))
            else:
                parts.append(tables.organ_table(chosen, self.sources))
        if any(row["variant"] != "default" for row in rows):
            parts.append("\n" + tables.ablation_table(rows, self.sources))
        return "\n".join(parts)

    def draw(self, path: Path) -> None:
        """Draw the worst case of each contestant among the patients of the folds."""
        rows = tables.select(self.results.rows, task=self.task.name, variant="default")
        own = {case.name: case for case in find_cases(self.options.data)}
        found = {}
        for one in self.contestants:
            chosen = tables.select(rows, contestant=one.name, minutes=self.options.minutes)
            dice = {
                key: value
                for key, value in tables.by_case(chosen, self.task.regions.names[0]).items()
                if key[1] in own
            }
            if dice and one.variant == "default":
                fold, name = min(dice, key=dice.__getitem__)
                place = self.place(one, fold)
                found[tables.TITLES[one.name]] = (own[name], place.masks / f"{name}.nii.gz")
        write_worst_cases(path, found, self.task)


def _contestants(options: argparse.Namespace) -> list[Contestant]:
    found = []
    if options.monai:
        found.append(contestants.monai(options.monai))
    if options.nnunet:
        found.append(contestants.nnunet(options.nnunet))
    if options.ours or options.ablate:
        found.append(contestants.ours())
    return found + [contestants.parse_variant(text) for text in options.ablate]


def _describe(row: dict) -> str:
    dice = [case["dice"] for case in row["cases"]]
    return f"{row['steps']} steps, Dice {sum(dice) / len(dice):.3f}, lowest {min(dice):.3f}"
