"""`voiceflow mirror`: a corpus's shards, copied to a bucket of one's own, from where it can be learned from."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from voiceflow_model.cli.options import ConfigName, Json, PhaseName, Settings

if TYPE_CHECKING:
    from voiceflow_model.config import RunConfig
    from voiceflow_model.data.mirror.mirror import Progress as HowFar


def mirror(
    config: ConfigName,
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL", envvar="VOICEFLOW_MIRROR", help="gs://bucket/prefix, or a folder."),
    ],
    phase: Annotated[PhaseName, typer.Option(help="Whose corpus.")] = "train",
    settings: Settings = None,
    at_once: Annotated[int, typer.Option(min=1, help="How many files are copied at once.")] = 4,
    json: Json = False,
) -> None:
    """Copy a corpus to a bucket or folder, through RAM; run it again to continue, or to fetch what has changed."""
    from voiceflow_model.cli.output import say, show
    from voiceflow_model.cli.settings import configured
    from voiceflow_model.data.files import FilesCorpusConfig
    from voiceflow_model.data.mirror.mirror import mirror as copy
    from voiceflow_model.data.mirror.mirror import size
    from voiceflow_model.errors import Yielded

    run_config = configured(config, settings)
    corpus = run_config.corpus_of(phase)
    terminal = Terminal()
    try:
        result = copy(corpus, to, at_once=at_once, progress=terminal.tick)
    except KeyboardInterrupt:
        raise Yielded("what is copied is kept; the same command copies the rest") from None
    finally:
        terminal.close()
    setting = f"{url_setting(run_config, phase)}={result.to}"
    show(
        {**result.model_dump(), "setting": setting},
        lambda: (
            f"{result.files} files ({size(result.bytes)}) of {result.source} are in {result.to}: {result.copied} "
            f"copied ({size(result.copied_bytes)}) in {result.seconds:.0f} s, {result.skipped} were there\n"
            f"to learn from them: --set {setting}"
        ),
        as_json=json,
    )
    if isinstance(corpus, FilesCorpusConfig) and corpus.heldout_url:
        say(f"heldout_url is another folder, still at {corpus.heldout_url}")


def url_setting(config: "RunConfig", phase: PhaseName) -> str:
    """The setting that tells a phase where its corpus is."""
    return f"phases.{phase}.corpus.url" if config.phase(phase).corpus else "corpus.url"


class Terminal:
    """A progress bar where there is a terminal, a line every ten seconds where there is none."""

    def __init__(self, console: Console | None = None) -> None:
        from voiceflow_model.data.mirror.mirror import Lines

        self.console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._lines = Lines(lambda line: self.console.print(line, highlight=False, markup=False, soft_wrap=True))

    def tick(self, how_far: "HowFar") -> None:
        """Show how far the mirror is."""
        if not self.console.is_terminal:
            self._lines(how_far)
            return
        text = f"{how_far.files}/{how_far.total_files} files"
        if self._bar is None:
            rates = (DownloadColumn(), TransferSpeedColumn(), TextColumn("ETA"), TimeRemainingColumn())
            self._bar = Progress("mirror", BarColumn(), "{task.fields[text]}", *rates, console=self.console)
            self._bar.start()
            self._task = self._bar.add_task("", total=how_far.total_bytes, completed=how_far.bytes, text=text)
        self._bar.update(self._task, completed=how_far.bytes, text=text)

    def close(self) -> None:
        """No more news."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
