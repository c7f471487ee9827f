#!/usr/bin/env bash
# Trains the model `abdomen-ct` and packs it as a bundle: `bash scripts/train_abdomen_ct.sh DATA OUT`.
# DATA holds btcv/ and crlm/, data sets of images/ and masks/; OUT gets abdomen-ct.zip.
# Every step is kept when it has finished: repeat the command to go on after an interruption.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: bash scripts/train_abdomen_ct.sh [OPTIONS] DATA OUT [-- OPTIONS OF liverseg train]

DATA/btcv  30 CTs of the BTCV challenge; 13 labels of organs (1 liver, 3 spleen, ...), none of tumours
DATA/crlm  CTs of Colorectal-Liver-Metastases (1 liver, 2 tumour)
OUT        folder for the tiles, the run and abdomen-ct.zip

  --steps N         Length of the training: a multiple of 1000, or fewer [default: 6000].
  --without-crlm    Train without DATA/crlm, so that the model can be tested on its patients.
  --crossval FOLDS  Train one model for each fold into OUT/crossval, and pack no bundle.
  --dry-run         Print the commands without running them.

The same command on the same machine gives the same weights: nothing depends on the time, the number of
threads is two, and all random numbers follow from fixed seeds.
TEXT
}

fail() {
    echo "$1 See --help." >&2
    exit 2
}

steps=6000 crossval="" with_crlm=1 dry="" folders=()
while [ $# -gt 0 ]; do
    case "$1" in
    --steps | --crossval)
        [[ "${2:-}" =~ ^[1-9][0-9]*$ ]] || fail "Expected a whole number after $1."
        [ "$1" = --steps ] && steps="$2" || crossval="$2"
        shift
        ;;
    --without-crlm) with_crlm="" ;;
    --dry-run) dry=1 ;;
    -h | --help) usage && exit ;;
    --) shift && break ;;
    -*) fail "There is no option $1." ;;
    *) folders+=("$1") ;;
    esac
    shift
done
[ ${#folders[@]} = 2 ] || fail "Expected two folders, DATA and OUT."
absolute() { case "$1" in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac }
data="$(absolute "${folders[0]}")" out="$(absolute "${folders[1]}")"
epoch_steps=$((steps < 1000 ? steps : 1000)) # a checkpoint and a validation after each epoch
[ $((steps % epoch_steps)) = 0 ] || fail "Expected a multiple of 1000 steps, or fewer than 1000."
sources=(btcv ${with_crlm:+crlm})
for source in "${sources[@]}"; do
    [ -d "$data/$source/images" ] && [ -d "$data/$source/masks" ] ||
        fail "Expected the folders images and masks in $data/$source."
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -x .venv/bin/liverseg ]; then
    PATH="$PWD/.venv/bin:$PATH"
elif ! command -v liverseg >/dev/null; then
    source scripts/environment.sh
    prepare_environment
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" # also in a copy that was not installed
# the number of threads decides in which order sums are computed
export TF_NUM_INTRAOP_THREADS=2 OMP_NUM_THREADS=2

run() {
    printf '%q ' "$@"
    echo
    [ -n "$dry" ] || "$@"
}
liverseg() { run python -m liverseg_tf "$@"; }

# 1. Both data sets as one. The window of all tiles is the range to which the CTs of BTCV were clipped,
#    so that the CTs of both data sets look the same.
cases="$out/cases"
run mkdir -p "$cases/images" "$cases/masks"
run find "$cases" -type l -delete
for source in "${sources[@]}"; do
    for kind in images masks; do
        run ln -sf "$data/$source/$kind"/*.nii.gz "$cases/$kind/"
    done
done
# this patient has several lesions of its own, which nobody has labelled; see docs/lesions.md
run rm -f "$cases/images/btcv01.nii.gz" "$cases/masks/btcv01.nii.gz"
regions=(
    --region liver=1,2 --region tumour=2 --region spleen=3 --region "right kidney=4"
    --region "left kidney=5" --region gallbladder=6 --region stomach=8 --region aorta=9
    --region pancreas=12
)
organs="liver,spleen,right kidney,left kidney,gallbladder,stomach,aorta,pancreas"
labelled=(--labelled "btcv*=$organs" ${with_crlm:+--labelled "crlm*=liver,tumour"})

# 2. Tiles. One patient, of BTCV, is the validation case, which decides on the best epoch; the model
#    learns from all others.
liverseg preprocess "$cases" "$out/store" "${regions[@]}" "${labelled[@]}" --window 75 400 \
    --spacing 1.5 --tile 256 --accept clipped --val 0.03 --test 0 --seed 0

# 3. Training: half the resolution inside the network (1.9 million parameters), three slices about 4 mm
#    apart; synthetic lesions in all patients; the transforms include noise, thick slices and
#    other phases of the contrast agent.
settings=(
    "${regions[@]}" --context 3 --context-spacing-mm 4 --patch 2 --base-filters 16
    --epochs $((steps / epoch_steps)) --steps-per-epoch "$epoch_steps" --batch-size 8
    --foreground-fraction 0.67 --synthetic-lesions 1.0 --seed 0
    --transforms default,correlated-noise,thick-slices,region-shift,region-curves
)
if [ -n "$crossval" ]; then
    liverseg crossval "$out/store" "$out/crossval" --folds "$crossval" "${settings[@]}" "$@"
    exit
fi
liverseg train "$out/store" "$out/run" "${settings[@]}" "$@"

# 4. The bundle, with the scores that have been measured so far. It is packed anew each time, so that
#    its card has the latest scores.
run python benchmarks/abdomen_ct.py --card "$out/card.md"
run rm -f "$out/abdomen-ct.zip"
count() { find -L "$data/$1/images" -name '*.nii.gz' ! -name btcv01.nii.gz | wc -l; }
trained_on="$(count btcv) portal venous CTs of the BTCV challenge"
attribution="BTCV: Landman et al. 2015, MICCAI Multi-Atlas Labeling Beyond the Cranial Vault, Synapse"
attribution+=" syn3193805, CC BY 4.0, resampled"
if [ -n "$with_crlm" ]; then
    trained_on+=" and $(count crlm) of Colorectal-Liver-Metastases, with synthetic lesions"
    attribution+="; Colorectal-Liver-Metastases: Simpson et al. 2023, The Cancer Imaging Archive,"
    attribution+=" doi:10.7937/QXK2-QG03, CC BY 4.0, resampled"
else
    trained_on+=", with synthetic lesions"
fi
attribution+=". CC BY 4.0: https://creativecommons.org/licenses/by/4.0/"
liverseg pack "$out/run" "$out/abdomen-ct.zip" --data "$trained_on" --licence CC-BY-4.0 \
    --attribution "$attribution" --card "$out/card.md"
