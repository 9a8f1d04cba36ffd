import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from dmlkit.errors import UsageError
from dmlkit.report.chapters import Chapter, Plan
from dmlkit.report.kernels.stopping import Stop
from dmlkit.report.limits import check_jobs, seconds_of, share_of_threads
from dmlkit.report.planning.notebooks import find_notebooks
from dmlkit.report.scheduling import missing_rung, most_side_by_side, side_by_side, waits_of

PLANS = {"01": (), "02": ("01",), "03": ("02",), "04": (), "05": ("03",), "06": ("04", "05")}


@pytest.fixture
def notebooks(write_notebook, tmp_path):
    def write(after):
        for name, names in after.items():
            write_notebook(name, "1", after=names)
        return find_notebooks(tmp_path / "notebooks")

    return write


def chapter(plan, status="executed"):
    return Chapter(name=plan.notebook.name, title="", question="", status=status)


def go(names, waits, *, jobs, run=chapter, settle=lambda plan: None, stop=None):
    """Run plans that are names only."""
    plans = [Plan(SimpleNamespace(name=name)) for name in names]
    stop = stop or Stop()
    with closing(side_by_side(plans, waits=waits, jobs=jobs, settle=settle, run=run, stop=stop)) as ended:
        return [each.name for each in ended]


def test_a_notebook_waits_for_others_through_others_too(notebooks, tmp_path):
    found = notebooks({"01-a": [], "02-b": ["01-a"], "03-c": ["02-b"], "04-d": []})
    waits = waits_of(found, folder=tmp_path)
    assert waits == {"01-a": set(), "02-b": {"01-a"}, "03-c": {"01-a", "02-b"}, "04-d": set()}
    # 02 is not to run; 03 waits for 01 all the same.
    assert go(["01-a", "03-c"], waits, jobs=2) == ["01-a", "03-c"]


@pytest.mark.parametrize(
    ("chosen", "most"),
    [(PLANS, 2), (["01", "02", "03"], 1), (["02", "04"], 2), (["01"], 1), ([], 1), (["04", "05", "06"], 2)],
)
def test_cores_are_shared_by_those_that_can_run_at_a_time(chosen, most):
    waits = {}
    for name, after in PLANS.items():
        waits[name] = frozenset(after).union(*(waits[other] for other in after))
    plans = [Plan(SimpleNamespace(name=name)) for name in chosen]
    assert most_side_by_side(plans, waits) == most
    assert most_side_by_side([*plans, Plan(SimpleNamespace(name="00"), reason="no")], waits) == most


def test_a_notebook_that_waits_for_none_there_is_is_an_error(notebooks, tmp_path):
    found = notebooks({"01-baselines": [], "02-b": ["01-baseline"]})
    with pytest.raises(UsageError) as error:
        waits_of(found, folder=tmp_path / "notebooks")
    for text in ("02-b", "'01-baseline'", "Did you mean '01-baselines'", str(tmp_path / "notebooks")):
        assert text in str(error.value)


@pytest.mark.parametrize(
    "after", [{"01-a": ["01-a"]}, {"01-a": ["02-b"], "02-b": ["03-c"], "03-c": ["01-a"]}]
)
def test_notebooks_that_wait_for_each_other_are_an_error(notebooks, tmp_path, after):
    with pytest.raises(UsageError, match=r"wait for each other: .*01-a after "):
        waits_of(notebooks(after), folder=tmp_path)


def waits(plans):
    found = {}
    for name, after in plans.items():
        found[name] = frozenset(after).union(*(found[other] for other in after))
    return found


def test_one_at_a_time_is_in_the_order_of_the_files():
    assert go(PLANS, waits(PLANS), jobs=1) == list(PLANS)


def test_several_at_a_time_start_when_those_they_wait_for_have_ended():
    running, seen, lock = set(), [], threading.Lock()
    both = threading.Barrier(2, timeout=10)

    def run(plan):
        with lock:
            running.add(plan.notebook.name)
            seen.append((plan.notebook.name, set(running)))
        if plan.notebook.name in ("01", "04"):
            both.wait()  # neither could pass alone
        with lock:
            running.remove(plan.notebook.name)
        return chapter(plan)

    order = go(PLANS, waits(PLANS), jobs=2, run=run)
    assert sorted(order) == list(PLANS)
    assert order[-1] == "06"
    assert max(len(names) for _, names in seen) == 2
    for name, names in seen:
        assert not names & waits(PLANS)[name]


def test_after_a_stop_what_has_not_begun_is_settled():
    stop, ran = Stop(), []

    def run(plan):
        ran.append(plan.notebook.name)
        stop.ask("interrupted")
        return chapter(plan)

    def settle(plan):
        return chapter(plan, "not run") if stop.why else None

    order = go(PLANS, waits(PLANS), jobs=2, run=run, settle=settle, stop=stop)
    assert sorted(order) == list(PLANS)
    assert len(ran) <= 2


def test_what_breaks_the_report_stops_the_other_notebooks():
    stop, ended = Stop(), []

    def run(plan):
        if plan.notebook.name == "02":
            raise ZeroDivisionError
        while not stop.why:
            pass
        ended.append(plan.notebook.name)
        return chapter(plan)

    with pytest.raises(ZeroDivisionError):
        go(["01", "02", "03"], {}, jobs=2, run=run, stop=stop)
    assert ended == ["01"]


def test_what_a_failed_notebook_left_undone_is_missed_by_those_that_need_it():
    study = SimpleNamespace(find=lambda rung: {"lr": "a run"}.get(rung))

    def plan(name, *rungs):
        return Plan(SimpleNamespace(name=name), rungs=rungs)

    failed = [plan("01", "lr", "lstm")]
    assert missing_rung(plan("02", "lr", "gru"), failed, study) is None
    assert missing_rung(plan("03", "gru", "lstm"), failed, study) == "it needs lstm, which 01 did not leave"


def test_time_limits():
    assert [seconds_of(text) for text in ("90s", "45m", "2h", "1.5h", " 3 s ")] == [90, 2700, 7200, 5400, 3]


@pytest.mark.parametrize("text", ["", "90", "s", "-3s", "0s", "0.0h", "3 days", "1e3s", "٣s", "nan s"])
def test_what_is_no_time_limit(text):
    with pytest.raises(UsageError, match="90s, 45m, 2h"):
        seconds_of(text)


def test_threads_are_shared_where_several_run():
    assert share_of_threads(1) is None
    assert share_of_threads(2) >= 1
    assert share_of_threads(1000) == 1
    with pytest.raises(UsageError, match="at least 1"):
        check_jobs(0)
