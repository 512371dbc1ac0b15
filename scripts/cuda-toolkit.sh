#!/bin/sh
# The parts of the CUDA toolkit that `cargo build --release --features cuda` needs, from NVIDIA's Python wheels: no root,
# no GPU, about 700 MB to download.
#
#   scripts/cuda-toolkit.sh DIR    then    . DIR/env.sh
#
# A machine with a CUDA 13 toolkit of its own needs none of this.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)

# One release: newer compilers write code that drivers of CUDA 13.0 (580) refuse.
python3 -m pip download --quiet --no-deps --dest "$dir/wheels" \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cccl==13.0.85 nvidia-curand==10.4.0.35 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3
for wheel in "$dir"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$dir"
done
rm -r "$dir/wheels"
root=$dir/nvidia/cu13
chmod +x "$root"/bin/* "$root"/nvvm/bin/*
cd "$root/lib"
for name in cublas cublasLt curand nvrtc cudart; do
    ln -sf "$(ls lib$name.so.*)" "lib$name.so"
done

# libcuda comes with the driver. To link without one, an empty library with the driver's functions: it is never loaded,
# because its file has another name than the loader looks for.
(cd "$here" && cargo fetch --quiet)
bindings=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-*/src/driver/sys/mod.rs | tail -n 1)
grep -ohE 'fn cu[A-Z][A-Za-z0-9_]+' "$bindings" | sort -u | sed 's/fn \(.*\)/int \1(void) { return 100; }/' > stub.c
cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so stub.c
rm stub.c

cat > "$dir/env.sh" <<END
export CUDA_HOME=$root CUDA_PATH=$root
export PATH=$root/bin:\$PATH LIBRARY_PATH=$root/lib\${LIBRARY_PATH:+:\$LIBRARY_PATH}
export LD_LIBRARY_PATH=$root/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
# Of the GPU that the binary is for: 80 runs on 8.x, 90 on Hopper alone (nvidia-smi --query-gpu=compute_cap --format=csv).
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80}
END
echo "ready: . $dir/env.sh && cargo build --release --features cuda"
