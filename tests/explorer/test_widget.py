"""`explore` without a browser: what Python and messages of the browser read and set, and what a notebook keeps."""

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.explorer import AttentionExplorer, explore_arrays
from dmlkit.explorer.evidence import class_scores, reweight
from dmlkit.explorer.saved_view import MIME, as_shown, still_picture

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def source(smoke_runs, dataset):
    from dmlkit.explorer.sources import ModelSource

    return ModelSource(smoke_runs["attention"], dataset)


@pytest.fixture
def view(source):
    return AttentionExplorer(source)


def arrays(frames: int = 6, classes: int = 3, **more):
    rng = np.random.default_rng(0)
    given = {"contributions": rng.normal(size=(frames, classes)), "class_names": list("abcdef"[:classes])}
    return explore_arrays(np.full(frames, 1 / frames), **given | more)


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
    np.testing.assert_allclose(view.weights, expected)
    np.testing.assert_allclose(list(view.scores.values()), class_scores(view.evidence[0], expected))
    view.reset()
    view.removed, view.masked = np.array([2, 0, 0]), [1]
    (part,) = source.evidence(view.video, classes=view.evidence[0].classes, removed=[0, 2])
    np.testing.assert_allclose(view.weights[[1, 3, 4, 5, 6, 7, 8, 9]], reweight(part, masked=[0]))
    view.video = list(source.videos)[1]
    assert heard[0][1] == (2, 4) and heard[3][0] == 3 and heard[-1][1] == () and len(heard) == 8
    view.set_state({"removed": list(range(10))})  # as when every frame is removed by hand
    assert view.weights is None and view.scores is None
    assert other.masked == () and other.video == next(iter(source.videos))  # views are independent


def test_requests_of_the_browser_are_answered(view):
    request = {"kind": "remove", "view": "a", "number": 7, "video": view.video}
    (answer,) = ask(view, **request, frames=[0, 1])
    assert {name: answer[name] for name in request} == request | {"kind": "evidence"} and answer[
        "frames"
    ] == [0, 1]
    assert answer["runs"][0]["weights"]["shape"] == [view.frames - 2]
    (answer,) = ask(view, **request, frames=list(range(10)))
    assert answer["kind"] == "failed" and "No frame" in answer["text"]
    (answer,) = ask(view, **request | {"video": "another"}, frames=[0])
    assert "no longer shown" in answer["text"]


def test_menus_list_videos_by_class_and_by_worst_mistakes(view, source):
    assert [key for key, _ in view.menu["orders"]] == ["order", "class", "worst"] and view.menu[
        "total"
    ] == 100
    assert ask(view, kind="menu", order="worst", label=None) == []
    assert view.video == next(iter(source.worst())) == view.menu["videos"][0][0]
    label = view.menu["classes"][1][0]
    ask(view, kind="menu", order="class", label=label)
    assert [name for name, _ in view.menu["videos"]] == source.videos_of(
        label
    ) and view.video in source.videos_of(label)
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
    view.problem = ""
    view.set_state({"frame": 3})  # nobody could catch it
    assert "it broke" in view.problem
    stop()
    view.frame = 0
    assert view.problem == ""


def test_wrong_values_are_refused_and_change_nothing(view):
    wrong = {
        "top": ["x", True, 0],
        "frame": ["a", 0.5, 10, -1],
        "masked": ["01", 3, [10]],
        "uniform": ["no", 1],
    }
    wrong |= {"classes": ["a", [0.5], [99], ["short evnt 1"]], "shown": ["x", ["x"]], "video": ["no", None]}
    wrong |= {"temperature": [0, None, float("nan")], "removed": [[0, 99], range(10)]}
    for name, values in wrong.items():
        for value in values:
            before = getattr(view, name)
            with pytest.raises(UsageError, match=r"Received|There is no|has no class|No frame"):
                setattr(view, name, value)
            assert getattr(view, name) == before
    with pytest.raises(UsageError, match="keep"):
        arrays(keep=0)
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
    assert (
        not view.scene["live"]
        and view.weights is None
        and "nan at 3" in view._repr_mimebundle_()["text/plain"]
    )
    view.video = next(iter(view.source.videos))
    assert view.weights is not None
    kept = view._repr_mimebundle_()[MIME]["videos"]
    assert kept[1]["runs"][0]["problem"] and "problem" not in kept[2]["runs"][0]


def test_a_notebook_keeps_chosen_classes_and_text_as_text(view, dataset):
    assert "classes" not in view._repr_mimebundle_()[MIME]["state"]  # each video shows its own
    rare = next(label for label, name in enumerate(dataset.class_names) if name not in view.scores)
    view.masked = [1]
    view.set_state({"classes": [rare]})
    assert dataset.class_names[rare] in view.scores and view.masked == (1,)
    assert view._repr_mimebundle_()[MIME]["state"]["classes"] == [rare]
    evil = arrays(class_names=[EVIL + "1", EVIL + "2", EVIL + "3"], run=EVIL, data=EVIL)._repr_mimebundle_()
    assert "<script" not in evil["text/html"] and "&lt;script&gt;" in evil["text/html"]


def test_what_is_drawn_is_what_was_set(view, source):
    assert as_shown(view, 0) == (view.evidence[0], "")
    for name, frames in (("masked", [int(view.evidence[0].weights.argmax())]), ("removed", [0, 3])):
        view.reset()
        setattr(view, name, frames)
        evidence, text = as_shown(view, 0)
        kept = np.setdiff1d(np.arange(10), view.removed)
        np.testing.assert_allclose(evidence.weights, view.weights[kept], atol=1e-6)
        np.testing.assert_allclose(evidence.scores, list(view.scores.values()), atol=1e-6)
        assert text == f"Settings: {len(frames)} frame{'s' * (len(frames) > 1)} {name}."
    assert "2 removed frames, which are restored here" in view._repr_mimebundle_()[MIME]["note"]
    view.masked = range(view.frames)
    assert "no frame is left" in as_shown(view, 0)[1]


def test_a_picture_of_any_evidence(sample_evidence):
    nothing = {"classes": 0, "contributions": None, "biases": None, "energy": {}, "change": {}, "true": None}
    names = {"names": ("<b>$x^$</b>", "a\nb", ""), "video": "$v$\x00", "run": "<i>"}
    for changes in ({"frames": 0}, {"frames": 1, "linear": False}, nothing | names | {"names": ()}, names):
        assert still_picture(sample_evidence(**changes), frame=0).png().startswith(b"\x89PNG")
    weights = np.full(6000, 0.5 / 5999)
    weights[4321] = 0.5
    evidence = sample_evidence(frames=6000, weights=weights, logits=np.log(weights))
    plot = still_picture(evidence, classes=[2, 99])
    drawn = plot.figure.axes[0].patches[0].get_data()
    assert len(drawn.values) <= 600 and drawn.values.max() == pytest.approx(0.5)  # several frames a bar
    assert "highest weight 0.500 at frame 4322 (4321 s)" in plot.alt
    titles = " ".join(ax.get_title(loc="left") for ax in plot.figure.axes)
    assert "class 2" in titles and "class 0" not in titles
