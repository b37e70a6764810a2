"""From a torch model to the ONNX graphs: fp32 as a reference, int8 as what is served."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.model import GuardModel

HALF: Final = ".half"  # behind the name of a weight: the same in fp16
ROUNDED: Final = ".int8"  # the same in int8, one scale a row
SCALE: Final = ".scale"
OPSET = 20  # the newest whose kernels every onnxruntime provider of today registers


def export_fp32(model: GuardModel, file: Path) -> None:
    """Trace the model into `file` with free batch and length dimensions, named as `models.classifier` expects."""
    model = model.eval().cpu()
    model.encoder.set_attn_implementation("eager")  # the plainest graph; onnxruntime runs both equally fast
    example = (torch.randint(1, 1000, (2, 24)), torch.ones(2, 24, dtype=torch.int64))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=512)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits", "pooled"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    graph = program.model_proto
    # the exporter calls the word lookup's own value "embedding", the name that our second output is to have
    _rename(graph, "embedding", "word_embedding")
    _rename(graph, "pooled", "embedding")
    onnx.checker.check_model(graph)
    _forget_sources(graph)
    onnx.save(graph, str(file))


def _forget_sources(graph: onnx.ModelProto) -> None:
    """Drop the stack traces that torch leaves at every node: they hold paths of the machine that exported."""
    for part in (graph.graph, *graph.graph.node, *graph.graph.value_info, *graph.graph.initializer, *graph.functions):
        del part.metadata_props[:]
        part.doc_string = ""


def _rename(graph: onnx.ModelProto, old: str, new: str) -> None:
    for node in graph.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*graph.graph.output, *graph.graph.value_info):
        if value.name == old:
            value.name = new


def quantise(fp32: Path, int8: Path) -> None:
    """Write the int8 graph: weights of every matrix product per channel, embeddings per row.

    Activations are quantised as they come, one scale a tensor, so `models.classifier` runs one window at a
    time: a scale shared with other windows would make a score depend on them. The two layers behind the encoder
    compute in fp32: one scale would have to serve a mean, a maximum and a token, and nothing behind them averages
    an error away. Of the first of them the weights alone are rounded, one scale a unit; the position embeddings are
    stored as fp16.
    """
    graph = onnx.load(str(fp32))
    heads = _products_behind_the_encoder(graph)
    _quantise_word_embeddings(graph)
    _round_rows(graph, "hidden.weight")
    _halve(graph, "encoder.embeddings.position_embeddings.weight")
    temporary = int8.with_suffix(".tmp.onnx")
    onnx.save(graph, str(temporary))
    quantize_dynamic(
        str(temporary),
        str(int8),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=heads,
        extra_options={"MatMulConstBOnly": True},
    )
    temporary.unlink()


def _products_behind_the_encoder(graph: onnx.ModelProto) -> list[str]:
    """Names of the product nodes of the pooled states: the encoder's own are no Gemm, having three dimensions."""
    names = [node.name for node in graph.graph.node if node.op_type == "Gemm"]
    if len(names) != 2:
        raise RuntimeError(f"cannot find the layers behind the encoder among {len(names)} products")
    return names + [f"{name}_MatMul" for name in names]  # the quantiser splits a Gemm and names the product so


def _halve(graph: onnx.ModelProto, name: str) -> None:
    """Store a weight as fp16; the runtime makes it fp32 again when it loads the graph."""
    half = numpy_helper.from_array(_taken(graph, name).astype(np.float16), name + HALF)
    graph.graph.initializer.append(half)
    _insert(graph, 0, [helper.make_node("Cast", [half.name], [name], f"{name}.cast", to=onnx.TensorProto.FLOAT)])


def _round_rows(graph: onnx.ModelProto, name: str) -> None:
    """Store a weight as int8 with one scale a row; the runtime makes it fp32 again when it loads the graph."""
    stored = zip((name + ROUNDED, name + SCALE), _rounded(_taken(graph, name)), strict=True)
    graph.graph.initializer.extend(numpy_helper.from_array(array, label) for label, array in stored)
    values = f"{name}.values"
    nodes = [
        helper.make_node("Cast", [name + ROUNDED], [values], f"{name}.cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [values, name + SCALE], [name], f"{name}.dequantise"),
    ]
    _insert(graph, 0, nodes)


def _insert(graph: onnx.ModelProto, position: int, nodes: Sequence[onnx.NodeProto]) -> None:
    for place, node in enumerate(nodes, start=position):
        graph.graph.node.insert(place, node)


def _taken(graph: onnx.ModelProto, name: str) -> npt.NDArray[np.float32]:
    """The weight of this name, which leaves the graph."""
    weight = next(tensor for tensor in graph.graph.initializer if tensor.name == name)
    graph.graph.initializer.remove(weight)
    return np.asarray(numpy_helper.to_array(weight), dtype=np.float32)


def _rounded(rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """int8 [N, D] and the scale of each row, fp32 [N, 1]."""
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-8).astype(np.float32) / 127.0
    return np.clip(np.rint(rows / scales), -127, 127).astype(np.int8), scales


def _quantise_word_embeddings(graph: onnx.ModelProto) -> None:
    """Store the word embeddings as int8 with one scale a word, and look both up.

    onnxruntime's own Gather quantisation has one scale for the whole table, which a few large vectors spoil.
    """
    gather = next(node for node in graph.graph.node if node.op_type == "Gather" and node.input[1] == "input_ids")
    rounded, scales = _rounded(_taken(graph, gather.input[0]))
    out, ids = gather.output[0], gather.input[1]
    lookup = [
        helper.make_node("Gather", ["word_int8", ids], ["word_rows"], name="word_lookup", axis=0),
        helper.make_node("Cast", ["word_rows"], ["word_values"], name="word_cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Gather", ["word_scale", ids], ["word_factors"], name="word_scale_lookup", axis=0),
        helper.make_node("Mul", ["word_values", "word_factors"], [out], name="word_dequantise"),
    ]
    position = list(graph.graph.node).index(gather)
    graph.graph.node.remove(gather)
    _insert(graph, position, lookup)
    graph.graph.initializer.extend(
        [numpy_helper.from_array(rounded, "word_int8"), numpy_helper.from_array(scales, "word_scale")]
    )
