"""The still picture and its words: they say the evidence's numbers, and never fail."""

import numpy as np
import pytest

from dmlkit.explorer.still import say_evidence, still

PNG = b"\x89PNG"


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 12])
def test_a_picture_of_any_evidence(sample_evidence, frames, linear):
    plot = still(sample_evidence(frames=frames, linear=linear), frame=0)
    assert plot.png().startswith(PNG)
    assert plot.alt == say_evidence(sample_evidence(frames=frames, linear=linear))


def test_nothing_but_weights(sample_evidence):
    evidence = sample_evidence(
        frames=4, classes=0, contributions=None, biases=None, energy={}, change={}, true=None
    )
    assert still(evidence).png().startswith(PNG)
    assert "Highest scores" not in say_evidence(evidence)


def test_no_frames_are_said(sample_evidence):
    plot = still(sample_evidence(frames=0))
    assert "no frames" in plot.alt and plot.png().startswith(PNG)


def test_thousands_of_frames_are_drawn_as_few_bars(sample_evidence):
    weights = np.full(6000, 0.5 / 5999)
    weights[4321] = 0.5
    plot = still(sample_evidence(frames=6000, weights=weights, logits=np.log(weights)))
    drawn = plot.figure.axes[0].patches[0].get_data()
    assert len(drawn.values) <= 600 and drawn.values.max() == pytest.approx(0.5)
    assert drawn.edges[0] == -0.5 and drawn.edges[-1] == 5999.5
    assert "frame 4322 at 4321 s" in plot.alt


def test_the_words_are_the_numbers(sample_evidence):
    evidence = sample_evidence(frames=4, weights=[0.1, 0.2, 0.3, 0.4], logits=np.log([0.1, 0.2, 0.3, 0.4]), true=(0,),
                               planted={0: [0, 0, 0, 1]})  # fmt: skip
    said = say_evidence(evidence)
    assert "frame 4 at 3 s with a weight of 0.400 (uniform: 0.250)" in said
    assert f"class 0 {evidence.scores[0]:.3f} (true)" in said
    first = int(evidence.scores.argmax())
    sum_of_frames = float(evidence.weights @ evidence.contributions[:, first])
    assert f"class {first} gets {sum_of_frames:+.2f} from the frames" in said
    assert f"and {evidence.biases[first]:+.2f} from its bias" in said
    assert "planted in 25% of the frames, which hold 40% of the weight" in said


def test_classes_stand_in_the_order_of_the_runs_own_scores(sample_evidence):
    # Side by side with another run the classes are carried in the order of both together.
    evidence = sample_evidence(scores=[0.1, 0.7, 0.3], true=())
    assert "Highest scores: class 1 0.700, class 2 0.300, class 0 0.100." in say_evidence(evidence)
    assert "class 1 gets" in say_evidence(evidence)
    texts = [text.get_text() for text in still(evidence).figure.axes[-1].texts]
    assert [text.split()[1] for text in texts] == ["1", "2", "0"]


def test_a_note_stands_in_the_picture_and_its_words(sample_evidence):
    plot = still(sample_evidence(), note="As set: 2 frames masked.")
    assert plot.alt.startswith("As set: 2 frames masked. Attention on video")
    assert "As set: 2 frames masked." in plot.figure.get_supxlabel()


def test_a_classifier_that_is_not_linear_is_named(sample_evidence):
    assert "not linear, so frames are told by occlusion" in say_evidence(sample_evidence(linear=False))


def test_markup_and_formulas_are_only_text(sample_evidence):
    names = ("<b>$x^$</b>", "a\nb", "")
    plot = still(sample_evidence(names=names, video="$v$\x00", run="<i>"))
    assert plot.png().startswith(PNG) and "<b>$x^$</b>" in plot.alt


def test_the_classes_drawn_can_be_chosen(sample_evidence):
    titles = [ax.get_title(loc="left") for ax in still(sample_evidence(), classes=[2, 99]).figure.axes]
    assert any("class 2" in title for title in titles)
    assert not any("class 0" in title for title in titles)
