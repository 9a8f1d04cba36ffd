"""`explore` without a browser: what code reads and sets, what is said when it cannot be, what a notebook keeps."""

import json
import subprocess
import sys

import numpy as np
import pytest

import dmlkit
from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import weighing
from dmlkit.explorer.evidence import Evidence
from dmlkit.explorer.saved_view import MIME

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def dataset(generated):
    return dmlkit.open_dataset(generated)


@pytest.fixture(scope="module")
def source(smoke_runs, dataset):
    from dmlkit.explorer.sources import ModelSource

    return ModelSource(smoke_runs["attention"], dataset)


@pytest.fixture
def view(source):
    from dmlkit.explorer import AttentionExplorer

    return AttentionExplorer(source)


def arrays(frames: int = 6, classes: int = 3, **more):
    rng = np.random.default_rng(0)
    given = {"contributions": rng.normal(size=(frames, classes)), "class_names": list("abcdef"[:classes])}
    return dmlkit.explore_arrays(np.full(frames, 1 / frames), **given | more)


def ask(view, frames, *, video=None) -> dict:
    """What the view is sent when it asks for the video without some frames."""
    sent = []
    view._widget.send = sent.append
    view._widget._asked(
        None, {"kind": "remove", "number": 7, "video": video or view.video, "frames": frames}, []
    )
    return sent[0]


def test_one_line_shows_the_first_video_at_its_heaviest_frame(smoke_runs, dataset):
    run = smoke_runs["attention"]
    view = dmlkit.explore(run.path, dataset)
    assert view.video == run.predictions.ids[0]
    assert view.frame == view.weights.argmax() and view.weights.sum() == pytest.approx(1, abs=1e-6)
    told = dict(zip(dataset.class_names, run.predictions.scores[0].tolist(), strict=True))
    assert all(score == pytest.approx(told[name], abs=2e-3) for name, score in view.scores.items())
    assert set(view.classes[:1]) <= set(np.flatnonzero(run.predictions.labels[0]).tolist())


def test_weights_and_scores_follow_what_is_set(view):
    evidence = view.evidence[0]
    view.masked, view.temperature, view.top = [3, 1, 1], 2.0, 4
    assert view.masked == (1, 3)
    expected = weighing.optimize_weights(evidence, masked=[1, 3], temperature=2.0, top=4)
    np.testing.assert_allclose(view.weights, expected)
    np.testing.assert_allclose(list(view.scores.values()), weighing.scores_of(evidence, expected))
    view.uniform = True
    assert sorted(set(view.weights.tolist())) == [0, 0.25]
    view.reset()
    assert view.masked == () and view.temperature == 1 and view.top is None and not view.uniform
    np.testing.assert_allclose(view.weights, evidence.weights, atol=1e-6)
    view.masked = range(view.frames)
    assert view.weights is None and view.scores is None


def test_removed_frames_are_encoded_without(view, source):
    view.removed, view.masked = [2, 0], [1]
    (part,) = source.evidence(view.video, classes=view.evidence[0].classes, removed=[0, 2])
    expected = weighing.optimize_weights(part, masked=[0])
    np.testing.assert_allclose(view.weights[[1, 3, 4, 5, 6, 7, 8, 9]], expected)
    assert view.weights[0] == view.weights[2] == 0
    np.testing.assert_allclose(list(view.scores.values()), weighing.scores_of(part, expected))


def test_the_view_is_answered_also_when_it_cannot_be_helped(view):
    answer = ask(view, [0, 1])
    assert (answer["kind"], answer["number"]) == ("evidence", 7)
    assert Evidence.from_json(answer["runs"][0]).frames == view.frames - 2
    assert "No frame" in ask(view, list(range(view.frames)))["text"]
    assert ask(view, [0], video="another")["kind"] == "failed"


def test_two_views_of_one_run_are_independent(view, source):
    from dmlkit.explorer import AttentionExplorer

    other = AttentionExplorer(source)
    view.masked = [0]
    view.video = list(source.videos)[2]
    assert other.masked == () and other.video == next(iter(source.videos))


def test_a_callback_hears_of_changes_from_both_sides_and_its_errors_are_shown(view):
    heard = []
    stop = view.on_change(lambda each: heard.append((each.frame, each.masked)))
    view.frame = 2
    view._widget.set_state({"masked": [4]})  # what the browser does
    view.video = list(view.source.videos)[1]
    assert heard[:2] == [(2, ()), (2, (4,))] and heard[2][1] == () and len(heard) == 3
    stop()

    def broken(each):
        raise ValueError("told you")

    view.on_change(broken)
    with pytest.raises(ValueError, match="told you"):
        view.frame = 1
    assert view._widget.problem == "A callback failed, broken: ValueError: told you"
    view._widget.set_state({"frame": 3})  # nobody to raise it to: it is shown
    assert "told you" in view._widget.problem
    view.callbacks.clear()
    view.frame = 0
    assert view._widget.problem == "" and len(heard) == 3


def test_a_new_video_begins_anew_and_keeps_the_chosen_classes(view, dataset):
    rare = next(name for name in dataset.class_names if name not in view.scores)
    view.classes = [rare, view.evidence[0].names[0]]
    assert rare in view.scores and len(view.classes) == 2
    chosen, view.masked = view.classes, [0]
    view.video = list(view.source.videos)[3]
    assert view.masked == () and view.classes == chosen and rare in view.scores
    assert view.frame == view.weights.argmax()


def test_what_cannot_be_chosen_is_said(view, dataset):
    with pytest.raises(UsageError, match=r"no video 'validate00000'.*Did you mean 'validate"):
        view.video = "validate00000"
    for name, value in (("frame", 10), ("frame", -1), ("masked", [10]), ("removed", [0, 99])):
        with pytest.raises(UsageError, match="frames 0 to 9"):
            setattr(view, name, value)
    for name, value in (("temperature", 0), ("temperature", float("nan")), ("top", 0)):
        with pytest.raises(UsageError, match=name if name == "temperature" else "At least one"):
            setattr(view, name, value)
    with pytest.raises(UsageError, match=r"no class 'short evnt 1'.*Did you mean"):
        view.classes = ["short evnt 1"]
    with pytest.raises(UsageError, match="no run 'x'"):
        view.shown = ["x"]
    with pytest.raises(UsageError, match="No frame"):
        view.removed = range(10)
    assert view.removed == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("top", 1.7), ("top", "x"), ("top", True), ("frame", 0.5), ("frame", "a"), ("masked", [0.5]), ("masked", 3),
     ("masked", "01"), ("removed", [0.5]), ("uniform", "no"), ("uniform", 1), ("classes", "a"), ("classes", 0),
     ("classes", [0.5]), ("shown", "weights"), ("temperature", "a"), ("temperature", None), ("video", None)],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_changes_nothing(name, value):
    view = arrays()
    before = getattr(view, name)
    with pytest.raises(UsageError, match=r"expected|no video"):
        setattr(view, name, value)
    assert getattr(view, name) == before


def test_what_cannot_be_opened_is_said(smoke_runs, dataset):
    for run, data in ((None, dataset), (3, dataset), ({"a": 1}, dataset), (smoke_runs["attention"], None)):
        with pytest.raises(UsageError, match=r"expected a (run|data set).*Received"):
            dmlkit.explore(run, data)
    with pytest.raises(UsageError, match="classes: expected a list"):
        dmlkit.explore_arrays([0.5, 0.5], contributions=np.eye(2), classes="a")


def test_more_videos_than_can_be_chosen_are_said(smoke_runs, dataset):
    view = dmlkit.explore(smoke_runs["attention"], dataset, max_videos=4)
    total = f"{dataset.num_videos('validate'):,}"
    assert len(view.source.videos) == 4 and f"the first 4 of {total} videos" in view._widget.scene["note"]
    with pytest.raises(UsageError, match=rf"among the first 4 of {total} videos \(max_videos=4"):
        view.video = "validate000005"


def test_the_picker_says_that_its_menu_is_cut_short():
    view = dmlkit.explore_arrays({f"v{number}": [1.0] for number in range(250)})
    assert "the first 200 of 250 videos" in view._picker._said.value
    view._picker._id.value = "v249"
    assert view.video == "v249"


def test_several_runs_are_each_told_by_name(smoke_runs, dataset, source):
    from dmlkit.explorer import AttentionExplorer
    from dmlkit.explorer.sources import ModelSource

    two = AttentionExplorer(ModelSource([smoke_runs["attention"].path] * 2, dataset))
    first, second = two.source.runs
    assert list(two.scores_by_run()) == [first, second] and two.scores_by_run()[first] == two.scores
    assert f"{first}, the first of 2 runs; not drawn: {second}" in two._repr_mimebundle_()["text/plain"]
    assert any("worst mistakes of" in label for label, _ in two._picker._by.options)
    two.shown = [second]
    assert f"{second}, one of 2 runs" in two._repr_mimebundle_()["text/html"]


def test_picture_and_words_are_of_what_was_set(view):
    assert "As set" not in view._repr_mimebundle_()["text/plain"]
    view.masked = [int(view.evidence[0].weights.argmax())]
    said = view._repr_mimebundle_()["text/plain"]
    name, score = max(view.scores.items(), key=lambda item: item[1])
    assert "As set: 1 frame masked." in said and f"Highest scores: {name} {score:.3f}" in said
    assert f"frame {view.weights.argmax() + 1} at" in said and f"a weight of {view.weights.max():.3f}" in said
    view.masked, view.removed = [], [0, 3]
    kept = view._repr_mimebundle_()
    name, score = max(view.scores.items(), key=lambda item: item[1])
    assert "As set: 2 frames removed." in kept["text/plain"]
    assert f"Highest scores: {name} {score:.3f}" in kept["text/plain"]
    assert "2 frames removed; here they are given back" in kept[MIME]["note"]
    view.masked = range(view.frames)
    assert "no frame weighs anything" in view._repr_mimebundle_()["text/plain"]


def test_only_chosen_classes_are_saved(view):
    assert "classes" not in view._repr_mimebundle_()[MIME]["state"]
    view._widget.set_state({"classes": [view.evidence[0].classes[1]]})
    assert view._repr_mimebundle_()[MIME]["state"]["classes"] == [view.evidence[0].classes[1]]


def test_the_picker_goes_by_class_and_by_mistakes(view, dataset):
    picker = view._picker
    picker._by.value = "worst"
    assert view.video == next(iter(view.source.worst())) and "scored" in picker._video.options[0][0]
    picker._by.value = "class"
    label = picker._class.value
    assert view.video in view.source.videos_of(label)
    picker._video.value = picker._video.options[1][1]
    assert view.video == picker._video.options[1][1]
    view.video = list(view.source.videos)[-1]
    assert picker._video.value == view.video


def test_a_notebook_keeps_every_form(view):
    view.masked, view.frame = [1], 5
    kept = view._repr_mimebundle_()
    assert kept["application/vnd.jupyter.widget-view+json"]["model_id"] == view.widget.model_id
    scene = json.loads(json.dumps(kept[MIME]))
    assert [video["id"] for video in scene["videos"]] == list(view.source.videos)[:3]
    assert scene["state"]["masked"] == [1] and scene["state"]["frame"] == 5 and not scene["live"]
    assert "<script" not in kept["text/html"] and "data:image/png;base64," in kept["text/html"]
    assert "in JupyterLab" in kept["text/html"] and "http" not in kept["text/html"].replace(
        "http://www.w3.org", ""
    )
    assert kept["image/png"].startswith("iVBOR")
    assert view.video in kept["text/plain"] and "entropy" in kept["text/plain"]


def test_names_with_markup_stay_text():
    view = arrays(class_names=[EVIL + "1", EVIL + "2", EVIL + "3"], run=EVIL, data=EVIL)
    kept = view._repr_mimebundle_()
    assert "<script" not in kept["text/html"] and "&lt;script&gt;" in kept["text/html"]


def test_plain_arrays_need_neither_a_model_nor_tensorflow():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras'):\n    sys.modules[name] = None\n"
        "import numpy as np, dmlkit\n"
        "view = dmlkit.explore_arrays(np.array([.5, .5]), contributions=np.eye(2), class_names=['a', 'b'])\n"
        "view.masked = [0]\n"
        "print(view.weights.tolist(), sorted(view._repr_mimebundle_())[-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0.0, 1.0] text/plain"


def test_arrays_can_be_masked_but_not_removed():
    view = arrays()
    view.masked = [0, 1]
    np.testing.assert_allclose(view.weights[2:], 0.25)
    assert not view._widget.scene["live"]
    with pytest.raises(UsageError, match="there is no model here"):
        view.removed = [0]


def test_arrays_of_no_frames_are_shown_in_words():
    view = dmlkit.explore_arrays([])
    assert view.frames == 0 and view.weights is None
    assert "no frames" in view._repr_mimebundle_()["text/plain"]


def test_weights_that_are_no_numbers_are_said_in_the_view(view, monkeypatch):
    good = view.source.evidence

    def evidence(name, **settings):
        if name == list(view.source.videos)[1]:
            raise DataError("weights holds nan at 3")
        return good(name, **settings)

    monkeypatch.setattr(view.source, "evidence", evidence)
    kept = view._repr_mimebundle_()[MIME]["videos"]  # one that is broken takes none of the others with it
    assert [video["id"] for video in kept] == list(view.source.videos)[:3]
    assert kept[1]["runs"][0]["problem"] == "weights holds nan at 3"
    assert "weights" in kept[0]["runs"][0] and "weights" in kept[2]["runs"][0]
    with pytest.raises(DataError, match="holds nan at 3"):
        view.video = list(view.source.videos)[1]
    assert view._widget.scene["videos"][0]["runs"][0]["problem"] == "weights holds nan at 3"
    assert view.weights is None and view._repr_mimebundle_()["text/plain"] == "weights holds nan at 3"
    view.video = list(view.source.videos)[2]
    assert view.weights is not None and "problem" not in view._widget.scene["videos"][0]["runs"][0]


def test_runs_that_cannot_be_looked_into_say_why(smoke_runs, dataset, generated):
    with pytest.raises(UsageError, match=r"has no attention.*'attention'.*bi_gru.*attention-bi-lstm"):
        dmlkit.explore(smoke_runs["lr"], dataset)
    with pytest.raises(DataError, match="no finished run"):
        dmlkit.explore(generated / "nothing", dataset)
    with pytest.raises(DataError, match="nowhere"):
        dmlkit.explore(smoke_runs["attention"], generated / "nowhere")
    with pytest.raises(UsageError, match="no split 'validat'"):
        dmlkit.explore(smoke_runs["attention"], dataset, split="validat")
