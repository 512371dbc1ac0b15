#!/usr/bin/env bash
# Everything a fresh Debian or Ubuntu needs to build Reinsman: a C linker and the Rust toolchain that
# rust-toolchain.toml names. Does nothing where both are there; safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v cc >/dev/null; then
    root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -q
    "${root[@]}" apt-get install -y build-essential curl ca-certificates
fi
if ! command -v cargo >/dev/null; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --default-toolchain none
    # shellcheck disable=SC1091
    . "${CARGO_HOME:-$HOME/.cargo}/env"
fi
cargo --version # rustup fetches the pinned toolchain here
cc --version | head -n 1
echo "ready: cargo run --release -- plan"
