"""Scores of a test set as one record, and as tables for people."""

from collections.abc import Mapping, Sequence

from pydantic import Field
from rich.table import Table

from voiceflow_model.diarization.rttm import Span, Turn, read_rttm, read_uem
from voiceflow_model.errors import CorpusError
from voiceflow_model.evaluation.der import Errors, Score, score, total
from voiceflow_model.evaluation.intervals import bootstrap_interval
from voiceflow_model.evaluation.recording import list_folder
from voiceflow_model.section import Section


class DerReport(Section):
    """DER of a test set and what it is made of. Rates are shares of reference speech, 0.15 for 15 %."""

    dataset: str = Field(description="which recordings, and for generated ones the generator and its seed")
    recordings: int
    speech_s: float
    der: float = Field(description="collar 0, overlap scored")
    ci_low: float | None = Field(description="95 % bootstrap over recordings; none for a single one")
    ci_high: float | None
    false_alarm: float
    missed: float
    confusion: float
    jer: float
    speaker_count_accuracy: float = Field(description="share of recordings with the right number of speakers")
    der_collar_025: float = Field(description="without +-0.25 s around boundaries of reference turns")
    files: tuple[Score, ...]

    @classmethod
    def from_scores(cls, scores: Sequence[Score], dataset: str, *, seed: int = 0) -> "DerReport":
        """Aggregate: errors and speech are summed before dividing, JER is the mean over all reference speakers."""
        if not scores:
            raise CorpusError(f"{dataset}: no recording was scored; check that the test set is not empty")
        files = tuple(sorted(scores, key=lambda one: one.name))
        whole, collar = total([one.errors for one in files]), total([one.errors_collar for one in files])
        interval = bootstrap_interval([s.errors.error_s for s in files], [s.errors.speech_s for s in files], seed=seed)
        speech = whole.speech_s or 1.0
        speakers = sum(one.speakers_ref for one in files)
        return cls(
            dataset=dataset,
            recordings=len(files),
            speech_s=whole.speech_s,
            der=whole.rate,
            ci_low=interval and interval[0],
            ci_high=interval and interval[1],
            false_alarm=whole.false_alarm_s / speech,
            missed=whole.missed_s / speech,
            confusion=whole.confusion_s / speech,
            jer=sum(one.jer * one.speakers_ref for one in files) / speakers if speakers else 0.0,
            speaker_count_accuracy=sum(one.speakers_ref == one.speakers_hyp for one in files) / len(files),
            der_collar_025=collar.rate,
            files=files,
        )

    def summary(self) -> str:
        """The figures in one line."""
        interval = "" if self.ci_low is None else f" [{self.ci_low:.1%}, {self.ci_high:.1%}]"
        return (
            f"DER {self.der:.1%}{interval} (false alarm {self.false_alarm:.1%}, missed {self.missed:.1%}, confusion "
            f"{self.confusion:.1%}), +-0.25 s collar {self.der_collar_025:.1%}, JER {self.jer:.1%}, speaker count "
            f"right {self.speaker_count_accuracy:.0%}; {self.recordings} recordings, {self.speech_s / 60:.1f} min of "
            "speech"
        )

    def to_markdown(self) -> str:
        """A heading, the summary and the per-file table."""
        lines = [f"### {self.dataset}", "", self.summary(), "", _row(COLUMNS), _row(["---"] + ["---:"] * 8)]
        return "\n".join(lines + [_row(cells) for cells in self._cells()]) + "\n"

    def to_table(self) -> Table:
        """The per-file table for a terminal."""
        table = Table(title=self.dataset, caption=self.summary())
        for name in COLUMNS:
            table.add_column(name, justify="left" if name == COLUMNS[0] else "right")
        cells = self._cells()
        for number, row in enumerate(cells):
            table.add_row(*row, end_section=number == len(cells) - 2)
        return table

    def _cells(self) -> list[list[str]]:
        rows = [
            _cells(one.name, one.errors, one.errors_collar.rate, one.jer, f"{one.speakers_ref}/{one.speakers_hyp}")
            for one in self.files
        ]
        whole = total([one.errors for one in self.files])
        return [*rows, _cells("all", whole, self.der_collar_025, self.jer, "")]


COLUMNS = ["recording", "speech s", "DER", "false alarm", "missed", "confusion", "+-0.25 s", "JER", "speakers ref/hyp"]


def score_dirs(ref_dir: str, hyp_dir: str, *, missing_as_missed: bool = False, seed: int = 0) -> DerReport:
    """Score the RTTM files of one folder (path or fsspec URL) against those of another.

    Recordings are matched by the name inside the RTTM, by the file's name when it is empty. UEM files beside the
    reference say what is scored; without one, from 0 to the last end of either. Raises CorpusError for a hypothesis
    that is missing (unless `missing_as_missed`) or that has no reference.
    """
    reference, uem = _read_dir(ref_dir)
    hypothesis, _ = _read_dir(hyp_dir)
    if extra := sorted(hypothesis.keys() - reference.keys()):
        raise CorpusError(f"{hyp_dir}: no reference in {ref_dir} for {_some(extra)}; remove them, or add references")
    if (missing := sorted(reference.keys() - hypothesis.keys())) and not missing_as_missed:
        raise CorpusError(
            f"{hyp_dir}: no hypothesis for {_some(missing)}; diarize them, or say that missing files count as missed"
        )
    scores = []
    for name, turns in reference.items():
        found = hypothesis.get(name, [])
        end = max((turn.end_s for turn in [*turns, *found]), default=1.0)
        scores.append(score(name, turns, found, uem.get(name) or [(0.0, end)]))
    return DerReport.from_scores(scores, ref_dir, seed=seed)


def _read_dir(folder: str) -> tuple[dict[str, list[Turn]], Mapping[str, list[Span]]]:
    turns: dict[str, list[Turn]] = {}
    uem: dict[str, list[Span]] = {}
    for name, path in list_folder(folder).items():
        if name.endswith(".uem"):
            uem.update(read_uem(path))
        if not name.endswith(".rttm"):
            continue
        found = read_rttm(path) or {name.removesuffix(".rttm"): []}
        if twice := turns.keys() & found.keys():
            raise CorpusError(f"{path}: {_some(sorted(twice))} also in another file of {folder}; keep one of them")
        turns.update(found)
    if not turns:
        raise CorpusError(f"{folder}: no .rttm file in it; check the path")
    return turns, uem


def _cells(name: str, found: Errors, collar: float, jer: float, speakers: str) -> list[str]:
    speech = found.speech_s or 1.0
    shares = [found.rate, found.false_alarm_s / speech, found.missed_s / speech, found.confusion_s / speech]
    return [name, f"{found.speech_s:.1f}", *(f"{x:.1%}" for x in [*shares, collar, jer]), speakers]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
