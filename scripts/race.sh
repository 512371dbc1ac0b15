#!/usr/bin/env bash
# Reinsman against the Python stack (transformers, peft, trl) on the same work items, alternately, on this machine:
#   scripts/race.sh                                   small model, f32, about 10 minutes on 2 cores
#   scripts/race.sh --quant q4_k --items decode_b8    ours quantized, Python in f32
#   scripts/race.sh --shape 3b --quant q4_k --items decode_b1,sft_lora_step_2x384 --rounds 1    16 GB of memory
# Python >= 3.11 and a package index are needed once, for 6 GB of packages in RACE_VENV (default: the user's cache).
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${RACE_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/reinsman-race-venv}"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import trl, peft, torchvision' 2>/dev/null || "$venv/bin/pip" install -q -r scripts/race-requirements.txt >&2
cargo build --release --quiet
exec "$venv/bin/python" scripts/race.py "$@"
