"""What acceptance tests share: two trained runs."""

import pytest


@pytest.fixture
def trained(smoke_runs) -> dict:
    """Name → run: `lr` and `attention`, trained on `generated` under the smoke profile. Read only."""
    return smoke_runs
