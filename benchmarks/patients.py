"""Train this package, MONAI's 2D U-Net and nnU-Net's 2D configuration on the same patients.

    python benchmarks/patients.py --data DATA --external FOLDER... --monai PYTHON --nnunet PYTHON

The patients of DATA are divided into five folds. Every contestant learns from four of them for the
same minutes of one core and predicts the fifth, and the data sets of other hospitals. Its masks are
scored on the native grid, with the definitions of `liverseg evaluate`.

What a step costs is measured first, in processor seconds, and every training gets the steps that
fit into its minutes, so that other work on the machine cannot change a result. --rates measures the
contestants that are named again, and does only that: contestants are compared if one call has
measured both. Finished trainings and their scores are kept in --results; the same command goes on
where it was interrupted, and several may run at once, also with different cores. Every contestant
that is not named by an option is left out, and --table prints the tables of what there is.
"""

import argparse
import signal
from pathlib import Path

from contest.campaign import Campaign
from contest.costs import stop_all
from contest.folds import FOLDS
from contest.task import TASKS, Task
from measure import print_hardware


def main() -> None:
    options = parse_arguments()
    print_hardware()
    campaign = Campaign(options)
    if options.forget:
        campaign.forget()
    elif not (options.table or options.picture):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_all())
        campaign.measure_costs(again=options.rates)
        if not options.rates:
            campaign.run()
    if options.picture:
        campaign.draw(options.picture)
    print(campaign.tables())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="Data set with the patients.")
    parser.add_argument(
        "--external", type=Path, nargs="*", default=[], help="Data sets of other hospitals."
    )
    parser.add_argument("--ours", action="store_true", help="Train this package.")
    parser.add_argument("--monai", metavar="PYTHON", help="Python of an environment with MONAI.")
    parser.add_argument("--nnunet", metavar="PYTHON", help="Python of one with nnU-Net v2.")
    parser.add_argument(
        "--ablate", action="append", default=[], metavar="NAME=OPTIONS",
        help="Train this package with other options of `liverseg train`, beside the default.",
    )  # fmt: skip
    parser.add_argument("--task", choices=TASKS, default="liver")
    parser.add_argument("--minutes", type=float, default=15, help="Minutes of one core.")
    parser.add_argument("--folds", type=int, nargs="+", default=range(FOLDS))
    parser.add_argument(
        "--limits", type=float, nargs=2, default=Task.limits, metavar="HU",
        help="Range to which the HU of DATA are clipped; other data sets are clipped to it.",
    )  # fmt: skip
    parser.add_argument("--preset", default=Task.preset)
    parser.add_argument("--workers", type=int, default=1, help="Trainings at a time.")
    parser.add_argument("--cores", type=int, nargs="+", default=[0, 1], help="One for each.")
    parser.add_argument("--work", type=Path, default=Path("data_cache/patients"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "patients.json"
    )
    parser.add_argument("--rates", action="store_true", help="Only measure the costs, again.")
    parser.add_argument(
        "--forget", action="store_true", help="Remove the results of what is named, and do no more."
    )
    parser.add_argument("--table", action="store_true", help="Only print the tables.")
    parser.add_argument(
        "--picture", type=Path, metavar="PNG", help="Draw the worst case of each contestant."
    )
    options = parser.parse_args()
    options.work = options.work.absolute()
    if options.workers > len(options.cores):
        parser.error(f"Expected a core for each of {options.workers} workers.")
    return options


if __name__ == "__main__":
    main()
