"""Trains document 2's head in PyTorch on features that `striate photos vgg16 --cache-features` computed.

    python dogs_head.py FEATURES LABELS.CSV RUN...

For each run folder of ours, the photos of its answers.csv are held out, so both train on the same photos and the same
features; initial weights and order are PyTorch's own, of seed 1. Prints the valid accuracy after each of 25 epochs of
the document's recipe (Adam 1e-3, batches of 32), one JSON line a run, and the mean of the last and of the best.
"""

import csv
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

EPOCHS = 25


def train(features, labels, held_out):
    torch.manual_seed(1)
    head = nn.Sequential(
        nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 120)
    )
    adam = torch.optim.Adam(head.parameters(), 1e-3)
    x, y = features[~held_out], labels[~held_out]
    accuracies = []
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(y)).split(32):
            adam.zero_grad()
            F.cross_entropy(head(x[chosen]), y[chosen]).backward()
            adam.step()
        with torch.no_grad():
            right = head(features[held_out]).argmax(1) == labels[held_out]
        accuracies.append(round(right.double().mean().item(), 4))
    return accuracies


if __name__ == "__main__":
    tensors = load_file(sys.argv[1])
    ids = [row["id"] for row in csv.DictReader(open(sys.argv[2]))]
    torch.set_num_threads(1)
    runs = []
    for folder in map(Path, sys.argv[3:]):
        photos = {row["photo"] for row in csv.DictReader(open(folder / "answers.csv"))}
        held_out = torch.tensor([name in photos for name in ids])
        runs.append(train(tensors["features"], tensors["labels"].long(), held_out))
        print(json.dumps({"run": folder.name, "held_out": int(held_out.sum()), "accuracy": runs[-1]}), flush=True)
    mean = lambda values: round(sum(values) / len(runs), 4)
    print(json.dumps({"last": mean([run[-1] for run in runs]), "best": mean([max(run) for run in runs])}))
