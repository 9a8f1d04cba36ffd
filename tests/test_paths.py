"""Where things lie when nobody says."""

from pathlib import Path

import pytest

from dmlkit import paths

CHECKOUT = Path(__file__).parents[1]


def test_home_is_the_named_folder_else_the_checkout_whatever_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(paths.SETTING, raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.home() == CHECKOUT
    assert paths.generated_data() == CHECKOUT / "data" / "generated"
    monkeypatch.setenv(paths.SETTING, str(tmp_path / "home"))
    assert paths.home() == tmp_path / "home"
    monkeypatch.setenv(paths.SETTING, "")
    assert paths.home() == CHECKOUT


def test_an_installed_package_is_at_home_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(paths.SETTING, raising=False)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "site-packages" / "dmlkit" / "paths.py"))
    monkeypatch.chdir(tmp_path)
    assert paths.home() == tmp_path


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (None, "demo"),
        ("HOME/data/generated", "demo"),
        ("HOME/data/generated/", "demo"),
        ("HOME/data/generated/video", "video-demo"),
        ("HOME/other/generated", "generated-demo"),
        ("yt8m/", "yt8m-demo"),
        (Path("yt8m"), "yt8m-demo"),
        ("gs://bucket/yt8m/", "yt8m-demo"),
    ],
)
def test_a_report_is_called_by_its_data_and_profile(data, name, tmp_path, monkeypatch):
    monkeypatch.setenv(paths.SETTING, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = data.replace("HOME", str(tmp_path)) if isinstance(data, str) else data
    assert paths.report_name(data, "demo") == name
    assert paths.default_runs(data, "demo") == tmp_path / "reports" / name / "runs"
