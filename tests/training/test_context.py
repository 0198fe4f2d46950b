"""The context network that learns is the one that codes, and what is exported is what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sic_cli.codec.bitstream.reader import parse
from sic_cli.codec.decode import decode
from sic_cli.codec.encode import encode
from sic_cli.codec.engine import engine
from sic_cli.codec.preview.constants import coder_of
from sic_cli.codec.weights.load import load
from sic_cli.errors import InputError, ModelError
from sic_cli.training.assemble import export, save_small, transform_tensors
from sic_cli.training.checkpoint import NAME, TrainingProgress, TrainingState, save, transforms_of
from sic_cli.training.context import (
    CHECKPOINT,
    ContextConfig,
    ContextRun,
    Sight,
    code_lengths,
    context_of,
    train_context,
)
from sic_cli.training.export import engine_of
from sic_cli.training.indices import IndexCrops, indices_of
from sic_cli.training.mean_colours import (
    MeanColourNetwork,
    counted,
    fitted,
    planes_of,
    stored_network,
    train_mean_colours,
    train_network,
    write_mean_colours,
)
from sic_cli.training.model import TrainModel
from sic_cli.training.objective import TERMS
from tests.tiny import CONFIG, made_picture
from tests.training.made import packed, tiny_model

FEW = ContextConfig(batch=2, crops=24, first=((4, 4), (8, 2)), warmup=2)


def checkpoint_of(model: TrainModel, folder: Path, **progress: int) -> Path:
    state = TrainingState(
        model, {}, [], torch.zeros(TERMS, CONFIG.levels), TrainingProgress(stage="mse", **progress)
    )
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / NAME, state)
    return folder / NAME


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed pictures of 320 pixels, a checkpoint `start` and a finished run `context` behind it."""
    made = packed(tmp_path_factory.mktemp("context"), 320)
    checkpoint_of(tiny_model(), made / "start", crops=7)
    train_context(run_of(made), FEW)
    return made


def run_of(folder: Path, out: str = "context", **more: float) -> ContextRun:
    given = {"minutes": 60.0, "evaluate_minutes": 9.0, "variants": 2}
    return ContextRun(
        *(str(folder / name) for name in ("start", "packed", "pictures", out)),
        **(given | more),  # type: ignore[arg-type]
    )


def test_training_lowers_the_bits(folder: Path, tmp_path: Path) -> None:
    before = context_of(folder / "context")
    where = replace(run_of(folder), out=str(tmp_path))
    after = train_context(where, replace(FEW, crops=400))
    pictures = [indices_of(transforms_of(folder / "start")[0], made_picture(320, 320, 9))]
    sight = Sight(after.table, after.reach)
    one, two = (code_lengths(s.averaged(), sight, pictures).sum() for s in (before, after))
    assert two < 0.99 * one


def test_a_stopped_run_goes_on_to_the_bit(folder: Path, tmp_path: Path) -> None:
    whole = context_of(folder / "context")
    where = replace(run_of(folder), out=str(tmp_path))
    train_context(replace(where, minutes=1e-9), FEW)
    assert context_of(tmp_path).crops == 2
    parts = train_context(where, FEW)
    assert parts.crops == whole.crops == 24
    for name, value in whole.average.items():
        assert torch.equal(value, parts.average[name]), name
    assert (tmp_path / "context.jsonl").read_text()


def test_code_lengths_are_those_of_the_coder(folder: Path) -> None:
    """Bits by the logits of the torch network are near those by tables that stand for the logits."""
    from sic_cli.training.code_length import code_length

    state, (model, _) = context_of(folder / "context"), transforms_of(folder / "start")
    machine = engine_of(CONFIG, transform_tensors(model) | state.tensors())
    indices = indices_of(model, made_picture(320, 320, 5))
    coded = code_length(machine, indices.transpose(2, 0, 1))
    size = indices.shape[0] * indices.shape[1]
    own = code_lengths(state.averaged(), Sight(state.table, state.reach), [indices]).sum()
    assert (coded[-1] - coded[0]) / size == pytest.approx(own, rel=0.02)


def test_an_export_loads_and_codes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIC_MODEL_PATH", str(tmp_path))
    pictures = [made_picture(96, 96, s) for s in range(3)]
    out = tmp_path / "own"
    card = export(folder / "start", folder / "context", pictures, out, "own", 4, side=64)
    assert card.facts["crops"] == 7 and card.facts["context_crops"] == 24
    picture = made_picture(50, 70, 8)
    machine, whole = engine(card), encode(picture, card)
    error = []
    for level in (1, CONFIG.levels):
        shown = decode(parse(whole), level=level).pixels
        error.append(float(np.square(shown.astype(float) - picture).mean()))
    assert error[1] < 0.8 * error[0]
    known = context_of(folder / "context").averaged().weights()
    with torch.no_grad():
        for name in ("entry", "mid", "exit", "entry_bias"):
            assert np.array_equal(getattr(load(card).context, name), getattr(known, name)), name
    # a model of one decoder shows the same picture at every realism
    indices = machine.quantise(machine.analyse(picture))
    one, two = (machine.picture(indices, 5, 50, 70, realism) for realism in (0.0, 1.0))
    assert np.array_equal(one, two)


def test_parts_of_different_encoders_are_not_put_together(folder: Path, tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.analysis.linear += 0.01
    other = checkpoint_of(model, tmp_path / "other")
    pictures = [made_picture(96, 96, 1)]
    with pytest.raises(ModelError, match="behind another analysis"):
        export(other, folder / "context", pictures, tmp_path / "own", "own", 4, side=64)
    with pytest.raises(ModelError, match="no picture has"):
        export(folder / "start", folder / "context", pictures, tmp_path / "own", "own", 4)
    with pytest.raises(ModelError, match="not a checkpoint of"):
        context_of(other)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes((folder / "context" / CHECKPOINT).read_bytes())
    where = replace(run_of(folder), transforms=str(other), out=str(tmp_path / "run"))
    with pytest.raises(ModelError, match="behind another analysis"):
        train_context(where, FEW)


def test_transforms_that_travel_in_half_precision_are_the_same_encoder(
    folder: Path, tmp_path: Path
) -> None:
    model = tiny_model(perceptual=True)
    path = checkpoint_of(model, tmp_path, crops=40)
    save_small(tmp_path / "small", path)
    again, progress = transforms_of(tmp_path / "small")
    assert progress.crops == 40
    for (name, a), (_, b) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4), name
    save_small(tmp_path / "one", folder / "start" / NAME)
    pictures = [made_picture(96, 96, s) for s in range(3)]
    export(tmp_path / "one", folder / "context", pictures, tmp_path / "own", "own", 4, side=64)


def mean_crops(folder: Path) -> tuple[IndexCrops, np.ndarray]:
    return IndexCrops.open(folder / "context"), transforms_of(folder / "start")[0].depths.numpy()


def test_the_network_of_layer_0_learns_and_codes_what_it_learned(folder: Path) -> None:
    crops, depths = mean_crops(folder)
    planes = planes_of(crops, depths)

    def cost(network: MeanColourNetwork) -> float:
        total = 0.0
        with torch.no_grad():
            for one in planes:
                height, width = one.shape[:2]
                flat = torch.from_numpy(one.astype(np.float32)).reshape(1, -1, 3)
                total += sum(float(bits.sum()) for _, _, bits in network(flat, height, width))
        return total

    import sic_cli.training.mean_colours as own

    sizes, own.SIZES = own.SIZES, ((16, 16), (16, 12), (12, 16))
    try:
        fresh, trained = MeanColourNetwork(), train_network(crops, depths, 40, batch=4)
    finally:
        own.SIZES = sizes
    assert cost(trained) < 0.97 * cost(fresh)
    arrays = fitted(stored_network(trained), planes)
    coder = coder_of(arrays)
    tally = counted(coder, planes)
    size = sum(one.size for one in planes)
    assert sum(int(tally.of(t).sum()) for t in coder.tables.first) > 0
    assert sum(int(c.sum()) for c in tally.counts.values()) >= size
    bits = 0.0
    for table in (*coder.tables.first, *(t for row in coder.tables.residual for t in row)):
        seen = tally.of(table)
        share = table.weights / table.weights.sum()
        bits -= float((seen[seen > 0] * np.log2(share[seen > 0])).sum())
    assert bits < 1.3 * cost(trained), "tables say what the Laplace distribution does, or more"


def test_mean_colours_of_other_transforms_are_refused(folder: Path, tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.analysis.linear += 0.01
    other = checkpoint_of(model, tmp_path / "other")
    with pytest.raises(InputError, match="no indices of these transforms"):
        train_mean_colours(other, folder / "context", tmp_path / "out", 1)
    network = stored_network(MeanColourNetwork())
    crops, depths = mean_crops(folder)
    digest = write_mean_colours(tmp_path / "out", fitted(network, planes_of(crops, depths)))
    assert len(digest) == 64
