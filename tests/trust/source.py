"""No float in the source between bytes and table index, and no function there that is not looked at.

The context network carries whole numbers in float32, which is exact below 2**24. The source on the
decoding path may use no float operation but those listed here with a reason, each as often as it is
listed; a list of ways to write a float makes sure that the search sees them.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

import sic_cli.codec.entropy
from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode_indices, file_engine
from sic_cli.codec.entropy import coder_name
from sic_cli.codec.inference import parallel
from sic_cli.codec.inference.context import ContextRunner
from sic_cli.codec.inference.integer_network import check_machine
from sic_cli.codec.preview import network as mean_colour_network
from sic_cli.codec.preview.constants import mean_colour_coder
from tests.conftest import ROOT
from tests.trust.campaign import Run, trial
from tests.trust.goldens_at_hand import good

WHOLE_FILES = (
    "codec/bitstream/fields.py",
    "codec/bitstream/reader.py",
    "codec/bitstream/truncate.py",
    "codec/symbols/zero_blocks.py",
    "codec/symbols/class_runs.py",
    "codec/symbols/layer_coder.py",
    "codec/quantization/passes.py",
    "codec/preview/coder.py",
    "codec/preview/constants.py",
    "codec/preview/network.py",
    "codec/entropy/__init__.py",
    "codec/inference/parallel.py",
    "codec/inference/context.py",
    "codec/inference/convolution.py",
)
FUNCTIONS = {
    "codec/decode.py": ("decode_indices",),
    "codec/engine.py": ("layer_coder",),
    "codec/symbols/coding_tables.py": ("from_arrays",),
    "codec/entropy/plain_coder.py": ("_edges", "decode", "__init__", "_word"),
    "codec/entropy/range_coder.py": ("_model", "decode", "__init__"),
    "codec/entropy/tables.py": ("__post_init__", "binary"),
    "codec/preview/decode.py": ("decode_mean_colours",),
    "codec/quantization/step_sizes.py": (
        *("step_sizes_of", "start_of", "start", "passes_of", "refined_by", "channels"),
    ),
    "codec/inference/integer_network.py": ("feature_table", "scaled"),
}
"""What runs between the bytes of a file and the index of a table (T14g sees that nothing else does). The
constants of these files are looked at as well."""

ALLOWED = {
    ("codec/bitstream/truncate.py", "number / 8"): (
        1,
        "a size that was asked for in bits per pixel",
    ),
    ("codec/bitstream/truncate.py", "float"): (1, "the same, as an annotation"),
    ("codec/entropy/range_coder.py", "float32"): (
        1,
        "whole frequencies below 2**24, for the library",
    ),
    ("codec/inference/convolution.py", "float32"): (3, "the carrier of whole numbers"),
    ("codec/inference/convolution.py", "float"): (
        1,
        "an annotation: the largest activation, a whole number",
    ),
    ("codec/inference/convolution.py", "floating"): (
        1,
        "an annotation: training's weights have 16 bits",
    ),
    ("codec/inference/context.py", "float32"): (4, "the carrier of whole numbers"),
    ("codec/inference/context.py", "0.5"): (
        1,
        "half a unit before rounding down: 64 of its 128 parts",
    ),
    ("codec/inference/context.py", "'unsafe'"): (
        1,
        "classes lose their fraction, as T14's workers check",
    ),
    ("codec/inference/integer_network.py", "float32"): (4, "the carrier of whole numbers"),
    ("codec/inference/integer_network.py", "0.5"): (
        1,
        "half a unit before rounding down: 64 of its 128 parts",
    ),
    ("codec/inference/integer_network.py", "number / 2 ** WEIGHT_SHIFT"): (
        1,
        "a power of two: exact",
    ),
    ("codec/inference/integer_network.py", "number ** WEIGHT_SHIFT"): (
        1,
        "the same, of whole numbers",
    ),
    ("codec/inference/integer_network.py", "number / 2 ** CLASS_SHIFT"): (
        1,
        "a power of two: exact",
    ),
    ("codec/inference/integer_network.py", "number ** CLASS_SHIFT"): (
        1,
        "the same, of whole numbers",
    ),
    ("codec/preview/coder.py", "float32"): (2, "the carrier of whole numbers"),
    ("codec/preview/coder.py", "0.25"): (1, "a mean of four, rounded down: a power of two"),
    ("codec/preview/network.py", "float32"): (4, "the carrier of whole numbers"),
    ("codec/preview/network.py", "0.25"): (1, "quarters of a step, rounded down: a power of two"),
    ("codec/preview/constants.py", "float32"): (3, "the carrier of whole numbers"),
    ("codec/preview/constants.py", "number / 128"): (1, "a power of two: exact"),
    ("codec/preview/constants.py", "0.5"): (
        1,
        "half a unit before rounding down: 64 of its 128 parts",
    ),
    ("codec/engine.py", "1.0"): (1, "realism where nobody says: which decoder paints"),
    ("codec/quantization/step_sizes.py", "float32"): (
        2,
        "step sizes: what is shown, never what is read",
    ),
    **{
        ("codec/quantization/step_sizes.py", use): (
            1,
            "weights whose step sizes differ are refused",
        )
        for use in ("ldexp", "64.0", "49.113", "44.389", "0.001")
    },
}
"""(file, use): how often, and why it is exact. One more of the same fails as one of another kind."""
FLOAT_NAMES = {
    *("float", "float16", "float32", "float64", "float128", "bfloat16", "double", "half"),
    *("longdouble", "float_", "floating", "FloatTensor", "DoubleTensor", "HalfTensor", "complex"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "cbrt", "pow"),
    *("power", "float_power", "ldexp", "hypot", "sin", "cos", "tan", "atan", "fsum", "lerp"),
    *("mean", "nanmean", "average", "median", "std", "var", "norm", "quantile", "interp"),
    *("softmax", "log_softmax", "sigmoid", "tanh", "erf", "softplus", "silu", "gelu", "normal"),
    *("round", "rint", "divide", "true_divide", "div", "reciprocal", "linspace", "logspace"),
    *("rand", "randn", "random", "uniform", "Fraction", "Decimal", "fromhex", "truediv"),
}
"""Names that make or stand for numbers with a fraction; `log` is also a name of the source's own, and
only its use as a function or an attribute counts."""
DTYPE = re.compile(r"[<>=|]?(f|d|e|g|float|double|half|single|bfloat)(2|4|8|16|32|64|128)?")

CASTS = {"unsafe", "same_kind"}
"""Ways for a number to lose its fraction without a word."""


def float_uses(tree: ast.AST) -> Iterator[str]:
    """Every float literal, true division, power, and float-valued name of a piece of source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield repr(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if DTYPE.fullmatch(node.value) or node.value in CASTS:
                yield repr(node.value)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"number / {ast.unparse(node.right if isinstance(node, ast.BinOp) else node.value)}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            exponent = node.right if isinstance(node, ast.BinOp) else node.value
            if not (isinstance(exponent, ast.Constant) and type(exponent.value) is int):
                yield f"number ** {ast.unparse(exponent)}"
        elif isinstance(node, ast.Attribute) and node.attr in FLOAT_NAMES:
            yield node.attr
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node.id
        elif isinstance(node, ast.alias) and node.name.split(".")[-1] in FLOAT_NAMES:
            yield node.name
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in FLOAT_NAMES - {"float"}
        ):
            yield node.func.id


def path_of_the_decoder() -> Iterator[tuple[str, ast.AST]]:
    """(file, source) of everything on the path."""
    for name in WHOLE_FILES:
        yield name, ast.parse((ROOT / "sic_cli" / name).read_text())
    for name, functions in FUNCTIONS.items():
        tree = ast.parse((ROOT / "sic_cli" / name).read_text())
        found = [
            n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in functions
        ]
        assert {n.name for n in found} == set(functions), f"{name}: a function was renamed"
        inside = {id(inner) for node in found for inner in ast.walk(node) if inner is not node}
        yield from ((name, node) for node in found if id(node) not in inside)
        constants = [n for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign)]
        yield name, ast.Module(list(constants), [])


SEEN = {
    "x = 0.3 * y": ["0.3"],
    "x = y / 7": ["number / 7"],
    "x /= 7": ["number / 7"],
    "x = 2**-7": ["number ** -7"],
    "x **= y": ["number ** y"],
    "x = torch.exp(y)": ["exp"],
    "x = y.mean()": ["mean"],
    "x = y.astype('f4')": ["'f4'"],
    "x = np.asarray(y, dtype='<f8')": ["'<f8'"],
    "x = y.to(torch.bfloat16)": ["bfloat16"],
    "x = y.float()": ["float"],
    "x = float(y)": ["float"],
    "from math import sqrt as s": ["sqrt"],
    "x = np.true_divide(y, z)": ["true_divide"],
    "x = round(y)": ["round"],
    "np.copyto(x, y, casting='unsafe')": ["'unsafe'"],
}
"""Ways to write a float, and what the search makes of them."""


@trial("T14c", "the source between bytes and table index has no float but the listed exact ones", 4)
def no_float_in_the_source(run: Run) -> None:
    used: Counter[tuple[str, str]] = Counter()
    for name, tree in path_of_the_decoder():
        with run.case(f"{name} {getattr(tree, 'name', 'as a whole')}"):
            found = [(name, use) for use in float_uses(tree)]
            used.update(found)
            assert set(found) <= set(ALLOWED), set(found) - set(ALLOWED)
    with run.case("every exact one is there as often as it is listed, no more and no less"):
        assert dict(used) == {key: count for key, (count, _) in ALLOWED.items()}, used
    for source, uses in SEEN.items():
        with run.case(f"control: the search sees {source}"):
            assert list(float_uses(ast.parse(source))) == uses
    with run.case("control: it sees no float in whole numbers"):
        assert not list(float_uses(ast.parse("x = 2**24 + (y // 3 << 2) * z.astype(np.int32)")))


@trial("T14g", "every function that runs while symbols are decoded is one that T14c looks at", 4)
def nothing_else_runs(run: Run) -> None:
    """So that code which moves to another file does not escape."""
    seen: set[tuple[str, str]] = set()
    package = str(ROOT / "sic_cli") + os.sep

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        function = code.co_flags & inspect.CO_OPTIMIZED and code.co_name[0] != "<"
        if event == "call" and function and code.co_filename.startswith(package):
            seen.add((code.co_filename.removeprefix(package).replace(os.sep, "/"), code.co_name))

    check_machine()  # once a process, and computes nothing of a file
    for data in good("tiny" if run.scale == "PR" else "").values():
        machine = file_engine(parse(data), "cpu")
        for coder in ("plain", "constriction") if coder_name() == "constriction" else ("plain",):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sic_cli.codec.entropy, "coder_name", lambda coder=coder: coder)
                patch.setattr(machine.context_runner, "_updates", {})
                mean_colour_coder.cache_clear()
                mean_colour_network._cached.cache_clear()
                patch.setattr(parallel, "_CHOSEN", 1)  # the watch sees its own thread only
                model_weights = machine.model_weights
                sys.setprofile(watch)
                try:
                    parsed = parse(data)
                    ContextRunner(
                        model_weights.context,
                        model_weights.reach,
                        model_weights.logs,
                        machine.table.passes,
                    )
                    decode_indices(machine, parsed, parsed.level)
                finally:
                    sys.setprofile(None)
    assert len(seen) > 20
    for file, function in sorted(seen):
        with run.case(f"{file}: {function}"):
            assert file in WHOLE_FILES or function in FUNCTIONS.get(file, ()), "is not looked at"
