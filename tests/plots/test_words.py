import numpy as np
import pytest

from dmlkit import plots
from dmlkit.predictions import Predictions
from dmlkit.profiles import PROFILES


def test_generated_data_say_so_first(data):
    assert plots.data_note(data).startswith("GENERATED DATA, not real videos")


def test_real_data_are_named_with_what_was_inferred_and_capped(make_data):
    note = plots.data_note(make_data(generated=False), PROFILES["demo"])
    assert "GENERATED" not in note
    assert note.startswith("made up, frame level: rgb (6 numbers) and audio (6 numbers); 10 classes;")
    assert "30,000 to train, 200 for tuning, 100 to validate" in note
    assert "Of the train part 20,000 videos are used." in note
    assert "Of the validate part" not in note
    assert "Every fifth shard validates." in note


def test_the_conditions_of_every_profile_are_a_sentence():
    for profile in PROFILES.values():
        said = plots.say_conditions(profile)
        assert profile.name in said and f"at most {profile.epochs} passes" in said


def test_a_difference_has_its_paired_interval(make_run):
    good, bad = make_run("good", quality=0.9), make_run("bad", quality=0.1)
    said = plots.say_difference(good, bad)
    assert f"a difference of {good.gap - bad.gap:+.4f}" in said
    assert "more than another draw of these videos would explain" in said


def test_no_difference_is_not_called_one(make_run):
    assert "could have turned round" in plots.say_difference(make_run("a"), make_run("b"))


def test_runs_are_compared_video_by_video_whatever_their_order(make_run):
    run, turned = make_run("a"), make_run("b")
    kept = turned.predictions
    turned.__dict__["predictions"] = Predictions(
        ids=kept.ids[::-1], labels=kept.labels[::-1], scores=kept.scores[::-1]
    )
    assert "a difference of +0.0000" in plots.say_difference(run, turned)


def test_runs_on_other_videos_are_not_compared(make_run):
    run, other = make_run("a"), make_run("b")
    kept = other.predictions
    other.__dict__["predictions"] = Predictions(
        ids=np.char.add(kept.ids, "x"), labels=kept.labels, scores=kept.scores
    )
    assert "cannot be compared" in plots.say_difference(run, other)


@pytest.mark.parametrize("first, second", [(None, None), ("run", None), (None, "run")])
def test_nothing_to_compare(first, second, make_run):
    run = make_run("a")
    assert "nothing to compare" in plots.say_difference(first and run, second and run)


def test_the_best_of_many_one_and_none(nine_runs):
    assert "own" in plots.say_best(nine_runs)
    assert "one run so far: lr" in plots.say_best([nine_runs["lr"]])
    assert "No rung" in plots.say_best({})


def test_an_ensemble_is_held_against_its_best_member(nine_runs):
    members = [nine_runs["lr"], nine_runs["lstm"]]
    said = plots.say_ensemble(nine_runs["ensemble-lr-lstm"], members)
    assert "lr 0.500, lstm 0.500" in said and "paired" in said
    assert "no ensemble" in plots.say_ensemble(None, members)


def test_a_sentence_is_a_paragraph_and_escaped():
    sentence = plots.Sentence("a < b & c")
    assert sentence._repr_html_() == '<p class="dmlkit-sentence">a &lt; b &amp; c</p>'
