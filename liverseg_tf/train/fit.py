"""Stage 2: a store's training cases become a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from liverseg_tf.atomic import read_json
from liverseg_tf.errors import SettingsError
from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.budget import ClockBudget, StepBudget
from liverseg_tf.train.checkpoint import Checkpoint
from liverseg_tf.train.hardware import Hardware, choose_hardware
from liverseg_tf.train.journal import Journal, checksums, compare
from liverseg_tf.train.learner import Learner, unet_spec
from liverseg_tf.train.loop import Loop, Progress, Standing
from liverseg_tf.train.pipeline import training_batches
from liverseg_tf.train.run import Run
from liverseg_tf.train.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.validation import Judge


@dataclass(frozen=True)
class Trained:
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


@dataclass(frozen=True)
class Way:
    """How a run goes, which doesn't change what is learnt, but for rounding.

    Args:
        hardware: precision and compilation; what suits the machine if None.
        hosts: whose devices learn together (`hosts.Hosts`); this one's if None.
        report: called about every second.
        started: `time.monotonic()` when the budget of `minutes` began; now if None.
        tensorboard: whether the run holds files for it.
    """

    hardware: Hardware | None = None
    hosts: object = None
    report: Callable[[Progress], None] = lambda progress: None
    started: float | None = None
    tensorboard: bool = False


def train(store: TileStore, folder: Path, settings: TrainSettings, way: Way = Way()) -> Trained:
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
    way = _on_hosts(settings, way)
    started = time.monotonic() if way.started is None else way.started
    network = network_of(store, settings)
    sampler = BatchSampler(
        store, store.split["train"], network, settings.batch_size, settings.foreground
    )
    run = Run.create(folder, writes=way.hosts is None or way.hosts.index == 0)
    checkpoint = _checkpoint(run.folder, store, settings)
    learner = make_learner(network, settings, way)
    standing = Standing()
    if checkpoint is not None:
        learner.load_state(checkpoint.state)
        standing = Standing(**checkpoint.told["standing"])
    started -= standing.elapsed
    parts = {
        "settings": settings.to_json(),
        "parameters": learner.parts.model.count_params(),
        "hardware": vars(learner.parts.hardware),
        "store": {"split": store.split, "checksums": checksums(store)},
    }
    if checkpoint is None:
        run.write_record(network, **parts)
    judge = _judge(store, network, settings, way)
    journal = Journal(run, settings, store, _board(run, judge, way))
    first = standing.step
    batches = learner.batches(lambda shards: training_batches(sampler, settings, first, shards))
    Loop(learner, _budget(settings, started), judge, journal, standing).run(batches, way.report)
    trained = Trained(
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


def _judge(store: TileStore, network: NetworkSpec, settings: TrainSettings, way: Way) -> Judge:
    share = (0, 1) if way.hosts is None else (way.hosts.index, way.hosts.count)
    names = store.split["val"] or store.split["train"]
    return Judge(store, tuple(names), network, settings.batch_size, share)


def _board(run: Run, judge: Judge, way: Way):
    if not way.tensorboard or not run.writes:
        return None
    from liverseg_tf.train.board import Board

    return Board(run.folder, judge)


def _notes(store: TileStore, sampler: BatchSampler, learner: Learner) -> tuple[str, ...]:
    notes = [
        f"no training slice holds {name!r}; the model can't find it."
        for name in sampler.absent_regions()
    ]
    if not store.split["val"]:
        notes.append("no validation cases; Dice was measured on training cases.")
    if learner.parts.unfit:
        notes.append(f"layers that began at random: {'; '.join(learner.parts.unfit)}.")
    return tuple(notes)


def is_finished(folder: Path, store: TileStore, settings: TrainSettings) -> bool:
    """Whether a folder holds a run of this store and split and these settings that has ended.

    Raises:
        SettingsError: when it holds one of others.
    """
    path = Path(folder) / "run.json"
    if not path.exists() or "result" not in (record := read_json(path)):
        return False
    check_same(folder, store, settings, record)
    return True


def network_of(store: TileStore, settings: TrainSettings) -> NetworkSpec:
    """What a network takes and gives that learns from a store."""
    network = NetworkSpec(
        store.spec, settings.regions, settings.context, context_mm=settings.context_mm
    )
    return replace(network, stride=unet_spec(network, settings).stride)


def check_same(folder: Path, store: TileStore, settings: TrainSettings, record: dict) -> None:
    """Whether a run was begun with this store, this split and these settings.

    Args:
        folder: of the run.
        store: that it is to go on with.
        settings: likewise.
        record: `settings` and `store` of the run.

    Raises:
        SettingsError: when settings or split are others.
        LiverSegError: when a case has changed.
    """
    before = TrainSettings.from_json(record["settings"])
    for name in settings.differences(before):
        raise SettingsError(
            f"Expected the settings of the run in {folder}, {name} {getattr(before, name)}. "
            f"Received {getattr(settings, name)}: take another folder, or the same settings."
        )
    if record["store"]["split"] != store.split:
        raise SettingsError(
            f"Expected the split of the run in {folder}. Received another one: take another "
            "folder, or the same split and fold."
        )
    compare(record["store"]["checksums"], checksums(store), store.folder)


def _checkpoint(folder: Path, store: TileStore, settings: TrainSettings) -> Checkpoint | None:
    checkpoint = Checkpoint.read(folder)
    if checkpoint is not None:
        check_same(folder, store, settings, checkpoint.told)
    return checkpoint


def make_learner(network: NetworkSpec, settings: TrainSettings, way: Way) -> Learner:
    hardware = way.hardware or choose_hardware()
    backend = keras.backend.backend()
    if backend == "jax":
        from liverseg_tf.train.jax_learner import JaxLearner

        return JaxLearner(network, settings, hardware)
    if backend != "tensorflow":
        raise SettingsError(f"Expected the Keras backend tensorflow or jax. Received {backend}.")
    from liverseg_tf.train.tensorflow_learner import TensorFlowLearner

    return TensorFlowLearner(network, settings, hardware, _on_hosts(settings, way).hosts)


def _on_hosts(settings: TrainSettings, way: Way) -> Way:
    """The way with its hosts, checked: JAX has none, it learns on one device."""
    if keras.backend.backend() != "tensorflow":
        return way
    if way.hosts is None:
        from liverseg_tf.train.hosts import this_host

        way = replace(way, hosts=this_host())
    replicas = way.hosts.strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise SettingsError(
            f"Expected a batch size that {replicas} devices can share. "
            f"Received {settings.batch_size}."
        )
    if settings.minutes is not None and way.hosts.count > 1:
        raise SettingsError(
            "Expected epochs for several hosts, whose clocks differ. "
            f"Received {settings.minutes:g} minutes."
        )
    return way


def _budget(settings: TrainSettings, started: float) -> StepBudget | ClockBudget:
    if settings.minutes is None:
        return StepBudget(settings.epochs * settings.steps_per_epoch)
    return ClockBudget(settings.minutes * 60, started)
