"""The documents' networks in PyTorch, under the names that striate_models gives their layers."""

import torch
import torchvision
from torch import nn


def conv(inputs, outputs, kernel=3, **settings):
    return nn.Conv2d(inputs, outputs, kernel, **settings)


class FourBlocks(nn.Module):
    """Document 1: four blocks of convolution, batch norm and ReLU, for 3x32x32 in ten classes."""

    CHANNELS = [3, 16, 24, 32, 48]

    def __init__(self, pooled, *kernels):
        super().__init__()
        layers = []
        for inputs, outputs, settings in zip(self.CHANNELS, self.CHANNELS[1:], kernels):
            layers += [conv(inputs, outputs, **settings), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] * pooled
        self.model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), conv(48, 10, 1), nn.Flatten())

    def forward(self, x):
        return self.model(x)


def vgg4():
    return FourBlocks(True, *[{"padding": 1}] * 4)


def vgg4_dilation():
    return FourBlocks(False, *[{"padding": 1, "dilation": d} for d in (1, 2, 4, 8)])


def vgg4_dilation_same():
    return FourBlocks(False, *[{"padding": d, "dilation": d} for d in (1, 2, 4, 8)])


def vgg4_large_filter():
    return FourBlocks(False, *[{"kernel": 3 + 2 * i, "padding": 1 + i} for i in range(4)])


def blocks(channels, counts, norm=False):
    """Blocks of 3x3 convolutions with ReLU, each max-pooled."""
    layers, inputs = [], 3
    for outputs, count in zip(channels, counts):
        for _ in range(count):
            layers += [conv(inputs, outputs, padding=1), *[nn.BatchNorm2d(outputs)] * norm, nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return layers


def head():
    hidden = [nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *hidden, nn.Linear(512, 120)]


def dogs_vgg(norm=False):
    return nn.Sequential(*blocks([64, 128, 256, 512], [2, 2, 2, 2], norm), *head())


class Vgg16(nn.Module):
    """Document 2: VGG16's convolutions and a head for 120 breeds."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(*blocks([64, 128, 256, 512, 512], [2, 2, 3, 3, 3]))
        self.head = nn.Sequential(*head())

    def forward(self, x):
        return self.head(self.features(x))


class Mlp(nn.Module):
    """Document 3: 784-500-10."""

    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(784, 500)
        self.l2 = nn.Linear(500, 10)

    def forward(self, x):
        return self.l2(self.l1(x.flatten(1)).relu())


class Cnn(nn.Module):
    """Document 3: two convolutions and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Sequential(conv(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.conv2 = nn.Sequential(conv(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        self.out = nn.Linear(1568, 10)

    def forward(self, x):
        return self.out(self.conv2(self.conv1(x)).flatten(1))


class Net(nn.Module):
    """Document 4: seven convolutions down to one pixel, with or without a ReLU on the logits."""

    CHANNELS = [1, 32, 64, 128, 256, 512, 1024, 10]

    def __init__(self, relu_on_logits):
        super().__init__()
        self.relu_on_logits = relu_on_logits
        for i, pair in enumerate(zip(self.CHANNELS, self.CHANNELS[1:])):
            self.add_module(f"conv{i + 1}", conv(*pair, padding=1 if i < 4 else 0))

    def forward(self, x):
        for i, convolution in enumerate(self.children()):
            x = convolution(x)
            if i < 6 or self.relu_on_logits:
                x = x.relu()
            if i in (1, 3):
                x = nn.functional.max_pool2d(x, 2)
        return x.flatten(1).log_softmax(1)


def same(inputs, outputs, kernel=3, stride=1, dilation=1):
    padding = dilation * (kernel // 2)
    return conv(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)


def resnet18(channels=(64, 128, 256, 512), first=None, rest=None):
    """torchvision's ResNet-18 with a 3x3 convolution first and no pooling, in ten classes. `first` has the settings of
    each stage's first convolution, `rest` those of its other three."""
    net = torchvision.models.resnet18(num_classes=10)
    net.maxpool = nn.Identity()
    net.conv1, net.bn1 = same(3, channels[0]), nn.BatchNorm2d(channels[0])
    first = first or [{}] + [{"stride": 2}] * 3
    rest = rest or [{}] * 4
    inputs = channels[0]
    for i, outputs in enumerate(channels):
        one, two = getattr(net, f"layer{i + 1}")
        one.conv1 = same(inputs, outputs, **first[i])
        one.conv2, two.conv1, two.conv2 = [same(outputs, outputs, **rest[i]) for _ in range(3)]
        one.bn1, one.bn2, two.bn1, two.bn2 = [nn.BatchNorm2d(outputs) for _ in range(4)]
        one.downsample = None
        if inputs != outputs or "stride" in first[i]:
            thinned = conv(inputs, outputs, 1, stride=first[i].get("stride", 1), bias=False)
            one.downsample = nn.Sequential(thinned, nn.BatchNorm2d(outputs))
        inputs = outputs
    net.fc = nn.Linear(inputs, 10)
    return net


def resnet18_dilation():
    before, after = ([{"dilation": d} for d in ds] for ds in ((1, 1, 2, 4), (1, 2, 4, 8)))
    return resnet18((64, 60, 60, 60), before, after)


def resnet18_large_kernel():
    kernels = [{"kernel": k} for k in (3, 5, 7, 9)]
    return resnet18((52, 40, 24, 20), kernels, kernels)


def adam(lr):
    return lambda net: torch.optim.Adam(net.parameters(), lr=lr)


def sgd(net):
    return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)


def fastai_adam(lr):
    """fastai's default: AdamW without decay for norms and biases."""

    def make(net):
        decayed = [p for p in net.parameters() if p.dim() > 1]
        others = [p for p in net.parameters() if p.dim() == 1]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), eps=1e-5)

    return make


# By their names in the catalogue: the network and its document's optimizer.
NETWORKS = {
    "vgg4": (vgg4, fastai_adam(1e-2)),
    "vgg4-dilation": (vgg4_dilation, fastai_adam(1e-2)),
    "vgg4-dilation-same": (vgg4_dilation_same, fastai_adam(1e-2)),
    "vgg4-large-filter": (vgg4_large_filter, fastai_adam(5e-3)),
    "resnet18": (resnet18, fastai_adam(1e-2)),
    "resnet18-dilation": (resnet18_dilation, fastai_adam(1e-2)),
    "resnet18-large-kernel": (resnet18_large_kernel, fastai_adam(1e-2)),
    "resnet18-imagenet": (torchvision.models.resnet18, fastai_adam(1e-2)),
    "dogs-vgg": (dogs_vgg, adam(1e-3)),
    # Adam's small eps would make steps of the rounding errors that are the gradient of a bias before a norm.
    "dogs-vgg-norm": (lambda: dogs_vgg(norm=True), fastai_adam(1e-3)),
    "vgg16": (Vgg16, adam(1e-3)),
    "mnist-mlp": (Mlp, adam(1e-3)),
    "mnist-cnn": (Cnn, adam(1e-2)),
    "mnist-net": (lambda: Net(True), sgd),
    "mnist-net-free": (lambda: Net(False), sgd),
}
