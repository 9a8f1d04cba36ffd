import pytest
from IPython.core.formatters import DisplayFormatter

from dmlkit.explorer import LiveCurve

ROWS = [
    {"epoch": epoch, "loss": 8.0 / epoch, "tuning_gap": 0.1 * epoch, "seconds": 1.0} for epoch in (1, 2, 3)
]


@pytest.fixture
def shown(monkeypatch):
    """What would be displayed: (new or update, the bundle)."""
    found = []
    monkeypatch.setattr(
        "dmlkit.explorer.live_curve.DisplayHandle.display",
        lambda self, curve: found.append(("new", bundle(curve))),
    )
    monkeypatch.setattr(
        "dmlkit.explorer.live_curve.DisplayHandle.update",
        lambda self, curve: found.append(("update", bundle(curve))),
    )
    return found


def bundle(curve) -> dict:
    return DisplayFormatter().format(curve)[0]


def test_it_shows_itself_once_and_then_redraws_in_place(shown):
    curve = LiveCurve()
    for row in ROWS:
        curve(row)
    assert [kind for kind, _ in shown] == ["new", "update", "update"]
    last = shown[-1][1]
    assert last["text/plain"] == "epoch 3: loss 2.667, tuning GAP@20 0.3000"
    assert last["text/html"].count("<polyline") == 2
    assert "legend" not in last["text/html"].split("</style>")[1]
    assert "Training loss from 8 to 2.667" in last["text/html"]


def test_another_training_begins_anew(shown):
    curve = LiveCurve()
    for row in [*ROWS, ROWS[0]]:
        curve(row)
    assert [kind for kind, _ in shown] == ["new", "update", "update", "new"]
    assert curve.rows == [ROWS[0]]


def test_before_the_first_epoch_it_says_so():
    assert "No epoch" in bundle(LiveCurve())["text/html"]


def test_training_calls_it(shown, generated, tmp_path):
    from dmlkit.training import train

    curve = LiveCurve()
    run = train("lr", data=generated, out=tmp_path / "lr", profile="smoke", progress="silent", on_epoch=curve)
    assert [row["epoch"] for row in curve.rows] == [1, 2]
    assert [row["loss"] for row in curve.rows] == pytest.approx(run.history["loss"].tolist())
