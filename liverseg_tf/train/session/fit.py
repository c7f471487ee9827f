"""Stage 2 of the pipeline: trains a network on a store and writes a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverseg_tf.model.custom_code import check_same_code, to_json
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.run_record import RunRecord
from liverseg_tf.model.training_cases import describe_training_cases
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.device_tiles import cache_on_device
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.learner.devices import describe_devices
from liverseg_tf.train.learner.execution import ExecutionOptions, resolve_hosts
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.memory import estimate_memory
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.session.budget import ClockBudget, StepBudget
from liverseg_tf.train.session.checkpoint import Checkpoint, TrainingState
from liverseg_tf.train.session.loop import TrainingLoop
from liverseg_tf.train.session.notes import advise_on_missed_regions, make_notes
from liverseg_tf.train.session.recorder import RunRecorder
from liverseg_tf.train.session.resume import check_same_run
from liverseg_tf.train.session.run_folder import RunFolder
from liverseg_tf.train.session.validation import Validator
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished run.

    Args:
        dice: Validation Dice of the saved model by region, mean over the cases.
        validated_on: Names of the cases on which it was measured.
        steps: Number of training steps.
        seconds: Wall-clock time of the run.
        notes: Remarks for the user, one sentence each.
        written: Whether this host wrote the run.
        postprocessing: Thresholds and steps that were chosen at the end; None if none were asked
            for.
    """

    dice: dict[str, float]
    validated_on: list[str]
    steps: int
    seconds: float
    notes: tuple[str, ...] = ()
    written: bool = True
    postprocessing: PostProcessing | None = None


def train(
    store: TileStore,
    folder: Path,
    settings: TrainSettings,
    execution: ExecutionOptions = ExecutionOptions(),
    choose_postprocessing: Callable[[Path], PostProcessing] | None = None,
    custom: CustomParts = CustomParts(),
) -> TrainingResult:
    """Train a U-Net on a store and write it to a folder, or resume a run that was interrupted.

    A run can be interrupted at any time, also while the post-processing is chosen: the result is
    the last thing that is written, and the same call continues where the run ended.

    The validation cases of the store's split choose the best model. If there are none, the
    training cases do, and the reported Dice says nothing about other patients.

    Args:
        store: Store with the tiles and the split of the cases.
        folder: Folder of the run. It must not hold a finished run.
        settings: Settings of the run.
        execution: Execution options; they affect results only through rounding.
        choose_postprocessing: Function from the folder of the run, with the best model, to the
            post-processing to record. None chooses none.
        custom: Objects of the caller in place of parts that the settings name.

    Raises:
        SettingsError: If the folder holds a finished run, or an interrupted run with other
            settings or other objects of the caller, or if settings exclude each other or do not
            suit the hosts or the objects.
        LiverSegError: If no training case contains a region, the loss is not finite, the store
            changes during the run, a file cannot be read or written, or another process is
            writing the run.
        Interrupted: If the process received SIGINT or SIGTERM; a checkpoint is written first.
    """
    custom.check(settings)
    execution = resolve_hosts(settings, execution)
    run = RunFolder.create(folder, writes=execution.hosts is None or execution.hosts.index == 0)
    with run.locked():
        return _train(store, run, settings, execution, choose_postprocessing, custom)


def _train(
    store: TileStore,
    run: RunFolder,
    settings: TrainSettings,
    execution: ExecutionOptions,
    choose_postprocessing: Callable[[Path], PostProcessing] | None,
    custom: CustomParts,
) -> TrainingResult:
    """Train in a folder that is locked for other processes; see `train`."""
    started = time.monotonic() if execution.started is None else execution.started
    hosts = execution.hosts
    host_index, host_count = (0, 1) if hosts is None else (hosts.index, hosts.count)

    # the checkpoint, if the run was interrupted
    checkpoint = Checkpoint.read(run.folder)
    if checkpoint is not None:
        check_same_run(run.folder, store, settings, checkpoint.metadata)
        check_same_code(RunRecord.read(run.folder).custom, custom.origins(), run.folder)

    # the training data
    network = custom.network_spec(make_network_spec(store, settings))
    sampler = custom.make_sampler(store, network, settings)

    # network, loss and optimizer: new ones, or in the state of the checkpoint
    learner = make_learner(network, settings, execution, custom)
    state = TrainingState()
    if checkpoint is not None:
        checkpoint.restore(learner, run.folder)
        state = checkpoint.training_state()
    started -= state.elapsed_seconds  # a resumed run has used a part of its time budget

    sections: dict[str, Any] = {
        "settings": settings.to_json(),
        "parameters": learner.components.model.count_params(),
        "hardware": {**vars(learner.components.hardware), "device": describe_devices()},
        "store": {"split": store.split, "checksums": store.checksums},
        "training_range": describe_training_cases(
            store, store.split["train"], network.regions, settings.init_from
        ).to_json(),
    }
    if origins := custom.origins():
        sections["custom"] = to_json(origins)
    if checkpoint is None:
        run.write_record(network, **sections)

    # validation
    validator = Validator(
        store,
        tuple(store.split["val"] or store.split["train"]),
        network,
        settings.batch_size,
        host_index,
        host_count,
    )

    # training, from the first step or from that of the checkpoint
    first_step = state.step
    cache = cache_on_device(
        sampler,
        custom.cache_choice(settings, execution.cache_on_device),
        lambda: estimate_memory(learner.components, sampler.shape, settings.batch_size),
    )
    batches = learner.batches(
        lambda shards: training_batches(sampler, settings, first_step, shards, cache)
    )
    budget: StepBudget | ClockBudget
    if settings.minutes is None:
        budget = StepBudget(settings.epochs * settings.steps_per_epoch)
    else:
        budget = ClockBudget(settings.minutes * 60, started)
    with RunRecorder.make(run, settings, execution, validator, sections) as recorder:
        TrainingLoop(learner, budget, validator, recorder, state).run(batches, execution.report)

        # Everything after the last epoch comes before the result, which marks a finished run. Until
        # it is written, there is the checkpoint of the last epoch, from which this is repeated.
        postprocessing = None
        if choose_postprocessing is not None and run.writes:
            postprocessing = choose_postprocessing(run.folder)
            sections["postprocessing"] = postprocessing.to_json()
        result = TrainingResult(
            state.best_dice,
            list(validator.case_names),
            state.step,
            time.monotonic() - started,
            (
                *make_notes(sampler, validator, learner.components.unmatched_layers),
                *advise_on_missed_regions(state.log_rows, sampler.absent_regions(), settings),
                *custom.notes(),
            ),
            run.writes,
            postprocessing,
        )
        run.write_result(
            network,
            sections,
            {
                "dice": result.dice,
                "validated_on": result.validated_on,
                "steps": result.steps,
                "seconds": round(result.seconds, 1),
            },
        )
        recorder.finish(result.dice)
        return result
