"""The table at the end of a campaign."""

import pytest
from campaign.budget import MINUTES, TABLE


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was tried and what came of it."""
    if TABLE.rows:
        terminalreporter.section(f"campaign of {MINUTES:g} minutes")
        for line in TABLE.lines():
            terminalreporter.write_line(line)
