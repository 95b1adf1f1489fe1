#!/usr/bin/env bash
# Installs and builds peers that are not there yet: PyTorch and onnxruntime in a virtual environment, candle and burn with
# cargo. Everything goes to $PEERS (default ~/.cache/striate-peers).
# usage: setup.sh [torch] [candle] [burn]      (default: all)
set -euo pipefail
cd "$(dirname "$0")"
PEERS=${PEERS:-$HOME/.cache/striate-peers}
mkdir -p "$PEERS"
[ $# -gt 0 ] || set -- torch candle burn
for what in "$@"; do
  case $what in
    torch)
      "$PEERS/venv/bin/python" -c 'import torch, onnxruntime' 2> /dev/null && continue
      [ -x "$PEERS/venv/bin/python" ] || python3 -m venv "$PEERS/venv"
      "$PEERS/venv/bin/pip" install -q torch==2.15.0 torchvision==0.29.2 onnx==1.23.2 onnxruntime==1.31.1 numpy ;;
    candle | burn)
      [ -x "$PEERS/target/$what/release/bench-$what" ] && continue
      (cd "$what" && RUSTFLAGS="-C target-cpu=native" CARGO_TARGET_DIR="$PEERS/target/$what" cargo build --release --locked) ;;
    *) echo "unknown peer $what" >&2; exit 2 ;;
  esac
done
