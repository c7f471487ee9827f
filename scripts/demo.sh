#!/usr/bin/env bash
# Install everything and run every stage on synthetic CTs: `bash scripts/demo.sh`.
# Arguments are passed to `liverseg demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
prepare_environment
exec liverseg demo "$@"
