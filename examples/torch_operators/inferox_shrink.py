"""Registers the operator ``shrink::soft``, which moves numbers towards zero, as models of sparse signals do."""

from __future__ import annotations

import torch


@torch.library.custom_op("shrink::soft", mutates_args=())
def soft(x: torch.Tensor, threshold: float) -> torch.Tensor:
    """Moves each number towards zero by the threshold; smaller ones become zero."""
    return torch.sign(x) * torch.clamp(torch.abs(x) - threshold, min=0.0)


@soft.register_fake
def _(x: torch.Tensor, threshold: float) -> torch.Tensor:  # noqa: ARG001 - the signature is the operator's
    return torch.empty_like(x)


class Shrink(torch.nn.Module):
    """A layer whose outputs are shrunk by the operator."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Computes the layer, and shrinks its outputs."""
        shrunk: torch.Tensor = torch.ops.shrink.soft(self.layer(x), 0.25)
        return shrunk
