"""Two blocks of a transformer's encoder, from Vaswani et al. 2017, that classify a sequence."""

import torch
from torch import nn

WORDS, LENGTH, WIDTH, HEADS = 40, 12, 32, 4


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, mask):
        def heads(z):
            return z.view(len(x), LENGTH, HEADS, -1).transpose(1, 2)

        q, k, v = heads(self.q(x)), heads(self.k(x)), heads(self.v(x))
        scores = q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5
        scores = scores + (mask[:, None, None, :] - 1) * 1e9
        z = scores.softmax(-1) @ v
        return self.out(z.transpose(1, 2).reshape(len(x), LENGTH, WIDTH))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.norm1 = Attention(), nn.LayerNorm(WIDTH)
        self.one, self.two = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm2, self.drop = nn.LayerNorm(WIDTH), nn.Dropout(0.1)

    def forward(self, x, mask):
        x = self.norm1(x + self.drop(self.attention(x, mask)))
        return self.norm2(x + self.drop(self.two(torch.relu(self.one(x)))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.end = nn.Linear(WIDTH, 5)

    def forward(self, words, places, mask):
        x = self.words(words) + self.places(places)
        for block in self.blocks:
            x = block(x, mask)
        return self.end(x[:, 0])


model = Encoder
loss = nn.CrossEntropyLoss()
batch_size = 32
step_scheduler_per = "batch"


def optimizer(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)


def scheduler(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 10))


def clip(parameters):
    nn.utils.clip_grad_norm_(parameters, 1.0)
