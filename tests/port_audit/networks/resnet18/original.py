"""ResNet-18 for small images, from He et al. 2015: a 3x3 stem, no pooling before the blocks."""

import torch
from torch import nn

WIDTH = 64


class Block(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride != 1 or into != out:
            projection = nn.Conv2d(into, out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out))

    def forward(self, x):
        z = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(z)) + self.shortcut(x))


def model():
    parts = [nn.Conv2d(3, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()]
    into = WIDTH
    for stage in range(4):
        for index in range(2):
            out = WIDTH * 2**stage
            parts.append(Block(into, out, 2 if stage and not index else 1))
            into = out
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(into, 10))


loss = nn.CrossEntropyLoss()
batch_size = 32


def optimizer(parameters):
    return torch.optim.SGD(parameters, lr=0.05)


def scheduler(optimizer):
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 2], 0.1)
