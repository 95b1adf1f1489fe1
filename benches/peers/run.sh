#!/usr/bin/env bash
# Measures peers side by side: for each group of workloads every peer runs in turn, so that a drift of the machine hits
# all of them alike. Prints the conditions and one table. What a peer needs is installed first (setup.sh).
# usage: run.sh [PEERS [THREADS [GROUPS]]]
#   PEERS    comma list of torch, torch-malloc, torch-cl, ort, candle, burn-flex, striate (default: all)
#   THREADS  default: one a core
#   GROUPS   regular expressions over the names in workloads.tsv, separated by spaces
#            (default: the layers, the small networks, the large ones, the matrix products)
# $STRIATE names the program that is measured as striate (default: this repository's, built here).
set -euo pipefail
cd "$(dirname "$0")"
PEERS=${PEERS:-$HOME/.cache/striate-peers}
peers=${1:-torch,torch-malloc,torch-cl,ort,candle,burn-flex,striate}
threads=${2:-$(nproc)}
groups=${3:-'^fwd ^bwd ^(mlp|mnist_cnn|vgg4) ^net7 ^vgg16 ^vggsmall_b4 ^gemm'}
python=$PEERS/venv/bin/python
malloc=GLIBC_TUNABLES=glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592:glibc.malloc.hugetlb=1

case $peers in *torch* | *ort*) ./setup.sh torch ;; esac
case $peers in *candle*) ./setup.sh candle ;; esac
case $peers in *burn*) ./setup.sh burn ;; esac
if [ -z "${STRIATE:-}" ]; then
  (cd ../.. && cargo build --release --locked --bin striate)
  STRIATE=${CARGO_TARGET_DIR:-../../target}/release/striate
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for group in $groups; do
  # The two engines in Rust have no matrix products of their own here, and take names, not expressions.
  names=$(cut -f1 workloads.tsv | grep -v '^gemm' | grep -E "$group" | sed 's/$/$/' | paste -sd, || true)
  for peer in ${peers//,/ }; do
    case $peer in
      torch) "$python" torch/bench_torch.py --threads "$threads" --filter "$group" ;;
      torch-malloc) env "$malloc" "$python" torch/bench_torch.py --threads "$threads" --label malloc --filter "$group" ;;
      torch-cl) "$python" torch/bench_torch.py --threads "$threads" --variant channels_last --filter "$group" ;;
      ort) "$python" torch/bench_ort.py --threads "$threads" --filter "$group" ;;
      candle) [ -z "$names" ] || "$PEERS/target/candle/release/bench-candle" "$threads" "$names" ;;
      burn-flex) [ -z "$names" ] || "$PEERS/target/burn/release/bench-burn" flex "$threads" "$names" ;;
      striate) "$STRIATE" bench peers --threads "$threads" --filter "$group" ;;
      *) echo "unknown peer $peer" >&2; exit 2 ;;
    esac >> "$out/$peer.jsonl"
  done
done

processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo "$(date +%F), commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown), $threads threads of $processor, $(rustc --version)"
[ ! -x "$python" ] || "$python" -c 'import torch, onnxruntime as o; print(f"PyTorch {torch.__version__}, onnxruntime {o.__version__}, candle 0.11.1, burn 0.22.1")'
echo
python3 table.py "$out"/*.jsonl
