"""Every target in one place: what is measured, and what it must come to. `docs/benchmarks.md` says how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One figure of the table. `row` is the question it belongs to; without a `bound` the figure is only shown."""

    key: str
    row: int
    text: str
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool | None:
        """Whether a figure meets it; None where there is nothing to meet."""
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most

    @property
    def bound(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:,g}"
        return "" if self.at_most is None else f"<= {self.at_most:,g}"


TARGETS = (
    Target("put", 1, "enqueue, one thread, against raw sqlite3", at_least=0.85),
    Target("put_flushes", 1, "flushes per enqueue", "", at_most=1.0),
    Target("threads_16", 2, "enqueue, 16 threads, against one raw connection", at_least=3.0),
    Target("threads_64", 2, "enqueue, 64 threads, against one raw connection", at_least=4.5),
    Target("slow_16", 2, "the same with 5 ms more per flush, 16 threads", at_least=7),
    Target("slow_64", 2, "the same with 5 ms more per flush, 64 threads", at_least=25),
    Target("slow_p99_16", 2, "99th percentile of an enqueue there, 16 threads", "flushes", at_most=3),
    Target("slow_p99_64", 2, "99th percentile of an enqueue there, 64 threads", "flushes", at_most=3),
    Target("bulk", 3, "enqueue_many in one transaction, against raw executemany", at_least=1.3),
    Target("drain", 4, "claim and settle by 100, large backlog", "events/s", at_least=100_000),
    Target("drain_peers", 4, "against the best durable peer's acknowledged get", at_least=20),
    Target("life_single", 5, "bytes written per event, put singly", "payloads", at_most=12),
    Target("life_peers", 5, "against the best durable peer with acknowledgement", at_most=0.35),
    Target("life_bulk", 5, "bytes written per event, put by 100", "payloads", at_most=4.2),
    Target("life_drain", 5, "bytes written per event by the drain alone", "payloads", at_most=0.35),
    Target("codec_single", 5, "experiment: a compressed codec, put singly", "payloads"),
    Target("codec_bulk", 5, "experiment: a compressed codec, put by 100", "payloads"),
    Target("codec_micros", 5, "experiment: what compressing costs", "us/event"),
    Target("deep_put", 6, "enqueue at a large backlog, against 1,000", at_least=0.9),
    Target("deep_drain", 6, "claim and settle at a large backlog, against 1,000", at_least=0.9),
    Target("kept_put", 6, "enqueue with as many delivered events kept, against 1,000", at_least=0.9),
    Target("kept_drain", 6, "claim and settle with as many kept, against 1,000", at_least=0.9),
    Target("deep_memory", 6, "growth of memory", "MB", at_most=5),
    Target("deep_open", 6, "opening the queue", "ms", at_most=20),
    Target("deep_status", 6, "status", "ms", at_most=30),
    Target("http", 7, "drain over HTTP, against the same client with ready-made bodies", at_least=0.55),
    Target("http_50", 7, "answers after 50 ms, 16 in flight, against the ideal", at_least=0.90),
    Target("http_300", 7, "answers after 300 ms, 16 in flight, against the ideal", at_least=0.95),
    Target("shared_drain", 8, "another process drains: drained of what arrived", at_least=0.85),
    Target("shared_put", 8, "enqueue meanwhile, against alone", at_least=0.9),
    Target("shared_p99", 8, "99th percentile of an enqueue meanwhile, against alone", at_most=4),
    Target("import_ms", 9, "import edgequeue", "ms", at_most=30),
    Target("import_mb", 9, "memory after the import", "MB", at_most=16),
    Target("import_ratio", 9, "the whole process, against one that imports sqlalchemy"),
    Target("embedded_mb", 9, "memory of an embedded process that enqueues", "MB", at_most=42),
    Target("embedded_first_mb", 9, "the same where it makes the database", "MB", at_most=42),
    Target("day_mb", 9, "memory of enqueuing and draining a large backlog", "MB", at_most=60),
    Target("help_ms", 9, "edgequeue --help", "ms", at_most=100),
    Target("help_ratio", 9, "edgequeue --help, against a process that imports sqlalchemy"),
    Target("shell_ms", 9, "edgequeue enqueue of one event from the shell", "ms", at_most=250),
    Target("shell_ratio", 9, "edgequeue enqueue, against a process that imports sqlalchemy"),
    Target("prune", 10, "prune of delivered events", "events/s", at_least=150_000),
    Target("prune_lock", 10, "longest hold of the write lock", "ms", at_most=15),
    Target("idle_cpu", 11, "idle worker: share of one core", "%", at_most=0.1),
    Target("idle_bytes", 11, "idle worker: bytes written per minute", "B", at_most=0),
    Target("wake_here", 11, "idle worker: wakes after an enqueue in its process", "ms", at_most=100),
    Target("wake_there", 11, "idle worker: wakes after an enqueue in another process", "ms", at_most=1000),
)
