"""The small part of the campaign that every change must pass; `make trust` runs the rest."""

from __future__ import annotations

import pytest

from tests.trust import trials
from tests.trust.campaign import Run, Trial


@pytest.mark.parametrize("trial", trials(), ids=lambda t: f"{t.name} {t.title}")
def test_campaign(trial: Trial) -> None:
    run = trial.run("PR")
    assert not run.failed, "\n".join(run.failures)
    assert run.tried or run.untested, "nothing was tried and nothing was said"
    if not run.tried:
        pytest.skip("; ".join(run.untested))


def test_a_failing_try_is_counted_and_described() -> None:
    """The counting itself must be able to fail."""

    def wrong(run: Run) -> None:
        with run.case("sum"):
            assert 1 + 1 == 3, "two"
        with run.case("good"):
            pass
        raise ValueError("outside")

    run = Trial("T0", "wrong", (), wrong).run("PR")
    assert (run.tried, run.failed) == (3, 2)
    assert run.failures == ["sum: AssertionError: two\nassert (1 + 1) == 3", run.failures[1]]
    assert "outside" in run.failures[1] and "failed    2" in run.line("T0", "wrong")
