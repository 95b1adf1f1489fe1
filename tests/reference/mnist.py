"""Trains the documents' MNIST networks in PyTorch, to know what accuracy to expect of a recipe.

    python mnist.py mnist-mlp mnist-cnn                 # the shipped digits: 8,000 to train, 2,000 held out
    python mnist.py mnist-cnn --data DIR                # whole MNIST: 60,000 and 10,000
    python mnist.py mnist-mlp --output FILE             # also replaces these runs in a file of results

Prints one JSON line a run: test accuracy, test loss, and the seconds of processor time that training took on
one thread.
"""

import argparse
import datetime
import gzip
import json
import platform
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from architectures import NETWORKS

DIGITS = Path(__file__).parents[2] / "datasets" / "digits"
NAMES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


def idx(path, header):
    """The bytes of an IDX file after its header."""
    return torch.frombuffer(bytearray(gzip.open(path).read()[header:]), dtype=torch.uint8)


def pair(images, labels):
    return idx(images, 16).reshape(-1, 1, 28, 28).float() / 255, idx(labels, 8).long()


def digits(folder):
    """((images, labels) to train, (images, labels) held out)."""
    if folder is None:
        images, labels = pair(DIGITS / "images-idx3-ubyte.gz", DIGITS / "labels-idx1-ubyte.gz")
        return (images[:8000], labels[:8000]), (images[8000:], labels[8000:])
    paths = [Path(folder) / name for name in NAMES]
    return pair(*paths[:2]), pair(*paths[2:])


# Batch, epochs, whether pixels are normalised.
RECIPES = {
    "mnist-mlp": (100, 2, False),
    "mnist-cnn": (100, 5, False),
    "mnist-net": (128, 1, True),
    "mnist-net-free": (128, 1, True),
}


def train(model, optimizer, data, batch, epochs):
    """The last batch of an epoch may be smaller. Log-probabilities are their own logits."""
    images, labels = data
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(batch):
            optimizer.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()


@torch.no_grad()
def evaluate(model, data):
    images, labels = data
    logits = torch.cat([model(part) for part in images.split(500)])
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    return accuracy, F.cross_entropy(logits, labels).item()


def run(name, folder, seed):
    make, optimizer = NETWORKS[name]
    batch, epochs, normalise = RECIPES[name]
    data, held_out = digits(folder)
    if normalise:
        data, held_out = [((x - 0.1307) / 0.3081, y) for x, y in (data, held_out)]
    torch.manual_seed(seed)
    model = make()
    start = time.process_time()
    train(model, optimizer(model), data, batch, epochs)
    seconds = time.process_time() - start
    accuracy, loss = evaluate(model, held_out)
    return {
        "network": name,
        "data": "whole" if folder else "shipped",
        "seed": seed,
        "accuracy": accuracy,
        "loss": round(loss, 6),
        "seconds": round(seconds, 1),
    }


def record(path, runs):
    """Replaces these runs in a file of results, and keeps its others."""
    key = lambda run: (run["data"], run["network"], run["seed"])
    old = json.loads(path.read_text())["runs"] if path.exists() else []
    merged = {key(run): run for run in old + runs}
    versions = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
    head = {"date": datetime.date.today().isoformat(), "threads": 1, **versions}
    lines = ",\n".join(json.dumps(merged[name]) for name in sorted(merged))
    text = json.dumps(head)[:-1] + ', "runs": [\n' + lines + "\n]}\n"
    path.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="+", choices=RECIPES)
    parser.add_argument("--data", help="a folder with the four files of whole MNIST")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for network in options.networks:
        for seed in options.seeds:
            runs.append(run(network, options.data, seed))
            print(json.dumps(runs[-1]), flush=True)
            if options.output:
                record(options.output, runs)
