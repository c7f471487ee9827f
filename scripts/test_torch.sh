#!/usr/bin/env bash
# Runs the tests of the PyTorch backend: `bash scripts/test_torch.sh`. Arguments go to pytest.
# They run in an environment of their own, .venv-torch, on the CPU. `pip install torch` installs the
# build for NVIDIA GPUs on Linux; the smaller one for CPUs comes from PyTorch's own package index,
# which the variable PIP_EXTRA_INDEX_URL may name. To use an environment with PyTorch and pytest
# that exists already, with or without TensorFlow, set TORCH_PYTHON to its Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${TORCH_PYTHON:-}"
if [ -z "$python" ]; then
    python=.venv-torch/bin/python
    checksum="$(cat setup.cfg setup.py pyproject.toml | cksum)"
    if [ "$(cat .venv-torch/installed 2>/dev/null)" != "$checksum" ]; then
        echo "Installing liverseg_tf[torch] into .venv-torch (once; this takes some minutes)"
        "${PYTHON:-python3}" -m venv .venv-torch
        "$python" -m pip install --quiet --disable-pip-version-check \
            --editable '.[torch]' 'pytest>=8' 'hypothesis>=6.100'
        echo "$checksum" >.venv-torch/installed
    fi
fi
export KERAS_BACKEND=torch KERAS_TORCH_DEVICE="${KERAS_TORCH_DEVICE:-cpu}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m pytest tests/train/learner/test_torch_learner.py tests/train/data \
    tests/test_training_loops.py \
    --ignore tests/train/data/test_dataset.py "$@"
