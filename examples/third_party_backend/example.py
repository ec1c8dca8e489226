"""A perceptron with nine of ten weights zero, as pruning leaves it."""

from __future__ import annotations

import torch


def make_pruned_mlp() -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Makes the module and example inputs."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(16, 256), torch.nn.ReLU(), torch.nn.Linear(256, 4), torch.nn.Tanh())
    with torch.no_grad():
        for name, values in module.named_parameters():
            if name.endswith("weight"):
                values.mul_(torch.rand_like(values) < 0.1)  # noqa: PLR2004 - one in ten
    return module, {"input": torch.randn(2, 16)}
