from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.data.holdout import halve, split_speakers, split_utterances

NAMES = st.sets(st.text(min_size=1, max_size=5), max_size=40)
SHARES = st.floats(0.05, 0.5)


@given(NAMES, SHARES)
def test_every_speaker_is_in_exactly_one_group(names: set[str], share: float) -> None:
    split = split_speakers(names, share)
    assert sorted(split.train + split.dev + split.test) == sorted(names)
    assert len(split.train) >= min(2, len(names))
    if len(names) >= 6:
        assert min(len(split.dev), len(split.test)) >= 2


@given(NAMES, SHARES)
def test_the_split_does_not_depend_on_the_listing_order(names: set[str], share: float) -> None:
    assert split_speakers(sorted(names), share) == split_speakers(sorted(names, reverse=True), share)


@given(NAMES)
def test_a_share_of_zero_holds_nobody_out(names: set[str]) -> None:
    assert split_speakers(names, 0.0) == (tuple(sorted(names)), (), ())


@given(NAMES)
def test_halves_differ_by_one_speaker_at_most(names: set[str]) -> None:
    dev, test = halve(names)
    assert not set(dev) & set(test)
    assert len(dev) - len(test) in ((0, 1) if len(names) > 1 else (0,))


@given(NAMES, SHARES)
def test_no_moment_of_speech_is_both_trained_on_and_validated(keys: set[str], share: float) -> None:
    covered: dict[str, list[tuple[float, float]]] = {}
    for key, _split, part in split_utterances(keys, share):
        covered.setdefault(key, []).append(part)
    assert covered.keys() == keys
    for parts in covered.values():
        edges = [edge for part in sorted(parts) for edge in part]
        assert edges in ([0.0, 1.0], [0.0, 1.0 - share, 1.0 - share, 1.0])


@given(NAMES.filter(bool), SHARES)
def test_every_training_speaker_is_both_trained_on_and_validated(keys: set[str], share: float) -> None:
    assert {piece.split for piece in split_utterances(keys, share)} == {"train", "validation"}


def test_one_utterance_in_five_is_validated_whole_from_five_on() -> None:
    pieces = list(split_utterances([f"u{n}" for n in range(10)], 0.2))
    assert [piece.part for piece in pieces] == [(0.0, 1.0)] * 10
    assert sum(piece.split == "validation" for piece in pieces) == 2


def test_of_fewer_the_last_fifth_of_each_is_validated() -> None:
    pieces = list(split_utterances(["a"], 0.2))
    assert pieces == [("a", "train", (0.0, 0.8)), ("a", "validation", (0.8, 1.0))]
