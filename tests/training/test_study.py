"""Studies: experiments that apply, those that do not, their tables, named ensembles, and analyses of runs."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

import dmlkit
from dmlkit import plots
from dmlkit.data import open_dataset
from dmlkit.errors import UsageError
from dmlkit.experiments import CHECKPOINTS, EXPERIMENTS, LADDER, VIDEO_LADDER, Ensemble, Experiment, find
from dmlkit.files import file_lock
from dmlkit.metrics import global_average_precision, over_seeds
from dmlkit.profiles import RECIPES, SMOKE
from dmlkit.report.pages import summarize
from dmlkit.report.plan import Context
from dmlkit.runs import write_record
from dmlkit.training import (
    Study,
    all_results,
    best_ensemble_members,
    frame_study,
    fusion_study,
    mapping_resampling,
    score_split,
    train_ensemble,
)
from dmlkit.training.study import projection_distance

TINY = replace(SMOKE, max_train_videos=60, max_tuning_videos=20, max_validate_videos=40)


def study_on(data, tmp_path, **settings):
    return Study(data, **{"profile": TINY, "runs": tmp_path / "runs", "progress": "silent"} | settings)


def names(folder):
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def pretend(smoke_runs, generated, tmp_path):
    """A function that leaves a run of an experiment: `lr`'s, under its name, with a GAP on the tuning split."""

    def leave(name, *, tuning=0.1):
        study, experiment = study_on(generated, tmp_path), EXPERIMENTS[name]
        fingerprint = study._fingerprint(experiment, study.seed)
        folder, *_ = study._places(experiment, fingerprint)
        record = smoke_runs["lr"].record | {"fingerprint": fingerprint, "tuning": {"gap": tuning}}
        folder.mkdir(parents=True)
        write_record(folder, record | {"experiment": experiment.to_record()})
        return study

    return leave


def test_an_ensemble_trains_its_members_and_is_read_the_second_time(generated, tmp_path, capsys):
    pair = Ensemble("both", "Both", ("lr", "hidden-concat"), by="stacking")
    run = study_on(generated / "video", tmp_path).train(pair)["both"]
    assert names(tmp_path / "runs") == ["both", "hidden-concat", "lr"]
    capsys.readouterr()
    study = study_on(generated / "video", tmp_path)
    assert study.train(pair, "lr")["both"].record == run.record
    assert capsys.readouterr().out.count("already trained") == 2
    rows = {row["name"]: row["status"] for row in study.results()}
    assert list(rows) == list(VIDEO_LADDER)
    assert [name for name, status in rows.items() if status == "trained"] == ["lr", "hidden-concat"]
    assert study.ladder().loc["Logistic regression", "gap"] == study.find("lr").gap
    assert study_on(generated / "video", tmp_path, seed=1).find("lr") is None
    assert study.find(replace(pair, by="uniform")) is None


def test_several_seeds_are_trained_and_tabled_together(generated, tmp_path):
    pair = Ensemble("both", "Both", ("lr", "hidden-concat"))
    beyond = Experiment("own", "Own", "beyond")
    study = study_on(generated / "video", tmp_path, seed=3, seeds=2)
    trained = study.train(pair, beyond)
    assert names(tmp_path / "runs") == ["both", "both", "hidden-concat", "hidden-concat", "lr", "lr", "own"]
    assert [run.record["seed"] for run in (trained["both"], *trained["both"].siblings)] == [3, 4]
    first, second = (study_on(generated / "video", tmp_path, seed=seed).find("lr") for seed in (3, 4))
    found = study.find("lr")
    assert (found.record, found.siblings[0].record) == (first.record, second.record)
    row, gaps = study.ladder().loc["Logistic regression"], [first.gap, second.gap]
    assert (row["gap"], row["gap_min"], row["gap_max"]) == (np.mean(gaps), min(gaps), max(gaps))
    widths = [np.subtract(*run.metrics["gap_interval"]) / 3.92 for run in (first, second)]
    low, high = over_seeds([gaps], np.mean(np.square(widths)), videos=first.metrics["videos"])
    assert (row["gap_low"], row["gap_high"], row["seeds"]) == (max(low, 0), min(high, 1), 2)
    assert study.find("mixture-of-experts") is None and "seeds" not in study_on(generated, tmp_path).ladder()
    table = plots.table(study.ladder(), study.dataset).data.loc["Logistic regression"]
    assert table["seeds"] == f"{min(gaps):.4f} to {max(gaps):.4f} (of 2)"
    assert "lowest and highest seed" in plots.ladder(study.ladder()).figure.axes[0].get_xlabel()
    # A report needs both seeds, and shows the first where it is alone.
    conditions = {"out": tmp_path, "profile": "smoke", "seed": 3}
    context = Context(generated / "video", **conditions, seeds=2)
    context.study = study
    assert context.run(find("lr")) and summarize(context, [])["seeds"] == 2
    study.seeds = 3
    assert context.run(find("lr")) is None and context.run(find("lr"), partly=True).path == first.path
    assert "seeds" not in Context(generated / "video", **conditions).conditions
    with pytest.raises(UsageError, match="seeds=0"):
        study_on(generated, tmp_path, seeds=0)


def test_what_data_cannot_serve_is_named_and_is_no_error(generated, tmp_path, capsys):
    study = study_on(generated / "video", tmp_path)
    assert study.train("lstm", "attention") == {} == study.train_chapter("bi-gru")
    assert capsys.readouterr().out.endswith("one vector a video: LSTM; Bi-GRU, attention.\n")
    assert list(study.applicable({name: find(name) for name in ("lr", "lstm")})) == ["lr"]


def test_a_chapter_reads_its_own_runs_and_no_others(smoke_runs, generated, tmp_path):
    study = study_on(generated, tmp_path, profile="smoke", runs=smoke_runs["lr"].path.parent)
    assert list(study.finished("baselines", "fusion")) == ["lr"]
    assert list(study.finished()) == ["lr", "attention"]
    assert list(study.ladder()["name"]) == list(LADDER) and study.ablations("baselines").empty
    with pytest.raises(UsageError, match="Did you mean 'baselines'"):
        study.ladder("baseline")


def test_a_run_that_another_process_trains_is_waited_for(smoke_runs, generated, tmp_path, capsys):
    study, made, found = study_on(generated, tmp_path, profile="smoke"), smoke_runs["lr"], []
    folder = study.runs / made.path.name
    folder.parent.mkdir()
    with file_lock(folder.with_name(f".{folder.name}.lock"), taken=print):
        waiting = threading.Thread(target=lambda: found.append(study.train("lr")["lr"]))
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive() and not found
        shutil.copytree(made.path, folder)
    waiting.join(60)
    assert found[0].record == made.record
    assert f"being trained by process {os.getpid()} on" in capsys.readouterr().out


def test_tables_of_what_is_beyond_the_ladder(pretend):
    pretend("lr", tuning=0.3)
    pretend("lstm", tuning=0.1)
    pretend("lr-no-norm", tuning=0.9)
    pretend("audioset-best", tuning=0.9)  # a recipe, whose conditions are its own
    study = pretend("netvlad", tuning=0.2)
    best = best_ensemble_members(study, size=2)
    assert (best.members, best.by) == (("lr", "netvlad"), "optimized")
    rows = all_results(study).reset_index()
    assert rows["name"].is_unique and set(rows["status"]) == {"trained", "not trained"}
    parts = rows.set_index("name")["part"]
    trained = {"lr": "ladder", "lr-no-norm": "ablation", "netvlad": "pooling", "audioset-best": "recipe"}
    others = {"transformer": "encoder", "attention-ema": "trick", "bi-gru-concat": "ladder"}
    assert {name: parts[name] for name in trained | others} == trained | others
    assert not {"lstm-no-norm", "audioset-kernel", "ensemble-of-best", "ensemble-of-all"} & set(parts.index)
    assert list(study.beyond()["name"]) == ["netvlad", "audioset-best"] and study.beyond("encoders").empty
    assert list(study.ablations()["name"]) == ["lr-no-norm"]


def test_a_recipe_is_found_where_its_command_leaves_it(pretend, generated, tmp_path, monkeypatch):
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path / "home"))
    study = pretend(name := "audioset-ensemble")
    pretend("lr")
    default = Study(generated, profile="audioset-best").runs  # that of the recipe's report
    default.parent.mkdir(parents=True)
    (tmp_path / "runs").rename(default)
    assert default == tmp_path / "home" / "reports" / f"{generated.name}-audioset-best" / "runs"
    assert study.find(name).path.parent == default and study.find("lr") is None


def test_members_of_a_named_ensemble_have_their_recipes_and_seeds(generated, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path))
    for name, units in (("one", 4), ("other", 6)):
        profile = replace(TINY, name=f"recipe-{name}", units=units, epochs=1)
        monkeypatch.setitem(RECIPES, profile.name, profile)
        own = replace(find("hidden-concat"), name=name, title=name, units=None, recipe=profile.name)
        monkeypatch.setitem(EXPERIMENTS, name, own)
    four = Ensemble("four", "Four", ("one", "other"), seeds=(0, 7), by="optimized")
    settings = {"data": generated / "video", "seed": 3, "progress": "silent"}
    alone = dmlkit.train("one", **settings)
    run = train_ensemble(four, **settings)
    members = [dmlkit.load_run(run.path / each["path"]) for each in run.record["members"]]
    found = [(each.name, each.record["seed"], each.record["profile"]["units"]) for each in members]
    assert found == [("one", 3, 4), ("one", 10, 4), ("other", 3, 6), ("other", 10, 6)]
    assert members[0].path.resolve() == alone.path.resolve() and run.record["by"] == "optimized"
    assert capsys.readouterr().out.count("already trained") == 1
    two = replace(four, seeds=(0,))
    own = train_ensemble(two, out=tmp_path / "own", changes={"units": 5}, **settings)
    assert all(each["path"].startswith("members/") for each in own.record["members"])
    assert dmlkit.load_run(own.path / own.record["members"][0]["path"]).record["profile"]["units"] == 5


def test_the_checkpoints_of_one_training_are_an_ensemble(generated, tmp_path):
    settings = {"data": generated / "video", "profile": TINY, "progress": "silent"}
    run = train_ensemble("hidden-concat-checkpoints", out=tmp_path / "kept", **settings)
    members = [each["name"] for each in run.record["members"]]
    assert members == [f"hidden-concat-cyclic-epoch-{epoch}" for epoch in (1, 2)]
    study = study_on(generated / "video", tmp_path, runs=tmp_path / "kept" / "members")
    assert study.find("hidden-concat-checkpoints") is None and study.find("hidden-concat-cyclic")
    found = study.train(CHECKPOINTS["video"])["hidden-concat-checkpoints"]
    assert found.record["fingerprint"] == run.record["fingerprint"]
    np.testing.assert_array_equal(found.predictions.scores, run.predictions.scores)
    with pytest.raises(UsageError, match="already holds another run"):
        train_ensemble("hidden-concat-checkpoints", out=tmp_path / "kept", seed=1, **settings)
    for experiment, more, message in (
        ("lr", {}, "is no ensemble"),
        ("ensemble-video", {"strategy": "multi-worker"}, "runs of lr, mixture-of-experts"),
        (Ensemble("x", "X", ("lr",), member_runs="checkpoints"), {}, "lr leaves none"),
    ):
        with pytest.raises(UsageError, match=message):
            train_ensemble(experiment, out=tmp_path / "run", **settings, **more)
    assert not (tmp_path / "run").exists()


def test_distances_of_projections_are_those_of_the_equations():
    model = dmlkit.models.build(
        features={"rgb": (4, "float"), "audio": (3, "float")}, level="frame", num_classes=2, units=5, layers=1,
        fusion="projection", encoder="bi_gru", normalization="none",
    )  # fmt: skip
    rng, z = np.random.default_rng(0), []
    batch = {name: rng.normal(size=(2, 6, size)).astype("f4") for name, size in (("rgb", 4), ("audio", 3))}
    for name, values in batch.items():
        kernel, bias = rng.normal(size=(values.shape[-1], 5)), rng.normal(size=5)
        model.get_layer(f"fusion_projection_{name}").set_weights([kernel, bias])
        z.append(np.concatenate([values[0], values[1, :2]]) @ kernel + bias)
    batch["num_frames"] = np.array([6, 2], np.int32)
    squares = [(each**2).sum(axis=1).mean() for each in (z[0] - z[1], *z)]
    assert projection_distance(model, batch) == pytest.approx((squares[0], squares[1] + squares[2]), rel=1e-5)


def test_fusions_and_their_mappings(generated, tmp_path):
    dataset = open_dataset(generated / "video")
    own = Experiment("own", "Own", "fusion", fusion="projection", alignment_weight=0.0)
    runs = study_on(dataset, tmp_path).train("lr", own)
    table = fusion_study(runs, next(iter(dataset.batches("train", batch_size=32)))).set_index("title")
    lr, row = table.loc["Logistic regression"], table.loc["Own"]
    assert lr["initializer"] == "none" and np.isnan(lr["distance"])
    assert row["relative_distance"] == pytest.approx(row["distance"] / row["length"])
    own = runs["own"]
    before = own.model.get_weights()
    resampled = mapping_resampling(runs, dataset, seed=5)
    assert list(resampled.index) == ["Own"] and resampled.loc["Own", "as trained"] == own.gap
    order = np.random.default_rng(5).permutation(len(own.predictions.ids))
    permuted = global_average_precision(own.predictions.scores[order], own.predictions.labels)
    assert resampled.loc["Own", "permuted videos"] == permuted
    assert resampled.loc["Own", "resampled mapping"] not in (own.gap, permuted)
    for old, new in zip(before, own.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fewer_frames_chosen_in_each_way(smoke_runs, generated):
    dataset, run = open_dataset(generated), smoke_runs["attention"]
    table = frame_study(run, dataset, counts=(5, None))
    assert table["frames"].tolist() == ["5", "all"] * 3
    assert table["choice"].tolist() == ["first", "first", "uniform", "uniform", "random", "random"]
    assert ((table["gap_low"] <= table["gap"]) & (table["gap"] <= table["gap_high"])).all()
    assert (table["videos"] == 20).all() and table.loc[table["frames"] == "all", "gap"].nunique() == 1
    profile = replace(SMOKE, frame_choice="uniform", max_frames=5)
    few = score_split(run.model, dataset, "tuning", profile=profile)
    gaps = table.set_index(["frames", "choice"])["gap"]
    assert gaps["5", "uniform"] == pytest.approx(global_average_precision(few.scores, few.labels), abs=1e-4)
    assert frame_study(None, dataset).empty and frame_study(run, open_dataset(generated / "video")).empty


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_one_command(name, generated, tmp_path):
    data = generated if name.startswith("audioset") else generated / "video"
    command = [sys.executable, "-m", "dmlkit.cli", "train", name, "--data", data]
    subprocess.run(command, env=os.environ | {"DMLKIT_HOME": str(tmp_path)}, check=True)
    (folder,) = (tmp_path / "reports").glob(f"*-{name}/runs/{name}-*")
    run = dmlkit.load_run(folder)
    assert run.record["profile"] == RECIPES[name].to_record() and run.record["epochs"] == RECIPES[name].epochs
    assert dmlkit.evaluate(run, data=data)["gap"] == pytest.approx(run.gap, abs=1e-3)
