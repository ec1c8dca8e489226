"""Hand-written modules, as users have them."""

from __future__ import annotations

import numpy as np
import torch


class SmallCNN(torch.nn.Module):
    """A convolutional network with batch norm, whose running statistics are buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Linear(8, 5)
        self.norm.running_mean = torch.randn(8)
        self.norm.running_var = torch.rand(8) + 0.5

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(torch.relu(self.norm(self.conv(image))).mean(dim=(2, 3)))
        return found


class SmallLSTM(torch.nn.Module):
    """A recurrent network over numbers; ``torch.export`` captures it for one length, but for ONNX for all."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(4, 6, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(12, 2)

    def forward(self, steps: torch.Tensor) -> dict[str, torch.Tensor]:
        states, _ = self.lstm(steps)
        return {"states": states, "scores": self.head(states[:, -1])}


class Counting(torch.nn.Module):
    """A module that keeps a state."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = torch.nn.Buffer(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return x + self.calls


class Branching(torch.nn.Module):
    """Takes one of two ways by the values that it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x * 2
        return -x


class Halving(torch.nn.Module):
    """Repeats a step until the values are small."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while x.abs().max() > 1:
            x = x / 2
        return x


class Overwriting(torch.nn.Module):
    """A module that writes to its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.add_(1)


class Stepping(torch.nn.Module):
    """A loop over the steps, which a capture unrolls for the number of steps in its example."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.select(1, 0)
        for step in range(x.shape[1]):
            state = torch.tanh(self.cell(state) + x.select(1, step))
        return state


class TiedAutoencoder(torch.nn.Module):
    """Two layers that share one weight, two inputs, and an integer one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(20, 6)
        self.unembed = torch.nn.Linear(6, 20, bias=False)
        self.unembed.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.unembed(self.embed(tokens)) * scale[:, None, None]
        return found


def make_cnn() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    torch.manual_seed(1)
    return SmallCNN(), {"image": np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)}


def make_lstm() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(2)
    return SmallLSTM(), {"steps": torch.randn(1, 7, 4)}


def make_stepping(steps: int = 3) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(5)
    return Stepping(), {"x": torch.randn(2, steps, 4)}


def make_tied() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    torch.manual_seed(3)
    return TiedAutoencoder(), {"tokens": np.arange(10).reshape(2, 5), "scale": np.array([1.0, 2.0], np.float32)}


def make_bare_module() -> torch.nn.Module:
    return SmallCNN()


def make_nothing() -> int:
    return 3


def fail() -> torch.nn.Module:
    raise RuntimeError("no weights today")


def make_wrong_names() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    return SmallCNN(), {"picture": np.zeros((2, 3, 8, 8), np.float32)}


def make_wrong_shape() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    return SmallCNN(), {"image": np.zeros((2, 4, 8, 8), np.float32)}


def make_nan() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    model, examples = make_cnn()
    model.get_parameter("head.bias").data[0] = float("nan")
    return model, examples
