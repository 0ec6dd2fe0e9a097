import torch
from hypothesis import given
from hypothesis import strategies as st

from voiceflow_model.network.powerset import Powerset, powerset_classes


def test_three_speakers_make_the_seven_classes_of_the_paper():
    assert powerset_classes(3) == ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))


@given(st.integers(2, 4), st.data())
def test_decoding_undoes_encoding_for_at_most_two_speakers(speakers, data):
    powerset = Powerset(speakers)
    classes = torch.tensor(data.draw(st.lists(st.integers(0, len(powerset.classes) - 1), min_size=1, max_size=20)))
    assert torch.equal(powerset.encode(powerset.decode(classes)), classes)


@given(st.integers(2, 4), st.data())
def test_renaming_classes_is_renaming_speakers(speakers, data):
    powerset = Powerset(speakers)
    classes = torch.tensor(data.draw(st.lists(st.integers(0, len(powerset.classes) - 1), min_size=1, max_size=9)))
    activity = powerset.decode(classes)
    renamings = {tuple(powerset.encode(activity[:, list(p)]).tolist()) for p in torch.cartesian_prod(
        *[torch.arange(speakers)] * speakers).tolist() if len(set(p)) == speakers}  # fmt: skip
    assert {tuple(table[classes].tolist()) for table in powerset.permuted} == renamings


def test_a_third_simultaneous_speaker_is_dropped_and_two_remain():
    powerset = Powerset(3)
    assert powerset.classes[powerset.encode(torch.ones(3))] == (0, 1)
