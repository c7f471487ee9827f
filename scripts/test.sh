#!/usr/bin/env bash
# Sets everything up and runs all checks: `bash scripts/test.sh`.
# Arguments go to pytest; `-m "not slow"` leaves out what trains for minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
prepare_environment test
prepare_browser
ruff check .
ruff format --check .
python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
