"""The landmark model of MediaPipe 0.10.21, rewritten so that other runtimes can run it.

`face_landmark_with_attention.tflite` has seven outputs and 11 operators of three kinds that only MediaPipe knows. They
crop feature maps around the lips and the eyes, and bring the points found there back. Built-in operators take their
place here. Which points of the mesh an output stands for, and how large a crop is, the options of these operators say,
so that nothing about the model is written down twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

_MESH, _IRIS = 468, 5  # points
_EYE_RING = 16  # the first points of an eye are its ring
_ARITHMETIC = {"MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum"}  # others are called as their operators are


def rewrite(model: bytes) -> bytes:
    """Give the model one output of 478 points beside the face flag, and built-in operators only.

    Args:
        model: The content of `face_landmark_with_attention.tflite`. Its outputs are the mesh, lips, left eye, right
            eye, left iris, right iris and the face flag.

    Returns:
        A TFLite model of one input, (1, 192, 192, 3), and two outputs: (1, 1, 1, 1434) and (1, 1, 1, 1).
    """
    graph = _Graph(model)
    _merge_outputs(graph)
    _replace_operators(graph)
    return graph.packed()


class _Graph:
    """A TFLite model that operators are added to; `added` are those that are not in `part.operators` yet."""

    def __init__(self, model: bytes) -> None:
        self.model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
        self.part: Any = self.model.subgraphs[0]
        self.added: list[Any] = []
        self._codes: dict[int, int] = {}

    def value(self, tensor: int) -> _Value:
        return _Value(self, int(tensor))

    def custom_name(self, operator: Any) -> str:
        """What an operator that is not built in is called; empty for the others."""
        name = self.model.operatorCodes[operator.opcodeIndex].customCode
        return "" if name is None else str(name.decode())

    def constant(self, array: npt.ArrayLike) -> _Value:
        """A tensor of float32 or int32."""
        values = np.asarray(array)
        values = values.astype(np.float32 if values.dtype.kind == "f" else np.int32)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor = self._tensor(values.shape, "FLOAT32" if values.dtype == np.float32 else "INT32")
        self.part.tensors[tensor.at].buffer = len(self.model.buffers) - 1
        return tensor

    def add(
        self, operator: str, inputs: Sequence[_Value], shape: Sequence[int], options: Any = None, kind: str = "FLOAT32"
    ) -> _Value:
        """Add a built-in operator of one output."""
        output = self._tensor(shape, kind)
        added = schema.OperatorT()
        added.opcodeIndex = self._code(getattr(schema.BuiltinOperator, operator))
        added.inputs = np.array([each.at for each in inputs], np.int32)
        added.outputs = np.array([output.at], np.int32)
        if options is not None:
            added.builtinOptions = options
            added.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.added.append(added)
        return output

    def joined(self, values: Sequence[_Value], axis: int) -> _Value:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(values[0].shape)
        shape[axis] = sum(each.shape[axis] for each in values)
        return self.add("CONCATENATION", values, shape, options)

    def packed(self) -> bytes:
        builder = flatbuffers.Builder(1 << 22)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, shape: Sequence[int], kind: str) -> _Value:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), getattr(schema.TensorType, kind), 0
        tensor.name = f"added_{len(self.part.tensors)}".encode()
        self.part.tensors.append(tensor)
        return self.value(len(self.part.tensors) - 1)

    def _code(self, operator: int) -> int:
        if operator not in self._codes:
            code = schema.OperatorCodeT()
            # The older field has a byte; readers take the larger of the two.
            code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), 1
            self.model.operatorCodes.append(code)
            self._codes[operator] = len(self.model.operatorCodes) - 1
        return self._codes[operator]


@dataclass(frozen=True)
class _Value:
    """A tensor; arithmetic with it adds operators to its graph."""

    graph: _Graph
    at: int

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.graph.part.tensors[self.at].shape
        return () if shape is None else tuple(int(length) for length in shape)

    def __add__(self, other: _Value | float) -> _Value:
        return self.arithmetic("ADD", other)

    def __sub__(self, other: _Value | float) -> _Value:
        return self.arithmetic("SUB", other)

    def __mul__(self, other: _Value | float) -> _Value:
        return self.arithmetic("MUL", other)

    def __truediv__(self, other: _Value | float) -> _Value:
        return self.arithmetic("DIV", other)

    def arithmetic(self, operator: str, other: _Value | float) -> _Value:
        second = other if isinstance(other, _Value) else self.graph.constant(float(other))
        options = getattr(schema, f"{_ARITHMETIC.get(operator, operator.capitalize())}OptionsT")()
        return self.graph.add(operator, (self, second), np.broadcast_shapes(self.shape, second.shape), options)

    def clamped(self, high: float) -> _Value:
        """Not below 0 and not above `high`."""
        return self.arithmetic("MAXIMUM", 0.0).arithmetic("MINIMUM", high)

    def unary(self, operator: str) -> _Value:
        return self.graph.add(operator, (self,), self.shape)

    def equals(self, other: _Value) -> _Value:
        """1.0 where both are equal, else 0.0."""
        same = self.graph.add("EQUAL", (self, other), self.shape, schema.EqualOptionsT(), "BOOL")
        return same.cast("BOOL", "FLOAT32")

    def cast(self, source: str, target: str) -> _Value:
        options = schema.CastOptionsT()
        options.inDataType, options.outDataType = (getattr(schema.TensorType, kind) for kind in (source, target))
        return self.graph.add("CAST", (self,), self.shape, options, target)

    def reshaped(self, *shape: int) -> _Value:
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        return self.graph.add("RESHAPE", (self, self.graph.constant(shape)), shape, options)

    def reduced(self, operator: str, axis: int) -> _Value:
        options = schema.ReducerOptionsT()
        options.keepDims = True
        shape = [1 if at == axis else length for at, length in enumerate(self.shape)]
        return self.graph.add(operator, (self, self.graph.constant([axis])), shape, options)

    def taken(self, indices: _Value | Sequence[int] | npt.NDArray[np.int32], axis: int = 0) -> _Value:
        """Rows, or columns, by their numbers."""
        options = schema.GatherOptionsT()
        options.axis = axis
        which = indices if isinstance(indices, _Value) else self.graph.constant(np.asarray(indices, np.int32))
        shape = (*self.shape[:axis], *which.shape, *self.shape[axis + 1 :])
        return self.graph.add("GATHER", (self, which), shape, options)

    def columns(self) -> tuple[_Value, ...]:
        """Each column of a matrix, (n, 1)."""
        return tuple(self.taken([at], axis=1) for at in range(self.shape[1]))


def _merge_outputs(graph: _Graph) -> None:
    """One output of 478 points: those of lips and eyes replace x and y of the mesh, and the irises are appended.

    The z of an iris is the mean of the ring of its eye.
    """
    lips, left_eye, right_eye = (
        [int(point) for point in _options(each)["subset_idxs"]]
        for each in graph.part.operators
        if graph.custom_name(each) == "Landmarks2TransformMatrix"
    )
    outputs = [graph.value(tensor) for tensor in graph.part.outputs]
    flat = [each.reshaped(int(np.prod(each.shape))) for each in outputs[:-1]]
    depths = [flat[0].taken([3 * point + 2 for point in eye[:_EYE_RING]]).reduced("MEAN", 0)
              for eye in (left_eye, right_eye)]  # fmt: skip
    first = np.cumsum([0, *(each.shape[0] for each in flat)])
    where = np.zeros((_MESH + 2 * _IRIS, 3), np.int32)  # of each coordinate in what is joined below
    where[:_MESH] = np.arange(3 * _MESH).reshape(_MESH, 3)
    irises = [range(start, start + _IRIS) for start in (_MESH, _MESH + _IRIS)]
    for start, points in zip(first[1:], (lips, left_eye, right_eye, *irises), strict=False):
        where[points, :2] = start + np.arange(2 * len(points)).reshape(-1, 2)
    for at, iris in enumerate(irises):
        where[iris, 2] = first[-1] + at
    merged = graph.joined([*flat, *depths], 0).taken(where.reshape(-1)).reshaped(1, 1, 1, where.size)
    graph.part.operators += graph.added
    graph.added = []
    graph.part.outputs = np.array([merged.at, outputs[-1].at], np.int32)
    graph.model.signatureDefs = []


def _replace_operators(graph: _Graph) -> None:
    operators = []
    for operator in graph.part.operators:
        replace = _REPLACEMENTS.get(graph.custom_name(operator))
        if replace is None:
            operators.append(operator)
            continue
        replace(graph, _options(operator), *(graph.value(tensor) for tensor in operator.inputs))
        # What was added last gives what the replaced one gave.
        graph.added[-1].outputs = operator.outputs
        graph.part.tensors.pop()
        operators += graph.added
        graph.added = []
    graph.part.operators = operators


def _options(operator: Any) -> Any:
    return flexbuffers.Loads(bytes(operator.customOptions)) if operator.customOptions is not None else {}


def _crop_matrix(graph: _Graph, options: Any, mesh: _Value) -> None:
    """Landmarks2TransformMatrix: where around points of the mesh, turned with the line of the eyes, a crop lies."""
    xy = mesh.reshaped(_MESH, 3).taken([0, 1], axis=1)
    across = xy.taken([options["right_rotation_idx"]]) - xy.taken([options["left_rotation_idx"]])
    cos, sin = (across / (across * across).reduced("SUM", 1).unary("SQRT")).columns()
    x, y = xy.taken([int(point) for point in options["subset_idxs"]]).columns()
    level = x * cos + y * sin, y * cos - x * sin
    high, low = ([each.reduced(operator, 0) for each in level] for operator in ("REDUCE_MAX", "REDUCE_MIN"))
    middle_x, middle_y = ((a + b) * 0.5 for a, b in zip(high, low, strict=True))
    width, height = float(options["output_width"]), float(options["output_height"])
    scale_x = (high[0] - low[0]) * (float(options["scale_x"]) / width)
    scale_y = (high[1] - low[1]) * (float(options["scale_y"]) / height)
    xx, xy_, yx, yy = cos * scale_x, sin * scale_y * -1.0, sin * scale_x, cos * scale_y
    to_x = middle_x * cos - middle_y * sin - (xx * (width / 2) + xy_ * (height / 2))
    to_y = middle_y * cos + middle_x * sin - (yx * (width / 2) + yy * (height / 2))
    zero, rest = graph.constant([[0.0]]), graph.constant([[0.0, 0, 1, 0, 0, 0, 0, 1]])
    graph.joined([xx, xy_, zero, to_x, yx, yy, zero, to_y, rest], 1).reshaped(1, 4, 4)


def _rows_of(matrix: _Value) -> list[tuple[_Value, _Value, _Value]]:
    """What makes x and y of a (1, 4, 4) matrix: the factors of x and y, and what is added."""
    rows = matrix.reshaped(4, 4)
    return [(a, b, added) for a, b, _, added in (rows.taken([at]).columns() for at in (0, 1))]


def _crop(graph: _Graph, options: Any, features: _Value, matrix: _Value) -> None:
    """TransformTensorBilinear, version 2: pixels have their centres at halves; beyond the map everything is 0."""
    rows, columns = int(options["output_height"]), int(options["output_width"])
    _, height, width, channels = features.shape
    grid = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), -1).reshape(-1, 2)
    grid_x, grid_y = graph.constant(grid[:, :1]), graph.constant(grid[:, 1:])
    x, y = (grid_x * a + grid_y * b + added - 0.5 for a, b, added in _rows_of(matrix))
    near_x, near_y = x.clamped(width - 1), y.clamped(height - 1)
    inside = x.equals(near_x) * y.equals(near_y)
    left, top = near_x.unary("FLOOR"), near_y.unary("FLOOR")
    right, bottom = (left + 1.0).clamped(width - 1), (top + 1.0).clamped(height - 1)
    flat = features.reshaped(height * width, channels)

    def row(at_y: _Value) -> _Value:
        a, b = (
            flat.taken((at_y * float(width) + at_x).reshaped(rows * columns).cast("FLOAT32", "INT32"))
            for at_x in (left, right)
        )
        return a + (b - a) * (near_x - left)

    above, below = row(top), row(bottom)
    ((above + (below - above) * (near_y - top)) * inside).reshaped(1, rows, columns, channels)


def _points_back(graph: _Graph, options: Any, points: _Value, matrix: _Value) -> None:
    """TransformLandmarks: from a crop to the whole."""
    del options
    count = points.shape[1]
    x, y = points.reshaped(count, 2).columns()
    graph.joined([x * a + y * b + added for a, b, added in _rows_of(matrix)], 1).reshaped(1, count, 2)


_REPLACEMENTS: dict[str, Callable[..., None]] = {
    "Landmarks2TransformMatrix": _crop_matrix,
    "TransformTensorBilinear": _crop,
    "TransformLandmarks": _points_back,
}
