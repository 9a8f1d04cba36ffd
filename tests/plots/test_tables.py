"""Tables: numbers a reader can use, reasons where there are none, text that cannot break a page."""

import re
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd

import dmlkit
from dmlkit import plots
from dmlkit.models import FUSIONS, build
from dmlkit.plots.style import PAPER_GAP


def test_metrics_intervals_and_cost(rows, data):
    table, first = plots.table(rows, data, title="The ladder"), rows[0]
    interval = f"{first['gap_low']:.3f} to {first['gap_high']:.3f}"
    expected = [f"{first['gap']:.4f}", interval, "0.5000", "0.6000", "0.7000", "1,234,567", "61.2", "0.70727"]
    assert table.data.loc["lr"].tolist() == expected and table.data.columns[-1] == PAPER_GAP
    assert "rnn: not applicable: it reads frames." in table.heading and "sota: not trained." in table.heading
    few = plots.table([rows[0] | {"videos": 50}]).heading
    assert (
        "95 % CI over videos, for this seed." in few
        and "test (50 < 100)." in few
        and "few" not in table.heading
    )
    assert "nan" not in table.to_html() and "None" not in table.to_html()


def test_all_results_are_ranked_and_say_where_videos_differ(rows, make):
    trick = make.row(
        make.run("attention-mixup", title="Bi-GRU, attention, mixup", quality=0.9, trick="mixup"), part="trick",
        videos=77, seconds_an_epoch=2.0,
    )  # fmt: skip
    table = plots.all_results(pd.DataFrame([*rows, trick]).set_index("title"))
    assert table.data["GAP@20"].is_monotonic_decreasing
    assert table.data.loc["mixup (Bi-GRU, attention)"][["group", "seconds per epoch", "videos"]].tolist() == [
        "trick", "2.0", "77"
    ]  # fmt: skip
    assert "Not trained: rnn; sota." in table.heading and "validation videos differ" in table.heading


def test_any_table_with_its_digits_and_dashes():
    frame = pd.DataFrame({"a": [0.123456, np.nan], "b": [1234, 5], "c": ["x", "nan"]}, index=["one", "two"])
    table = plots.numbers(frame, title="Numbers", digits=2)
    assert table.data.to_numpy().tolist() == [["0.12", "1,234", "x"], ["–", "5", "nan"]]
    assert repr(table) == "Numbers\n| a | b | c\none | 0.12 | 1,234 | x\ntwo | – | 5 | nan"


def test_text_is_escaped_cut_and_stable(make):
    row = make.row(make.run("lr"), title="<script>x</script>", status="missing", reason="<img src=x>")
    page = plots.table([row, row], title="<b>&").to_html()
    assert not any(tag in page for tag in ("<script>", "<img", "<b>")) and "(2)" in page
    other = plots.numbers(pd.DataFrame({"<i>": ["<u>" * 40]}, index=["<s>"]), title="t").to_html()
    assert not any(tag in other for tag in ("<i>", "<u>", "<s>")) and "…" in other
    assert page == plots.table([row, row], title="<b>&").to_html()


def test_the_data_card_shows_what_is_read_and_folds_other_notes(make):
    data = make.data()
    data.notes = ("Every fifth shard validates.", "<b>Left aside</b>")
    study = SimpleNamespace(dataset=data, profile=dmlkit.PROFILES["demo"], seed=2, seeds=3)
    card = plots.data_card(study)
    shown, _, folded = card._repr_html_().partition("<details>")
    expected = [
        "GENERATED",
        "train 30,000 (20,000 used",
        "rgb 6 values per frame, audio",
        "seed 2 and the 2 after",
    ]
    for text in [*expected, "Every fifth shard validates."]:
        assert text in repr(card) and text in shown, text
    assert "Left aside" not in shown and "&lt;b&gt;Left aside" in folded
    rate = f"learning rate {study.profile.learning_rate}"
    assert rate not in repr(card) and rate in repr(plots.data_card(study, settings=True))
    study.dataset, study.seeds = make.data(generated=False, level="video"), 1
    assert "GENERATED" not in (text := repr(plots.data_card(study))) and "seed 2\n" in f"{text}\n"


BYTES = {"rgb": (5, "byte"), "audio": (3, "byte")}


def stages(model) -> dict[str, list[str]]:
    """Stage → its facts, from the plain text of a diagram."""
    *lines, last = repr(plots.model_diagram(model)).splitlines()
    assert last.startswith(f"{model.count_params():,} parameters")
    return {stage: facts.split("; ") for stage, _, facts in (line.partition(": ") for line in lines)}


def test_a_diagram_has_the_stages_shapes_and_parameters_of_its_model():
    parts = {"encoder": "bi_gru", "pooling": "attention"}
    model = build(features=BYTES, level="frame", num_classes=7, units=4, layers=2, **parts)
    gru = 2 * 3 * (8 * 4 + 4 * 4 + 2 * 4)  # two directions, three gates; both layers read 8 values
    assert stages(model) == {
        "Inputs": [
            "audio: frames × 3, uint8", "rgb: frames × 5, uint8", "2 × Dequantize", "2 × Layer Normalization",
            "output: frames × 3", "output: frames × 5", "16 parameters",
        ],
        "Fusion": ["Concatenate", "output: frames × 8"],
        "Encoder": ["2 × bidirectional GRU", "output: frames × 8", f"{2 * gru} parameters"],
        "Pooling": ["Attention Pooling", "output: 8", f"{8 * 8 + 8 + 8} parameters"],
        "Classifier": ["Dense", "output: 7", f"{8 * 7 + 7} parameters"],
    }  # fmt: skip
    page, _, folded = plots.model_diagram(model)._repr_html_().partition("<details>")
    assert page.count("<li") == 5 and page.count("→") == 4 and "encoder_2_backward" in folded
    single = build(features={"rgb": (5, "float")}, level="video", num_classes=7, encoder="none")
    assert stages(single)["Inputs"][0] == "rgb: 5, float32" and [*stages(single)] == ["Inputs", "Classifier"]


def test_a_diagram_knows_every_layer_of_every_experiment_and_of_a_fusion_of_ones_own(make, monkeypatch):
    def product(features, num_frames, **settings):
        return keras.layers.Multiply()([keras.layers.Dense(4)(feature) for feature in features.values()])

    monkeypatch.setitem(FUSIONS, "product", product)
    data = make.data()  # one of its own: it is changed
    data.features = {name: SimpleNamespace(size=size, coding=kind) for name, (size, kind) in BYTES.items()}
    own = dmlkit.Experiment("own", "Own", "fusion", fusion="product", encoder="bi_gru")
    trained = [each for each in dmlkit.EXPERIMENTS.values() if isinstance(each, dmlkit.Experiment)]
    fields = ("fusion", "fusion_stage", "encoder", "pooling", "classifier", "gate_scores", "copies")
    chosen = {(field, getattr(each, field)): each for field in fields for each in trained}
    for experiment in {each.name: each for each in [*chosen.values(), own]}.values():
        model = dmlkit.build_model(experiment, data, profile="smoke")
        facts = stages(model)
        counts = [int(n.replace(",", "")) for n in re.findall(r"'([\d,]+) parameters'", str(facts))]
        assert facts.keys() <= {"Inputs", "Fusion", "Encoder", "Pooling", "Classifier"}, experiment.name
        assert experiment.copies * sum(counts) == model.count_params(), experiment.name
    assert facts["Fusion"] == [
        "2 × Dense",
        "Multiply",
        "output: frames × 4",
        f"{4 * (5 + 1 + 3 + 1)} parameters",
    ]
