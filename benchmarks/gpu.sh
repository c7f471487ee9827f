#!/usr/bin/env bash
# Measure on a GPU, without TensorFlow and without a network: see benchmarks/README.md.
#   benchmarks/gpu.sh --pack FILE --out FOLDER [--wheels FOLDER] [--minutes N] [--retry]
#   benchmarks/gpu.sh --quick --out FOLDER        a dry run on the CPU
# PYTHON names the Python executable with JAX and PyTorch; python3 by default.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" "$here/gpu/run.py" "$@"
