"""What is known before anything runs: names, values, and which rungs a notebook would train."""

import ast
import json

import pytest

from dmlkit.errors import UsageError
from dmlkit.report import build_report, find_notebooks, notebooks_folder
from dmlkit.report.planning.notebooks import read_notebook
from dmlkit.report.planning.plans import check_parameters, gather, plan
from dmlkit.report.planning.rungs import planned_rungs
from dmlkit.training import Study

OWN = "videos: int = 3  # how many [1 to 20]\nmood: str = 'calm'  # how it looks [calm, wild]\n"


@pytest.fixture
def notebooks(write_notebook, tmp_path):
    write_notebook("01-first", parameters=OWN)
    write_notebook(
        "02-second", parameters="videos: int = 3  # how many [1 to 9]\nseed: int = 0  # of weights\n"
    )
    return find_notebooks(tmp_path / "notebooks")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"vidoes": "3"}, "'vidoes'. Did you mean 'videos'? There are: mood, videos."),
        ({"videos": "many"}, "01-first: The parameter 'videos' takes a whole number, 1 to 20"),
        ({"videos": "10"}, "02-second: The parameter 'videos' takes a whole number, 1 to 9"),
        ({"mood": "wilt"}, "Did you mean 'wild'"),
        ({"profile": "demo"}, "'profile' is given by --profile"),
        ({"data": "x"}, "by --data"),
        ({"seed": "1"}, "by --seed"),
        ({"deterministic": "yes"}, "by --deterministic"),
        ({"runs": "x"}, "by the folder of the report"),
    ],
)
def test_an_unknown_mistyped_or_forbidden_parameter_is_an_error(notebooks, given, says):
    with pytest.raises(UsageError) as error:
        check_parameters(notebooks, given)
    assert says in str(error.value)
    with pytest.raises(UsageError, match=r"params\.yaml, line 7: ") as error:
        check_parameters(notebooks, given, origins=dict.fromkeys(given, "params.yaml, line 7"))
    assert says in str(error.value)


def test_a_parameter_of_a_notebook_that_is_not_chosen_says_which_have_it(notebooks):
    with pytest.raises(
        UsageError, match="None of the chosen notebooks has a parameter 'mood'; 01-first has it"
    ):
        check_parameters(notebooks[1:], {"mood": "wild"})
    check_parameters(notebooks, {"mood": "wild", "videos": "9"})
    with pytest.raises(UsageError, match="02-second"):
        check_parameters(notebooks, {"videos": "10"})
    check_parameters(notebooks[:1], {"videos": "10"})


def test_parameters_are_checked_before_a_data_set_or_a_folder_is_touched(notebooks, tmp_path):
    for given in ({"vidoes": "3"}, {"videos": "0"}):
        with pytest.raises(UsageError, match="parameter"):
            build_report(
                data=tmp_path / "generated",
                out=tmp_path / "out",
                folder=tmp_path / "notebooks",
                parameters=given,
            )
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks"}


def test_by_hand_wins_over_the_file_and_nothing_is_given_twice(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("videos: 5\nmood: wild\n", encoding="utf-8")
    given = gather([("videos", "7")], file)
    assert given.values == {"videos": "7", "mood": "wild"}
    assert given.origins == {"mood": f"{file}, line 2"}
    assert gather([]).values == {}
    with pytest.raises(UsageError, match="'videos' is given twice: as '7' and as '8'"):
        gather([("videos", "7"), ("videos", "8")], file)


def walk_on(data, tmp_path, profile="smoke"):
    return Study(data, profile=profile, runs=tmp_path / "runs", progress="silent")


def rungs_by_notebook(study, **given):
    found = find_notebooks(notebooks_folder())
    plans = plan(found, dataset=study.dataset, given=given, study=study)
    return {each.notebook.name: each.rungs for each in plans}


def test_the_rungs_of_the_walk_on_frames(generated, tmp_path):
    fusions = ("bi-gru-concat", "bi-gru-shared-space", "bi-gru-projection")
    variants = ("bi-gru-shared-space-glorot", "bi-gru-projection-glorot", "bi-gru-projection-closeness-0")
    study = walk_on(generated, tmp_path)
    assert rungs_by_notebook(study) == {
        "00-data": (),
        "01-baselines": ("lr", "lstm", "lr-no-norm"),
        "02-bi-lstm": ("bi-lstm",),
        "03-bi-gru": ("bi-gru-concat", "bi-gru-concat-no-norm"),
        "04-fusion": (*fusions, *variants),
        "05-attention": ("attention", "attention-bi-lstm"),
        "06-ensemble": ("lr", "lstm", "ensemble-lr-lstm", "ensemble-of-all"),
        "07-results": (),
        "08-beyond": (),
    }
    lean = rungs_by_notebook(study, ablations="no", fusion_ablations=False, all_experiments=False)
    assert lean["01-baselines"] == ("lr", "lstm")
    assert lean["04-fusion"] == fusions
    assert lean["06-ensemble"] == ("lr", "lstm", "ensemble-lr-lstm")
    thorough = rungs_by_notebook(walk_on(generated, tmp_path, "study"))
    assert {"bi-gru-exact", "bi-gru-concat-no-norm"} < set(thorough["03-bi-gru"])
    assert not (tmp_path / "runs").exists()


def test_the_rungs_of_the_walk_where_a_video_is_one_vector(generated, tmp_path):
    fusions = ("hidden-concat", "hidden-shared-space", "hidden-projection")
    variants = ("hidden-shared-space-glorot", "hidden-projection-glorot", "hidden-projection-closeness-0")
    study = walk_on(generated / "video", tmp_path)
    assert rungs_by_notebook(study) == {
        "00-data": (),
        "01-baselines": ("lr", "mixture-of-experts", "lr-no-norm"),
        "02-bi-lstm": (),
        "03-bi-gru": (),
        "04-fusion": (*fusions, *variants),
        "05-attention": (),
        "06-ensemble": ("lr", "mixture-of-experts", *fusions, "ensemble-video", "ensemble-of-all"),
        "07-results": (),
        "08-beyond": (),
    }


def test_what_is_beyond_is_trained_where_it_is_asked_for_and_its_teachers_and_bases_before(
    generated, tmp_path
):
    study = walk_on(generated, tmp_path)
    alone = find_notebooks(notebooks_folder(), ["08"])
    (rungs,) = planned_rungs(plan(alone, dataset=study.dataset, given={"beyond": True}), study)
    names = list(rungs)
    assert names[:4] == ["lr", "bi-lstm", "bi-gru-concat", "attention"] and names[-1] == "ensemble-of-best"
    assert {"netvlad-gated", "sru", "chaining", "attention-distilled"} < set(names)
    assert "audioset-best" not in names
    (rungs,) = planned_rungs(plan(alone, dataset=study.dataset, given={"recipes": True}), study)
    assert "audioset-best" in rungs and "netvlad" not in rungs
    video = walk_on(generated / "video", tmp_path)
    (rungs,) = planned_rungs(plan(alone, dataset=video.dataset, given={"beyond": True}), video)
    assert {"lr", "mixture-of-experts", "hidden-concat", "experts-gated", "hidden-concat-distilled"} < set(
        rungs
    )
    assert not {"netvlad", "transformer", "attention-mixup"} & set(rungs)


def test_the_ensemble_of_all_has_what_is_there_by_then(generated, tmp_path):
    study = walk_on(generated, tmp_path)
    found = find_notebooks(notebooks_folder())
    of_all = planned_rungs(plan(found, dataset=study.dataset, given={}), study)[6]["ensemble-of-all"]
    assert of_all.members == tuple(
        name for name, rung in study.rungs.items() if rung.chapter not in ("ensemble", "beyond")
    )
    alone = planned_rungs(plan(found[6:7], dataset=study.dataset, given={}), study)[0]["ensemble-of-all"]
    assert alone.members == ("lr", "lstm")


def calls(notebook):
    """What the code of a notebook trains: method or function → the chapters or names it is given."""
    cells = [cell for cell in json.loads(notebook.path.read_text())["cells"] if cell["cell_type"] == "code"]
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, [each.value for each in node.args if isinstance(each, ast.Constant)]


@pytest.mark.parametrize("notebook", find_notebooks(notebooks_folder()), ids=lambda notebook: notebook.name)
def test_what_a_notebook_says_it_trains_is_what_its_code_trains(notebook):
    told = {key: entry[key] for entry in notebook.trains for key in entry if key != "if"}
    made = list(calls(notebook))
    of = {name: [given[0] for called, given in made if called == name and given] for name, _ in made}
    # The last rung is looked up by its chapter and trained by name.
    chapters = of.get("train_chapter", []) + [name for name in of.get("chapter", []) if name == "ensemble"]
    assert chapters == [entry["chapter"] for entry in notebook.trains if "chapter" in entry]
    assert of.get("ablations_for", []) == [
        entry["ablations_for"] for entry in notebook.trains if "ablations_for" in entry
    ]
    assert ("fusion_variants" in of) == ("fusion_variants" in told)
    assert ("Ensemble" in of) == ("ensemble_of_all" in told)
    assert ("train" in of or "train_chapter" in of) == bool(notebook.trains)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"chaptr": "baselines"}, "Did you mean 'chapter'"),
        ({"if": "beside"}, "not one kind but 0"),
        ({"chapter": "a", "experiments": []}, "not one kind but 2"),
        ("baselines", "not one kind"),
        ({"chapter": "baselines", "if": "besides"}, "Did you mean 'beside'"),
        ({"chapter": "baselines", "if": "videos"}, "true-or-false parameter"),
    ],
)
def test_an_entry_that_cannot_be_read_is_an_error_of_the_notebook(write_notebook, entry, says):
    path = write_notebook("01-first", parameters="beside: bool = True  # more\nvideos: int = 3  # some\n")
    content = json.loads(path.read_text())
    content["metadata"]["dmlkit"]["trains"] = [entry]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"01-first\.ipynb") as error:
        read_notebook(path)
    assert says in str(error.value)


def test_the_digest_is_of_what_a_notebook_says_not_of_how_it_was_saved(write_notebook):
    path = write_notebook("01-first", "print(1)", "# A heading")
    content = json.loads(path.read_text())
    digest = read_notebook(path).digest

    def changed(change):
        other = json.loads(json.dumps(content))
        change(other)
        path.write_text(json.dumps(other, indent=4))
        return read_notebook(path).digest != digest

    code = next(
        place
        for place, cell in enumerate(content["cells"])
        if cell["source"] == ["print(1)"] or cell["source"] == "print(1)"
    )
    assert not changed(
        lambda notebook: notebook["metadata"].update(kernelspec={"name": "other", "display_name": "x"})
    )
    assert not changed(lambda notebook: notebook["cells"][code].update(execution_count=7, outputs=[]))
    assert not changed(lambda notebook: notebook["cells"][code].update(source=["print", "(1)"]))
    assert not changed(lambda notebook: notebook["cells"][code]["metadata"].update(collapsed=True))
    assert changed(lambda notebook: notebook["cells"][code].update(source="print(2)"))
    assert changed(lambda notebook: notebook["cells"][code].update(id="another"))
    assert changed(lambda notebook: notebook["cells"][code]["metadata"].update(tags=["times"]))
    assert changed(lambda notebook: notebook["metadata"]["dmlkit"].update(after=["00-data"]))
