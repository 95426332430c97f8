"""An LSTM that tags each word of a sentence, from Huang et al. 2015; what is padded is masked."""

import torch
from torch import nn

WORDS, TAGS, PAD = 50, 6, -100


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.lstm = nn.LSTM(16, 12, batch_first=True, bidirectional=True, bias=False)
        self.drop, self.end = nn.Dropout(0.3), nn.Linear(24, TAGS)

    def forward(self, words, mask):
        x = self.words(words) * mask[..., None]
        return self.end(self.drop(self.lstm(x)[0])).transpose(1, 2)


model = Tagger
loss = nn.CrossEntropyLoss(ignore_index=PAD)
batch_size = 32


def optimizer(parameters):
    return torch.optim.SGD(parameters, lr=0.5)
