#!/usr/bin/env bash
# Sets everything up and runs every stage on synthetic CTs: `bash scripts/demo.sh`.
# Arguments go to `liverseg demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
prepare_environment
exec liverseg demo "$@"
