#!/usr/bin/env bash
# Sets everything up and runs all checks: `bash scripts/test.sh`.
# `bash scripts/test.sh --fast` leaves out the slow tests: trainings, exports, the site, browsers.
# Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
prepare_environment test
[[ " $* " == *" --fast "* ]] || prepare_browser
ruff check .
ruff format --check .
# mypy runs beside the tests, since it uses one core only; its report comes last
types="$(mktemp)"
trap 'rm -f "$types"' EXIT
mypy >"$types" 2>&1 &
checker=$!
status=0
python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 20 "$@" || status=$?
wait "$checker" || status=1
cat "$types"
exit "$status"
