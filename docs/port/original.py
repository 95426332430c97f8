import torch
from torch import nn


def model():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(8 * 14 * 14, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def preprocess(images):
    return torch.tensor(images[:, None] / 255.0, dtype=torch.float32)


loss = nn.CrossEntropyLoss()
batch_size = 64


def optimizer(parameters):
    return torch.optim.Adam(parameters, lr=1e-3, weight_decay=1e-4)


def scheduler(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 10, 0.1)
