"""`turnout.dates.DateParts` in ONNX: the same sums in the same order in FP64, given on in FP32 like other numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import (
    OnnxAdd,
    OnnxCast,
    OnnxConcat,
    OnnxDiv,
    OnnxFloor,
    OnnxMul,
    OnnxReshape,
    OnnxSub,
    OnnxUnsqueeze,
)
from skl2onnx.common.data_types import FloatTensorType

from turnout.dates import DAY_S, YEAR_DAYS, DateParts

__all__ = ["register"]

_ALIAS = "TurnoutDateParts"


def register() -> None:
    """Make the converter known."""
    update_registered_converter(DateParts, _ALIAS, _shapes, _convert, parser=_parse)


def _parse(scope: Any, model: DateParts, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Say at once that what follows gets FP32: else the converter takes it for FP64, as the times are."""
    operator = scope.declare_local_operator(_ALIAS, model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("parts", FloatTensorType([None, 3 * model.n_features_in_])))
    return list(operator.outputs)


def _shapes(operator: Any) -> None:
    width = 3 * operator.inputs[0].type.shape[1]
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    opset, seconds, width = container.target_opset, operator.inputs[0], operator.inputs[0].type.shape[1]

    def number(value: float) -> Any:
        return np.array([value], dtype=np.float64)

    def rest(value: Any, unit: float) -> tuple[Any, Any]:
        """How many whole units, and how much of the next one, as a share."""
        shares = OnnxDiv(value, number(unit), op_version=opset)
        whole = OnnxFloor(shares, op_version=opset)
        return whole, OnnxSub(shares, whole, op_version=opset)

    days, _ = rest(seconds, DAY_S)
    since = OnnxSub(seconds, OnnxMul(days, number(DAY_S), op_version=opset), op_version=opset)
    hour = OnnxDiv(since, number(3600), op_version=opset)
    shifted = OnnxAdd(days, number(3), op_version=opset)
    weeks, _ = rest(shifted, 7)
    weekday = OnnxSub(shifted, OnnxMul(number(7), weeks, op_version=opset), op_version=opset)
    _, season = rest(days, YEAR_DAYS)
    deep = [OnnxUnsqueeze(part, np.array([2]), op_version=opset) for part in (hour, weekday, season)]
    side_by_side = OnnxConcat(*deep, axis=2, op_version=opset)
    flat = OnnxReshape(side_by_side, np.array([-1, 3 * width]), op_version=opset)
    given = OnnxCast(flat, to=TensorProto.FLOAT, op_version=opset, output_names=[operator.outputs[0].full_name])
    given.add_to(scope, container)
