"""Paper, alone and behind a line that can fail."""

from __future__ import annotations

from autotrader_lab.testing import AdapterConformance, Harness, line_harness, paper_harness


class TestPaper(AdapterConformance):
    async def make(self) -> Harness:
        return paper_harness()


class TestPaperWithoutLatency(AdapterConformance):
    async def make(self) -> Harness:
        return paper_harness(latency_ms=0)


class TestUnreliableLine(AdapterConformance):
    async def make(self) -> Harness:
        return line_harness()


class TestUnreliableLineWithoutAmend(AdapterConformance):
    async def make(self) -> Harness:
        return line_harness(amend=False)
