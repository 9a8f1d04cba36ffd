"""The attention explorer without a browser: what Python and messages of the browser set, what a notebook keeps."""

import json

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import AttentionExplorer, explore, explore_arrays
from dmlkit.explorer.evidence import class_scores, reweight
from dmlkit.explorer.saved_view import MIME, as_shown, still_picture
from dmlkit.explorer.sources import ModelSource

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def source(smoke_runs, dataset):
    return ModelSource(smoke_runs["attention"], dataset)


@pytest.fixture
def view(source):
    return AttentionExplorer(source)


def ask(explorer, /, **message) -> list[dict]:
    """What the browser is sent in answer to a message."""
    sent = []
    explorer.send = sent.append
    explorer._answer(explorer, message, [])
    return sent


def test_browser_and_python_set_the_same_state(view, source):
    other, heard = AttentionExplorer(source), []
    view.on_change(lambda each: heard.append((each.frame, each.masked)))
    view.set_state({"masked": [4, 2]})
    view.temperature, view.top = 2, np.int64(4)
    view.set_state({"frame": 3})
    expected = reweight(view.evidence[0], masked=[2, 4], temperature=2.0, top=4)
    np.testing.assert_allclose(view.weights, expected[:, 0, 0])
    np.testing.assert_allclose(list(view.scores.values()), class_scores(view.evidence[0], expected))
    view.reset()
    view.removed, view.masked = np.array([2, 0, 0]), [1]
    (part,) = source.evidence(view.video, removed=[0, 2])
    np.testing.assert_allclose(view.weights[[1, 3, 4, 5, 6, 7, 8, 9]], reweight(part, masked=[0])[:, 0, 0])
    view.video = list(source.videos)[1]
    assert heard[0][1] == (2, 4) and heard[3][0] == 3 and heard[-1][1] == () and len(heard) == 8
    view.set_state({"removed": list(range(10))})  # as when every frame is removed by hand
    assert view.weights is None and view.scores is None
    assert other.masked == () and other.video == next(iter(source.videos))  # views are independent


def test_requests_of_the_browser_are_answered(view, source):
    request = {"kind": "evidence", "view": "a", "number": 7, "video": view.video}
    frames = {"removed": [0, 1], "muted": {"rgb": [2]}, "masked": [3]}
    (answer,) = ask(view, **request, **frames)
    assert {name: answer[name] for name in request} == request
    assert answer["runs"][0]["weights"]["shape"] == [view.frames - 2, 1, 1]
    for changes, text in (({"removed": [*range(10)]}, "No frame"), ({"video": "another"}, "no longer shown")):
        (answer,) = ask(view, **request | frames | changes)
        assert answer["kind"] == "failed" and text in answer["text"]
    assert ask(view, kind="menu", order="worst", label=None) == []
    assert view.video == next(iter(source.worst())) == view.menu["videos"][0][0]
    label = view.menu["classes"][1][0]
    ask(view, kind="menu", order="class", label=label)
    assert [name for name, _ in view.menu["videos"]] == source.videos_of(label)
    ask(view, kind="open", video="validate000005")
    assert view.video == "validate000005"
    ask(view, kind="open", video="validate")
    assert "no video 'validate'" in view.problem and view.video == "validate000005"
    many = explore_arrays({f"v{number}": [1.0] for number in range(250)})
    assert len(many.menu["videos"]) == 200 and many.menu["total"] == 250


def test_errors_of_callbacks_are_shown_and_raised(view):
    def broken(each):
        raise ValueError("it broke")

    stop = view.on_change(broken)
    with pytest.raises(ValueError, match="it broke"):
        view.frame = 1
    assert view.problem == "A callback failed, broken: ValueError: it broke"
    stop()
    view.frame = 0
    assert view.problem == ""


def test_wrong_values_are_refused_and_change_nothing(view):
    wrong = {"frame": ["a", 0.5, 10, -1], "masked": ["01", 3, [10]], "removed": [[0, 99], range(10)]}
    wrong |= {"temperature": [0, None, np.nan], "uniform": ["no", 1], "shown": ["x", ["x"]], "top": ["x", 0]}
    wrong |= {"video": ["no", None], "classes": ["a", [0.5], [99], ["short evnt 1"]]}
    for name, value in [(name, value) for name, values in wrong.items() for value in values]:
        before = getattr(view, name)
        with pytest.raises(UsageError, match=r"Received|There is no|has no class|No frame|Unknown"):
            setattr(view, name, value)
        assert getattr(view, name) == before
    with pytest.raises(DataError, match="no videos"):
        explore_arrays({})


def test_a_video_that_cannot_be_read_is_shown_and_raised(view, monkeypatch):
    good, second = view.source.evidence, list(view.source.videos)[1]

    def evidence(name, **settings):
        if name == second:
            raise DataError("weights holds nan at 3")
        return good(name, **settings)

    monkeypatch.setattr(view.source, "evidence", evidence)
    with pytest.raises(DataError, match="nan at 3"):
        view.video = second
    assert view.scene["videos"][0]["runs"][0]["problem"] == "weights holds nan at 3"
    assert not view.scene["live"] and view.weights is None
    assert "nan at 3" in view._repr_mimebundle_()["text/plain"]
    view.video = next(iter(view.source.videos))
    kept = view._repr_mimebundle_()[MIME]["videos"]
    assert kept[1]["runs"][0]["problem"] and "problem" not in kept[2]["runs"][0]


def test_a_notebook_keeps_chosen_classes_and_text_as_text(view, dataset):
    assert "classes" not in view._repr_mimebundle_()[MIME]["state"]  # each video shows its own
    rare = next(label for label, name in enumerate(dataset.class_names) if name not in view.scores)
    view.masked = [1]
    view.set_state({"classes": [rare]})
    assert dataset.class_names[rare] in view.scores and view.masked == (1,)
    assert view._repr_mimebundle_()[MIME]["state"]["classes"] == [rare]
    names = [f"{EVIL}{number}" for number in range(3)]
    evil = explore_arrays({EVIL: [1.0]}, scores={EVIL: [0.5] * 3}, class_names=names, run=EVIL, data=EVIL)
    page = evil._repr_mimebundle_()["text/html"]
    assert "<script" not in page and page.count("&lt;script&gt;") > 4


def test_what_the_browser_cannot_have_is_a_problem_and_keeps_its_value(view, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("none is left")

    monkeypatch.setattr(view.source, "evidence", fail)
    problems, before = [], view.scene
    view.observe(lambda change: problems.append(change.new), "problem")
    for _ in range(2):
        view.set_state({"explanation": "occlusion"})
    assert view.explanation == "own" and view.scene is before
    assert problems == ["MemoryError: none is left", "", "MemoryError: none is left"]


def test_what_is_drawn_is_what_was_set(view):
    assert as_shown(view, 0) == (view.evidence[0], "")
    view.removed = [0, 3]
    evidence, text = as_shown(view, 0)
    np.testing.assert_allclose(evidence.mean_weights, np.delete(view.weights, [0, 3]), atol=1e-6)
    np.testing.assert_allclose(evidence.scores, list(view.scores.values()), atol=1e-6)
    assert text == "Settings: 2 frames removed."
    assert "2 removed frames, which are restored here" in view._repr_mimebundle_()[MIME]["note"]
    view.masked = range(view.frames)
    assert "no frame is left" in as_shown(view, 0)[1]


def test_a_picture_of_any_evidence(sample_evidence):
    names = {"names": ("<b>$x^$</b>", "a\nb", ""), "video": "$v$\x00", "run": "<i>"}
    for changes in ({"frames": 0}, {"frames": 1, "linear": False}, names):
        plot = still_picture(sample_evidence(**changes), classes=[0, 1], frame=0)
        assert plot.png().startswith(b"\x89PNG")
    weights = np.full(6000, 0.5 / 5999)
    weights[4321] = 0.5
    evidence = sample_evidence(frames=6000, weights=weights, logits=np.log(weights))
    plot = still_picture(evidence, classes=[2, 99], frame=4000)
    drawn = plot.figure.axes[0].patches[0].get_data()
    assert len(drawn.values) <= 600 and drawn.values.max() == pytest.approx(0.5)  # several frames a bar
    assert drawn.edges[[0, -1]].tolist() == [-0.5, 5999.5]
    assert plot.figure.axes[0].lines[-1].get_xdata() == [4000, 4000]
    assert "highest weight 0.500 at frame 4322 (4321 s)" in plot.alt
    titles = " ".join(ax.get_title(loc="left") for ax in plot.figure.axes)
    assert "class 2" in titles and "class 0" not in titles
    # On a phone a panel's vertical axis is not named after that of the panel above.
    titles = [ax.get_title(loc="left").split("\n")[-1] for ax in plot.narrow.figure.axes]
    assert titles[0] == "weight" and "weight" not in titles[1:]


def test_the_state_restores_a_view(view, source, smoke_runs, dataset):
    first, second = list(source.videos)[:2]
    state = {"video": second, "masked": [1, 3], "muted": {"rgb": [0, 2]}, "temperature": 2.0, "range": [2, 4]}
    state |= {"explanation": "gradient_input", "window": [0, 5], "classes": [7, 2], "common_scale": False}
    view.state = state
    assert {name: view.state[name] for name in state} == state
    view.state = (whole := json.loads(json.dumps(view.state)))
    run = smoke_runs["attention"]
    again = explore(run, dataset, state=whole)
    assert again.state == whole and again.scores == view.scores
    assert again.scene["code"] == f"dmlkit.explore({str(run.path)!r}, {str(dataset.path)!r}"
    assert explore(run.model, dataset, split="train").scene["code"].startswith("dmlkit.explore(model, ")
    wrong = [{"masks": []}, {"frame": 99}, {"video": "no"}, {"video": first, "range": [3, 2]}]
    wrong += [{"muted": {"text": [0]}}, {"explanation": "shap"}, {"tab": "x"}, {"window": [0]}, {"range": []}]
    for each in wrong:
        with pytest.raises(UsageError):
            view.state = each
        assert view.state == whole
    view.reset()
    assert view.muted == {} and view.masked == () and view.range == (2, 4)


def test_muting_encodes_the_video_with_a_missing_modality(view, source):
    clips, _, _ = source.open_video(view.video)
    features = {name: each.copy() for name, each in clips[0].features.items()}
    features["rgb"][[1, 2]] = 127
    parts = source.models[0].parts(clips[0]._replace(features=features))
    view.muted = {"rgb": np.array([2, 1])}
    np.testing.assert_allclose(view.weights, parts.weights[:, 0, 0], atol=1e-6)
    expected = parts.scores[list(view.evidence[0].classes)]
    np.testing.assert_allclose(list(view.scores.values()), expected, atol=1e-6)
    assert as_shown(view, 0)[1] == "Settings: 2 frames muted in rgb."
    saved = view._repr_mimebundle_()[MIME]
    assert saved["state"]["muted"] == {} and "2 muted frames" in saved["note"]
    with pytest.raises(UsageError, match="model"):
        explore_arrays([0.5, 0.5], energy={"rgb": [1, 2]}).muted = {"rgb": [0]}


def test_a_selection_holds_what_is_drawn(view, source):
    view.classes, view.masked, view.removed = source.class_numbers([4, 0]), [3], [5]
    view.range = (3, 6)
    table, evidence = view.selection, view.encoded()[0]
    assert table.columns.tolist() == ["video", "run", "frame", "seconds", "class", "weight", "contribution"]
    assert table["frame"].tolist() == [3, 4, 5, 6] * 2 and set(table["video"]) == {view.video}
    weights = reweight(evidence, masked=[3])[:, 0, 0]
    column = evidence.contributions[:, 0, evidence.classes.index(4)]
    np.testing.assert_allclose(table["weight"][:4], [0, weights[4], 0, weights[5]], atol=1e-6)
    np.testing.assert_allclose(
        table["contribution"][:4], [0, *(weights * column)[[4]], np.nan, (weights * column)[5]]
    )
    view.reset()
    view.explanation = "gradient_input"
    table, terms = view.selection, view.evidence[0].terms[3:7, :, view.evidence[0].classes.index(4)]
    split = [f"contribution {name}" for name in view.evidence[0].term_modalities]
    np.testing.assert_allclose(table[split][:4], terms)
    np.testing.assert_allclose(table["contribution"][:4], terms.sum(axis=1), rtol=1e-5)
    exact = class_scores(evidence := source.evidence(view.video)[0], reweight(evidence, temperature=2.0))
    view.temperature = 2
    assert [view.scores[name] for name in evidence.names] == pytest.approx(exact.tolist(), abs=1e-6)
    assert "terms are those of the own weights" in as_shown(view, 0)[1]
    view.range, view.classes = None, []
    assert view.selection["frame"].tolist() == [view.frame] and view.selection["class"].isna().all()
    assert explore_arrays([]).selection.empty
    similar = view.similar(limit=3)
    assert similar.columns.tolist() == ["video", "frame", "seconds", "similarity"] and len(similar) == 3
    (answer,) = ask(view, kind="similar", view="a", number=1, frames=[view.frame], limit=3)
    assert answer["rows"] == similar.to_dict("records") and "Cosine" in answer["note"]


def test_classes_by_truth_scores_and_changes(view, source):
    evidence = view.evidence[0]
    ask(view, kind="classes", choice="true")
    assert view.classes == evidence.true
    ask(view, kind="classes", choice="top")
    assert view.classes == tuple(np.array(evidence.classes)[np.argsort(-evidence.scores)[:3]])
    ask(view, kind="classes", choice="changed")
    assert "No score has changed" in view.problem
    view.masked = [view.frame]
    change = abs(np.array(list(view.scores.values())) - evidence.scores)
    view.show_classes("changed")
    assert view.classes == tuple(np.array(evidence.classes)[np.argsort(-change, kind="stable")[:3]])
    view.chosen_classes = None
    ask(view, kind="menu", order="worst", label=None)
    missed = {name: each.missed for name, each in source.worst().items() if each.missed is not None}
    name = next(each for each, label in missed.items() if source.evidence(each)[0].true[0] != label)
    ask(view, kind="open", video=name)
    assert view.classes[0] == missed[name] and len(view.classes) == 3
    ask(view, kind="similarity", of="rgb")
    assert view.tab == "similarity" and view.scene["similarity"]["of"] == "rgb"


@pytest.mark.parametrize("kind", ["heads", "by_class", "clusters", "none"])
def test_a_picture_and_settings_of_each_kind(view, sample_evidence, monkeypatch, kind):
    evidence = sample_evidence(kind=kind, frames=view.frames, run=view.source.runs[0])
    plot = still_picture(evidence, classes=[0, 2], frame=1)
    titles = [ax.get_title(loc="left") for ax in plot.figure.axes]
    first = {"heads": "mean of 3", "by_class": "class 0", "clusters": "clusters", "none": "rollout"}
    assert first[kind] in titles[0] and sum(each.startswith("class 0 ") for each in titles) == 1
    terms = [ax for ax in plot.figure.axes if ax.get_ylabel() == "contribution"]
    assert len(terms) == 2 and terms[0].get_ylim() == terms[1].get_ylim()  # one scale for all classes
    assert (len(plot.figure.axes[0].child_axes) == 1) == (kind == "clusters")  # its colour bar
    view.evidence = (evidence,)
    if kind in ("clusters", "none"):
        assert view.weights is None and "weighs no frames" in plot.alt
        with pytest.raises(UsageError, match="Remove or mute" if kind == "none" else "Mask, remove or mute"):
            view.temperature = 2
    else:
        view.set_trait("classes", (2,))
        own = evidence.weights[..., -1].mean(axis=1)  # of class 2, or of all
        np.testing.assert_allclose(view.weights, own, atol=1e-6)
        np.testing.assert_allclose(view.selection["weight"], own[[view.frame]], atol=1e-6)
    if kind == "none":
        with pytest.raises(UsageError, match="Remove or mute"):
            view.masked = [1]


def test_a_scene_stays_small(sample_evidence):
    for kind, most in (("attention", 60), ("by_class", 120), ("heads", 140), ("none", 80)):
        packed = json.dumps(sample_evidence(frames=300, classes=20, kind=kind).to_json())
        assert len(packed) < most * 1000
