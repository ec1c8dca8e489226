"""The form of each task's models in the protocol."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import numpy as np
import pytest

from inferox.core import BATCH, DataType, DeviceId, RequestError, Signature, TensorSpec
from inferox.engine import ModelInfo
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.exposed_tasks import expose
from inferox.server.oip.model_description import configure_model, describe_model
from inferox.server.oip.wire_tensor import WireTensor


def info_of(task: str, **more: Any) -> ModelInfo:
    return ModelInfo("model", "1", task, "torch/safetensors/fp32/padded", DeviceId.cpu(), None, **more)


def raw_of(*dims: Any, dtype: DataType = DataType.F32, limits: Any = None) -> ModelInfo:
    spec = TensorSpec("x", dtype, dims)
    return info_of("raw", signature=Signature((spec,), (spec,), limits or {}))


def tensors_of(**arrays: np.ndarray[Any, Any]) -> dict[str, WireTensor]:
    return {name: WireTensor(name, Datatype.FP32, array) for name, array in arrays.items()}


@pytest.mark.parametrize("dtype", list(DataType))
def test_every_type_of_a_model_has_a_name(dtype: DataType) -> None:
    info = raw_of(BATCH, 3, dtype=dtype)
    (described,) = describe_model(info, expose(info))["inputs"]
    assert Datatype(described["datatype"]).size_bytes == dtype.size
    (configured,) = configure_model(info, expose(info))["input"]
    assert configured["data_type"] == f"TYPE_{described['datatype']}"


def test_rows_are_counted_where_every_tensor_has_them() -> None:
    info = raw_of(BATCH, "seq", 3, limits={BATCH: 4})
    exposure = expose(info)
    assert describe_model(info, exposure)["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1, 3]}]
    configured = configure_model(info, exposure)
    assert (configured["max_batch_size"], configured["input"][0]["dims"]) == (4, [-1, 3])
    exposure.read(tensors_of(x=np.zeros((4, 2, 3), np.float32)))
    for rows in (0, 5):
        with pytest.raises(RequestError, match=f"from 1 to 4 rows, but has {rows}"):
            exposure.read(tensors_of(x=np.zeros((rows, 2, 3), np.float32)))


def test_a_model_without_rows_takes_its_tensors_as_they_are() -> None:
    info = raw_of("length")
    configured = configure_model(info, expose(info))
    assert (configured["max_batch_size"], configured["input"][0]["dims"]) == (0, [-1])
    (call,) = expose(info).read(tensors_of(x=np.zeros(3000, np.float32)))
    assert call["x"].shape == (3000,)
    with pytest.raises(RequestError, match=r"must have the shape \[-1\], but has \[3, 1\]"):
        expose(info).read(tensors_of(x=np.zeros((3, 1), np.float32)))


def test_rows_of_one_element_may_have_an_axis_for_it() -> None:
    info = raw_of(BATCH)
    (configured,) = configure_model(info, expose(info))["input"]
    assert (configured["dims"], configured["reshape"]) == ([1], {"shape": []})
    for shape in ((3,), (3, 1)):
        (call,) = expose(info).read(tensors_of(x=np.zeros(shape, np.float32)))
        assert call["x"].shape == (3,)


def test_what_cannot_be_computed_is_refused_by_name() -> None:
    bf16 = expose(raw_of(BATCH, dtype=DataType.BF16))
    with pytest.raises(RequestError, match="tensors of BF16, such as 'x'"):
        bf16.read({"x": WireTensor("x", Datatype.BF16, np.zeros(1, np.float32))})
    with pytest.raises(RequestError, match="a model for the task sum, which this protocol does not support"):
        expose(info_of("sum"))


def images_of(*contents: bytes) -> dict[str, WireTensor]:
    return {"image": WireTensor("image", Datatype.BYTES, np.array(contents, np.object_))}


def test_images_are_files_or_data_uris() -> None:
    exposure, content = expose(info_of("image-classify")), bytes(range(256))
    encoded = b64encode(content)
    uris = [head + encoded for head in (b"data:image/png;base64,", b"data:;base64,", b"DATA:image/x;a=b;BASE64,")]
    # Anything else is for the reader of images to refuse: no address is opened.
    others = [content, encoded, b"http://127.0.0.1/a.png", b"file:///a.png", b"data", b""]
    assert exposure.read(images_of(*uris, *others)) == [content] * len(uris) + others


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"data:image/png;base64,AAA", "image 1 is not base64"),
        (b"data:image/png;base64,A\xff==", "image 1 is not base64"),
        (b"data:image/png,AAAA", "image 1 must be the bytes of a file, or a URI such as data:image/png;base64,"),
        (b"data:image/png;base64", "image 1 must be the bytes of a file, or a URI such as data:image/png;base64,"),
    ],
)
def test_a_data_uri_that_is_wrong_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(RequestError, match=what) as caught:
        expose(info_of("image-classify")).read(images_of(b"", content))
    assert (caught.value.item, caught.value.item_label) == (1, "image {}")
