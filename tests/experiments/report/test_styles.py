"""One name, colour, dash and symbol for each variant of each agent."""

from pathlib import Path

from hcsac.experiments.report.styles import plain, series_of
from hcsac.experiments.study_run import StudyRun
from hcsac.settings import Settings


def runs(*keys):
    return [StudyRun("d", v, a, ("t",), (), Settings(), (0,), "correct", Path(f"{v}/{a}")) for v, a in keys]


def test_an_agent_keeps_its_colour_from_study_to_study():
    all_four = series_of(runs(*(("", agent) for agent in ("bc", "csac", "mtcsac", "hcsac"))))
    alone = series_of(runs(("", "hcsac"), ("", "hcsac")))
    assert [one.name for one in all_four.values()] == ["BC", "CSAC", "MTCSAC", "HCSAC"]
    assert len({one.colour for one in all_four.values()}) == 4
    assert alone["", "hcsac"].colour == all_four["", "hcsac"].colour


def test_variants_are_called_by_what_sets_them_apart():
    one = series_of(runs(("none", "hcsac"), ("all", "hcsac")))
    assert [held.name for held in one.values()] == ["none", "all"]
    two = series_of(runs(("w=1", "bc"), ("w=1", "hcsac"), ("w=2", "bc"), ("w=2", "hcsac")))
    assert [held.name for held in two.values()] == ["w=1 BC", "w=1 HCSAC", "w=2 BC", "w=2 HCSAC"]


def test_many_are_told_apart():
    many = series_of(runs(*((f"v{number}", "hcsac") for number in range(35)))).values()
    assert len({(one.colour, one.dash) for one in many}) == 35
    assert len({one.group for one in many}) == 35
    assert next(iter(many)).shade < 0.05


def test_a_chart_reads_no_tags():
    assert plain("<b>a</b> & b") == "&lt;b&gt;a&lt;/b&gt; &amp; b"
