"""Stage 2: a store's training cases become a run."""

import time
from dataclasses import dataclass
from pathlib import Path

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.learner.execution import ExecutionOptions, with_hosts
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.learner import Learner
from liverseg_tf.train.network.choose import network_spec
from liverseg_tf.train.session.budget import ClockBudget, StepBudget
from liverseg_tf.train.session.checkpoint import Checkpoint, TrainingState
from liverseg_tf.train.session.loop import Loop
from liverseg_tf.train.session.recorder import RunRecorder
from liverseg_tf.train.session.resume import check_same
from liverseg_tf.train.session.run_folder import Run
from liverseg_tf.train.session.validation import Validator
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True)
class TrainingResult:
    """The end of a run.

    Args:
        dice: validation Dice of the kept model by region.
        validated_on: names of the cases it was measured on.
        steps: batches learnt from.
        seconds: wall clock.
        notes: what its user should know, a sentence each.
        written: whether this host wrote the run.
    """

    dice: dict[str, float]
    validated_on: list[str]
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()
    written: bool = True


def train(
    store: TileStore,
    folder: Path,
    settings: TrainSettings,
    way: ExecutionOptions = ExecutionOptions(),
) -> TrainingResult:
    """Train a U-Net on a store, or go on with a run that was interrupted.

    Cases of the validation side choose the best model; where the store has none, the training
    cases do, which tells nothing about other patients.

    Args:
        store: its split says which cases are for training.
        folder: of the run; it must not hold one that has ended.
        settings: of the run.
        way: how.

    Raises:
        SettingsError: when the folder holds a run that has ended, or one of other settings.
        LiverSegError: when no training case holds a region, the loss is not finite, or the store
            changes.
    """
    way = with_hosts(settings, way)
    started = time.monotonic() if way.started is None else way.started
    network = network_spec(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground_fraction
    )
    run = Run.create(folder, writes=way.hosts is None or way.hosts.index == 0)
    checkpoint = _checkpoint(run.folder, store, settings)
    learner = make_learner(network, settings, way)
    standing = TrainingState()
    if checkpoint is not None:
        learner.load_state(checkpoint.state)
        standing = TrainingState(**checkpoint.told["standing"])
    started -= standing.elapsed
    parts = {
        "settings": settings.to_json(),
        "parameters": learner.parts.model.count_params(),
        "hardware": vars(learner.parts.hardware),
        "store": {"split": store.split, "checksums": store.checksums},
    }
    if checkpoint is None:
        run.write_record(network, **parts)
    judge = _judge(store, network, settings, way)
    journal = RunRecorder(run, settings, store, _board(run, judge, way))
    first = standing.step
    batches = learner.batches(lambda shards: training_batches(sampler, settings, first, shards))
    Loop(learner, _budget(settings, started), judge, journal, standing).run(batches, way.report)
    trained = TrainingResult(
        standing.best_dice,
        list(judge.names),
        standing.step,
        time.monotonic() - started,
        _notes(store, sampler, learner),
        run.writes,
    )
    result = {
        "dice": trained.dice,
        "validated_on": trained.validated_on,
        "steps": trained.steps,
        "seconds": round(trained.seconds, 1),
    }
    run.write_record(network, **parts, result=result)
    journal.end()
    return trained


def _judge(
    store: TileStore, network: NetworkSpec, settings: TrainSettings, way: ExecutionOptions
) -> Validator:
    share = (0, 1) if way.hosts is None else (way.hosts.index, way.hosts.count)
    names = store.split["val"] or store.split["train"]
    return Validator(store, tuple(names), network, settings.batch_size, share)


def _board(run: Run, judge: Validator, way: ExecutionOptions):
    if not way.tensorboard or not run.writes:
        return None
    from liverseg_tf.train.session.tensorboard import TensorBoardWriter

    return TensorBoardWriter(run.folder, judge)


def _notes(store: TileStore, sampler: BatchSampler, learner: Learner) -> tuple[str, ...]:
    notes = [
        f"no training slice holds {name!r}; the model can't find it."
        for name in sampler.absent_regions()
    ]
    if not store.split["val"]:
        notes.append("no validation cases; Dice was measured on training cases.")
    if learner.parts.unmatched_layers:
        notes.append(f"layers that began at random: {'; '.join(learner.parts.unmatched_layers)}.")
    return tuple(notes)


def _checkpoint(folder: Path, store: TileStore, settings: TrainSettings) -> Checkpoint | None:
    checkpoint = Checkpoint.read(folder)
    if checkpoint is not None:
        check_same(folder, store, settings, checkpoint.told)
    return checkpoint


def _budget(settings: TrainSettings, started: float) -> StepBudget | ClockBudget:
    if settings.minutes is None:
        return StepBudget(settings.epochs * settings.steps_per_epoch)
    return ClockBudget(settings.minutes * 60, started)
