"""Check of a SavedModel before it is loaded: a graph is a program, and may read and write files."""

import math
from collections.abc import Iterator
from pathlib import Path

from liverseg_tf.errors import LiverSegError
from liverseg_tf.printable import printable

MAX_GRAPH_BYTES = 128 << 20  # weights are not part of the graph
MAX_CONSTANT_BYTES = 256 << 20

# what `liverseg export` writes with TensorFlow 2.13 to 2.21, and what other layers of Keras need;
# all of them compute their outputs from their inputs and do nothing else
_COMPUTATION_OPS = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin Assert AvgPool BatchMatMul BatchMatMulV2 BiasAdd
    BroadcastArgs BroadcastTo Cast Ceil ClipByValue Concat ConcatV2 Const Conv2D
    Conv2DBackpropInput Cumsum DecodePng DecodeRaw DepthToSpace DepthwiseConv2dNative
    DisableCopyOnRead Div DivNoNan Einsum Elu EncodePng EnsureShape Equal Erf Exp ExpandDims Expm1
    Fill Floor FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd
    GatherV2 Greater GreaterEqual Identity IdentityN If IsFinite IsInf IsNan L2Loss LeakyRelu Less
    LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool MaxPoolV2
    Maximum Mean Min Minimum MirrorPad Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad
    PadV2 PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod Range Rank
    ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBilinear ResizeNearestNeighbor
    ReverseV2 Rint Round Rsqrt Select SelectV2 Selu Shape ShapeN Sigmoid Sign Size Slice Softmax
    Softplus Softsign SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessWhile StopGradient StridedSlice StringLength Sub
    Substr Sum Tanh TensorListElementShape TensorListFromTensor TensorListGetItem TensorListLength
    TensorListReserve TensorListSetItem TensorListStack Tile Transpose Unpack VarHandleOp
    VarIsInitializedOp Where While ZerosLike
"""
# in the functions that write and read the variables; loading does not call them
_CHECKPOINT_OPS = """
    AssignVariableOp MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch
    StringJoin
"""
_COMPUTATION = frozenset(_COMPUTATION_OPS.split())
ALLOWED_OPS = _COMPUTATION | frozenset(_CHECKPOINT_OPS.split())
_DT_RESOURCE, _DT_VARIANT = 20, 21  # tensorflow.DataType
_KINDS = {
    *("bare_concrete_function", "captured_tensor", "constant", "function", "user_object"),
    "variable",
}
_OBJECTS = {
    *("_generic_user_object", "signature_map", "trackable_dict_wrapper"),
    *("trackable_list_wrapper", "trackable_tuple_wrapper"),
}


def check_saved_model(folder: Path) -> None:
    """Check that a SavedModel computes probabilities and does nothing else.

    The file is parsed, and nothing of it is executed. TensorFlow is imported.

    Args:
        folder: Folder with `saved_model.pb`.

    Raises:
        LiverSegError: If the file is damaged or too large, or the graph or its functions contain an
            operation that is not on the list above, files, tables or objects of other packages.
    """
    path = Path(folder) / "saved_model.pb"
    meta_graph = _read_meta_graph(path)
    for received in _problems(meta_graph):
        raise LiverSegError(
            f"Expected only the computations of a network in {path}. Received {printable(received)}"
            ", which could read or write files, or run other programs: export the model again from "
            "its run."
        )
    constants = sum(map(_constant_bytes, _nodes(meta_graph.graph_def)))
    if constants > MAX_CONSTANT_BYTES:
        raise LiverSegError(
            f"Expected constants of at most {MAX_CONSTANT_BYTES >> 20} MiB in {path}. "
            f"Received {constants >> 20} MiB."
        )


def _read_meta_graph(path: Path):
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise LiverSegError(
            f"Expected at most {MAX_GRAPH_BYTES >> 20} MiB in {path}. "
            f"Received {path.stat().st_size >> 20} MiB."
        )
    try:
        model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except DecodeError as error:
        raise LiverSegError(
            f"Expected a SavedModel at {path.parent}. Received a saved_model.pb that is damaged."
        ) from error
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        # TensorFlow would run the initialisation of a model of version 1
        raise LiverSegError(
            f"Expected a SavedModel of TensorFlow 2 with one graph at {path.parent}. "
            f"Received {len(model.meta_graphs)} graphs, or one of TensorFlow 1."
        )
    return model.meta_graphs[0]


def _problems(meta_graph) -> Iterator[str]:
    """Yield a description of everything that a network does not need."""
    library = {
        function.signature.name: function for function in meta_graph.graph_def.library.function
    }
    called = _called_functions(meta_graph.object_graph_def, library)
    for name, function in library.items():
        allowed = _COMPUTATION if name in called else ALLOWED_OPS
        yield from _unknown_ops(function.node_def, allowed, f"the function {name}", library)
        # TensorFlow may call another function of the same interface in its place
        if any("api_implements" in key for key in function.attr):
            yield f"a choice of implementations in the function {name}"
    graph = meta_graph.graph_def.node
    yield from _unknown_ops(graph, ALLOWED_OPS, "the graph", library)
    if meta_graph.asset_file_def:
        yield "a reference to a file"
    for key in meta_graph.collection_def:
        if key != "saved_model_main_op":
            yield f"the collection {key}"
    for node in meta_graph.object_graph_def.nodes:
        kind, identifier = node.WhichOneof("kind"), node.user_object.identifier
        if kind not in _KINDS:
            yield f"an object of the kind {kind}"
        if kind == "user_object" and identifier not in _OBJECTS:
            yield f"the object {identifier}"
        if node.registered_name or node.registered_saver or node.saveable_objects:
            yield f"an object with its own way of saving ({node.registered_name or kind})"
    if cycle := _recursive_function(library):
        yield f"the function {cycle}, which calls itself"


def _unknown_ops(nodes, allowed: frozenset[str], place: str, library) -> Iterator[str]:
    for node in nodes:
        if node.op not in allowed:
            yield f"the operation {node.op} in {place}"
        for name in _function_names(node):
            if name not in library:
                yield f"a call of {name} in {place}"
        # handles of objects in memory, and serialised objects
        if node.op == "Const" and node.attr["dtype"].type in (_DT_RESOURCE, _DT_VARIANT):
            yield f"a constant that holds an object in {place}"


def _function_names(node) -> Iterator[str]:
    """Names of the functions that a node calls."""
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            yield value.func.name
        elif kind == "list":
            yield from (function.name for function in value.list.func)


def _called_functions(object_graph, library) -> set[str]:
    """Names of the functions that prediction can reach, from the objects that loading creates."""
    waiting = [name for name in object_graph.concrete_functions if name in library]
    for node in object_graph.nodes:
        waiting += node.function.concrete_functions
        waiting.append(node.bare_concrete_function.concrete_function_name)
    called: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in library and name not in called:
            called.add(name)
            waiting += [one for node in library[name].node_def for one in _function_names(node)]
    return called


def _recursive_function(library) -> str | None:
    """Return the name of a function that calls itself, directly or through others."""
    callees = {
        name: {one for node in function.node_def for one in _function_names(node)}
        for name, function in library.items()
    }
    while leaves := [name for name, names in callees.items() if not names & callees.keys()]:
        for name in leaves:
            del callees[name]
    return min(callees, default=None)


def _nodes(graph) -> Iterator:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _constant_bytes(node) -> int:
    """Bytes of a constant in memory; a constant with a single value may state any shape."""
    if node.op != "Const":
        return 0
    return 8 * math.prod(max(dim.size, 0) for dim in node.attr["value"].tensor.tensor_shape.dim)
