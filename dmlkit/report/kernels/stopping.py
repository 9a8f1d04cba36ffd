"""A request to end what runs, made from any thread or from within a signal handler."""

from __future__ import annotations


class Stop:
    """Asked once, it is seen by every `execute` that was given it; each ends its kernel and returns."""

    def __init__(self) -> None:
        self._why: str | None = None

    def ask(self, why: str = "interrupted") -> None:
        """Ask for the end.

        Args:
            why: In a few words, for the notebooks' banners; the first reason counts.
        """
        # No lock and no event: a signal handler that waits for what its own thread holds would wait for ever.
        if self._why is None:
            self._why = why

    @property
    def why(self) -> str | None:
        """What it was asked for; None as long as it was not."""
        return self._why
