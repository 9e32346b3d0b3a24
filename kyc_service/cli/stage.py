"""What the demo shows: an application in a live panel on a terminal, or line by line anywhere else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

COLOURS = {"VERIFIED": "green", "REJECTED": "red", "ROLLED_BACK": "yellow"}
PLAIN_WIDTH = 120


class Stage:
    """Where everything is said. `live` redraws a panel while an application is on its way; `NO_COLOR` is honoured."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self.console = Console(highlight=False) if live else Console(highlight=False, no_color=True, width=PLAIN_WIDTH)
        self._lines: list[Text] = []
        self._waiting = ""
        self._panel: Live | None = None
        self._title = ""

    def say(self, text: str, style: str = "") -> None:
        """One line: within the panel if one is open."""
        if self._panel is None:
            self.console.print(Text(text, style=style), soft_wrap=True)
            return
        self._lines.append(Text(text, style=style))
        self._panel.update(self._drawn())

    def wait_for(self, text: str) -> None:
        """What is waited for at the moment; only a live panel shows it."""
        self._waiting = text
        if self._panel is not None:
            self._panel.update(self._drawn())

    @contextmanager
    def act(self, title: str) -> Iterator[None]:
        """One application, in a panel of its own."""
        if not self._live:
            self.console.print()
            self.say(title, "bold")
            yield
            return
        self._title, self._lines, self._waiting = title, [], ""
        with Live(console=self.console, refresh_per_second=12) as self._panel:
            try:
                yield
            finally:
                self._waiting = ""
                self._panel.update(self._drawn())
        self._panel = None

    def table(self, headings: Sequence[str], rows: Sequence[tuple[bool, Sequence[str]]]) -> None:
        """What came of everything; the last column holds numbers."""
        table = Table(title="What came of it", title_justify="left", show_lines=False)
        for heading in headings:
            table.add_column(heading, justify="right" if heading == headings[-1] else "left")
        for good, (first, *cells) in rows:
            mark = "[green]✓[/]" if good else "[red]✗[/]"
            table.add_row(f"{mark} {escape(first)}", *(escape(cell) for cell in cells))
        self.console.print()
        self.console.print(table)

    def _drawn(self) -> RenderableType:
        waiting = [Spinner("dots", Text(self._waiting, style="dim"))] if self._waiting else []
        return Panel(Group(*self._lines, *waiting), title=f"[bold]{escape(self._title)}[/]", title_align="left")
