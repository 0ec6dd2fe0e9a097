"""The embedded corpus's voices: espeak-ng settings that a speaker encoder hears as clearly different people.

Chosen by `benchmarks/choose_voices.py`, which prints the table below. FACTS: near-identical espeak variants (cosine
up to 0.96) must not be told apart, so each voice is the farthest from all chosen before it. Splits are dealt out in
selection order, three train, one dev, one test of every five, so that all three are equally varied.
"""

from dataclasses import dataclass
from typing import Literal

VoiceSplit = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class Voice:
    """What makes one synthetic speaker: an accent, a variant of the vocal tract, and how it is driven.

    `read_as_hz`: the rate that the engine's 22 050 Hz output is declared to have. Above it, formants and pitch shift
    up together as with a shorter vocal tract; `pitch` and `words_per_minute` are set to compensate.
    """

    language: str
    variant: str
    pitch: int  # 0-99, 50 is the variant's own
    pitch_range: int  # 0-99, 0 is monotone
    words_per_minute: int  # before `read_as_hz`
    read_as_hz: int

    @property
    def engine_name(self) -> str:
        """The name under which espeak-ng finds accent and variant."""
        return f"{self.language}+{self.variant}"

    @property
    def name(self) -> str:
        """The speaker's name: no blanks, since RTTM separates its fields by them."""
        return f"{self.variant}_{self.language}_{self.pitch}_{self.read_as_hz}".replace(" ", "-")


# Cosine of Resemblyzer's mean embeddings: at most 0.77 between any two (0.70 among the first 24), at least 0.87 between
# two sentences of one voice.
VOICES: tuple[tuple[VoiceSplit, Voice], ...] = (
    ("train", Voice("en-gb-x-gbclan", "victor", 25, 81, 131, 25_600)),
    ("dev", Voice("en-us", "anika", 64, 26, 217, 19_200)),
    ("train", Voice("en-gb-x-gbcwmd", "iven4", 40, 84, 238, 18_000)),
    ("test", Voice("en-029", "AnxiousAndy", 70, 28, 147, 25_600)),
    ("train", Voice("en-us-nyc", "steph3", 51, 71, 145, 24_000)),
    ("train", Voice("en-us", "travis", 21, 75, 190, 22_000)),
    ("dev", Voice("en-us-nyc", "f5", 45, 66, 189, 18_000)),
    ("train", Voice("en-gb-x-gbcwmd", "boris", 40, 60, 145, 25_600)),
    ("test", Voice("en-gb-x-gbcwmd", "zac", 79, 49, 156, 25_600)),
    ("train", Voice("en-gb-x-gbcwmd", "AnxiousAndy", 43, 32, 178, 18_000)),
    ("train", Voice("en-us", "f4", 60, 35, 152, 25_600)),
    ("dev", Voice("en-us", "norbert", 56, 20, 150, 22_000)),
    ("train", Voice("en-029", "Jacky", 43, 90, 185, 22_000)),
    ("test", Voice("en-029", "Andrea", 82, 64, 201, 18_000)),
    ("train", Voice("en-gb-x-gbcwmd", "iven4", 82, 80, 134, 25_600)),
    ("train", Voice("en-gb-x-gbclan", "steph2", 38, 78, 244, 18_000)),
    ("dev", Voice("en-gb-x-gbcwmd", "iven2", 27, 90, 162, 23_000)),
    ("train", Voice("en-gb-scotland", "belinda", 73, 87, 186, 18_000)),
    ("test", Voice("en-us", "Mr serious", 34, 36, 177, 21_000)),
    ("train", Voice("en-us", "shelby", 64, 26, 166, 21_000)),
    ("train", Voice("en-gb-x-gbcwmd", "sandro", 73, 45, 191, 21_000)),
    ("dev", Voice("en-gb-x-rp", "kaukovalta", 31, 81, 154, 21_000)),
    ("train", Voice("en-us", "ian", 53, 46, 157, 24_000)),
    ("test", Voice("en-gb-x-gbcwmd", "f1", 25, 52, 127, 25_600)),
    ("train", Voice("en-us", "kaukovalta", 58, 68, 167, 25_600)),
    ("train", Voice("en-gb-x-gbcwmd", "travis", 73, 72, 164, 25_600)),
    ("dev", Voice("en-gb-x-rp", "anika", 41, 50, 153, 25_600)),
    ("train", Voice("en-us", "Andrea", 40, 65, 129, 25_600)),
    ("test", Voice("en-029", "Hugo", 44, 47, 152, 21_000)),
    ("train", Voice("en-gb-x-gbcwmd", "robert", 18, 72, 160, 21_000)),
    ("train", Voice("en-029", "m2", 43, 20, 176, 20_000)),
    ("dev", Voice("en-us", "antonio", 75, 34, 176, 24_000)),
    ("train", Voice("en-029", "m8", 18, 41, 203, 19_200)),
    ("test", Voice("en-029", "AnxiousAndy", 64, 41, 218, 19_200)),
    ("train", Voice("en-gb-scotland", "grandma", 73, 36, 243, 18_000)),
    ("train", Voice("en-gb-x-gbcwmd", "Andy", 81, 23, 217, 18_000)),
    ("dev", Voice("en-029", "marcelo", 58, 67, 154, 24_000)),
    ("train", Voice("en-gb-x-gbcwmd", "Hugo", 83, 25, 145, 25_600)),
    ("test", Voice("en-us", "pedro", 16, 33, 166, 23_000)),
    ("train", Voice("en-us", "m8", 77, 74, 163, 23_000)),
)


def voices_of(split: VoiceSplit) -> tuple[Voice, ...]:
    """The voices of a split in selection order, so that the first n are the n most different."""
    return tuple(voice for of, voice in VOICES if of == split)
