"""Exports share what does not depend on the model, and leave PyTorch and Python as they were."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest
import torch
from torch._export import utils
from torch.onnx._internal.exporter._registration import ONNXRegistry

from inferox.backends.onnx import exporter
from inferox.backends.onnx.exporter import quick_exports

ADD = torch.ops.aten.add.Tensor


def test_the_table_of_operators_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = ONNXRegistry.from_torchlib

    def count() -> ONNXRegistry:
        made.append(1)
        return make()

    counted = staticmethod(count)
    monkeypatch.setattr(exporter, "_tables", {})
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", counted)
    with suppress(ZeroDivisionError), quick_exports():
        first = ONNXRegistry.from_torchlib()
        first.register_op(ADD, lambda *items: items[0])
        second = ONNXRegistry.from_torchlib()
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert made == [1]
    assert first.opset_version == second.opset_version
    # Additions of one export do not appear in the next.
    assert [item.is_custom for item in first.get_decomps(ADD)].count(True) == 1
    assert second.is_registered(ADD)
    assert not any(item.is_custom for item in second.get_decomps(ADD))
    assert vars(ONNXRegistry)["from_torchlib"] is counted
    assert gc.isenabled()


def test_operators_are_looked_up_again_only_if_there_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[int] = []

    def count() -> None:
        looked_up.append(1)

    monkeypatch.setattr(utils, "_materialize_cpp_cia_ops", count)
    with suppress(ZeroDivisionError), quick_exports():
        found = utils._collect_all_valid_cia_ops()
        assert ADD not in found
        assert torch.ops.aten.linear.default in found
        assert len(looked_up) == 1
        utils._collect_all_valid_cia_ops()
        assert len(looked_up) == 1
        with torch.library._scoped_library("inferox_test_lookup", "FRAGMENT") as library:
            library.define("late(Tensor x) -> Tensor")
            library.impl("late", lambda x: x, "CompositeImplicitAutograd")
            assert torch.ops.inferox_test_lookup.late.default in utils._collect_all_valid_cia_ops()
        assert len(looked_up) == 2
        raise ZeroDivisionError
    assert utils._materialize_cpp_cia_ops is count
