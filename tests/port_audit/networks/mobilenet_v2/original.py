"""MobileNetV2 for small images, from Sandler et al. 2018: inverted residuals, ReLU6."""

import torch
from torch import nn

WIDTH = 1.0
# Expansion, channels, how often, stride of the first; strides of the first two are 1 here.
STAGES = [
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]


def scaled(channels):
    return max(4, int(channels * WIDTH))


def conv(into, out, kernel=1, stride=1, groups=1, act=True):
    parts = [
        nn.Conv2d(into, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*parts, *([nn.ReLU6()] if act else []))


class Inverted(nn.Module):
    def __init__(self, into, out, stride, expansion):
        super().__init__()
        hidden = into * expansion
        self.adds = stride == 1 and into == out
        self.layers = nn.Sequential(
            *([conv(into, hidden)] if expansion != 1 else []),
            conv(hidden, hidden, 3, stride, groups=hidden),
            conv(hidden, out, act=False),
        )

    def forward(self, x):
        z = self.layers(x)
        return x + z if self.adds else z


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        into = scaled(32)
        parts = [conv(3, into, 3)]
        for expansion, channels, count, stride in STAGES:
            for index in range(count):
                out = scaled(channels)
                parts.append(Inverted(into, out, 1 if index else stride, expansion))
                into = out
        last = scaled(1280)
        self.features = nn.Sequential(*parts, conv(into, last))
        self.drop, self.end = nn.Dropout(0.2), nn.Linear(last, 10)

    def forward(self, x):
        return self.end(self.drop(self.features(x).mean((2, 3))))


model = MobileNetV2
loss = nn.CrossEntropyLoss(label_smoothing=0.1)
batch_size = 32


def optimizer(parameters):
    return torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.9)
