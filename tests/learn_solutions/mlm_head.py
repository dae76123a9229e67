import torch
import torch.nn.functional as F
from torch import nn

from learn_solutions import right, wrong


class Base(nn.Module):
    eps = 1e-12

    def __init__(self, word_embeddings):
        super().__init__()
        count, width = word_embeddings.weight.shape
        self.word_embeddings = word_embeddings
        self.dense = nn.Linear(width, width)
        self.LayerNorm = nn.LayerNorm(width, eps=self.eps)
        self.bias = nn.Parameter(torch.zeros(count))

    def transform(self, hidden):
        return self.LayerNorm(F.gelu(self.dense(hidden)))

    def forward(self, hidden):
        return F.linear(self.transform(hidden), self.word_embeddings.weight, self.bias)


@right
class right_1(Base):  # noqa: N801
    pass


@right
class right_2(Base):  # noqa: N801
    """A decoder whose weight is the parameter of the embeddings."""

    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        del self.word_embeddings
        self.decoder = nn.Linear(*word_embeddings.weight.shape[::-1], bias=False)
        self.decoder.weight = word_embeddings.weight

    def forward(self, hidden):
        return self.decoder(self.transform(hidden)) + self.bias


@right
class right_3(Base):  # noqa: N801
    """The table as a function, which is no part of the module."""

    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        del self.word_embeddings
        self.table = lambda: word_embeddings.weight

    def forward(self, hidden):
        return torch.einsum("bse,ve->bsv", self.transform(hidden), self.table()) + self.bias


@wrong("the weights are not tied")
class OwnTable(Base):
    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        self.decoder = nn.Linear(*word_embeddings.weight.shape[::-1], bias=False)

    def forward(self, hidden):
        return self.decoder(self.transform(hidden)) + self.bias


@wrong("your decoder has a copy of the table")
class Copy(Base):
    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        self.table = word_embeddings.weight.detach().clone()

    def forward(self, hidden):
        return self.transform(hidden) @ self.table.T + self.bias


@wrong("no gradient for the table of embeddings")
class Detached(Base):
    def forward(self, hidden):
        return self.transform(hidden) @ self.word_embeddings.weight.data.T + self.bias


@wrong("there is no parameter `bias` (11,)")
class BiasIsATensor(Base):
    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        del self.bias
        self.bias = torch.zeros(len(word_embeddings.weight))


@wrong("`bias` has the shape (8,), and (11,) is right")
class BiasOfE(Base):
    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        self.bias = nn.Parameter(torch.zeros(word_embeddings.weight.shape[1]))


@wrong("the eps of LayerNorm is 1e-05")
class LargeEps(Base):
    eps = 1e-5


@wrong("the activation (GELU) is missing")
class NoActivation(Base):
    def transform(self, hidden):
        return self.LayerNorm(self.dense(hidden))


@wrong("the activation is ReLU")
class Relu(Base):
    def transform(self, hidden):
        return self.LayerNorm(F.relu(self.dense(hidden)))


@wrong("LayerNorm is not used")
class NoNorm(Base):
    def transform(self, hidden):
        return F.gelu(self.dense(hidden))


@wrong("the bias of the words is not added")
class NoBias(Base):
    def forward(self, hidden):
        return self.transform(hidden) @ self.word_embeddings.weight.T


@wrong("the bias is added twice")
class BiasTwice(Base):
    def forward(self, hidden):
        return super().forward(hidden) + self.bias


@wrong("`bias` is not 0 at first")
class RandomBias(Base):
    def __init__(self, word_embeddings):
        super().__init__(word_embeddings)
        nn.init.normal_(self.bias)


@wrong("these are probabilities")
class Softmax(Base):
    def forward(self, hidden):
        return super().forward(hidden).softmax(-1)


@wrong("is a `return` missing?")
class ReturnsNothing(Base):
    def forward(self, hidden):
        super().forward(hidden)
