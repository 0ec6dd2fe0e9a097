"""Sentences for synthetic speakers: a small grammar whose choices are the digits of a hash.

A hash rather than a generator: the text is a function of its key on every platform and version, and fingerprints of
the corpus may rest on it.
"""

import hashlib

# A word in braces is replaced by one choice of its list; the same list may be asked twice.
_TEMPLATES = (
    "{time}, {name} and {person} {verb} {thing} {place}.",
    "Did {name} say that {thing} was {adjective} and {adjective}?",
    "{name} {verb} {thing} {place}, but {person} {verb} {thing}.",
    "The number is {digit} {digit} {digit}, {digit} {digit}, {digit} {digit}.",
    "I think {person} {verb} {thing} {time}, because it was {adjective}.",
    "Please call {name} at {digit} {digit} {digit} {digit}, and ask for {thing}.",
    "Why was {thing} so {adjective} when {name} came back {time}?",
    "Nobody {place} had ever {verb} {thing} as {adjective} as this!",
    "Well, {name}, it takes {digit} or {digit} hours to reach {person} {time}.",
    "{person} {verb} {thing}. {name} {verb} {thing} {place}.",
)
_CHOICES = {
    "name": "Anna, Boris, Clara, David, Emma, Felix, Grace, Henry, Irene, Jack, Laura, Martin, Nora, Oscar, "
    "Paula, Victor",
    "person": "the teacher, my neighbour, your brother, the old captain, our doctor, a young engineer, the judge, "
    "her cousin",
    "verb": "found, painted, opened, carried, watched, forgot, borrowed, measured, brought, described, enjoyed, hid",
    "thing": "the green umbrella, a heavy box, some fresh bread, the wooden chair, a yellow bird, the broken "
    "machine, three letters, the garden fence, a cup of coffee, the largest map, a pair of shoes, the "
    "music, every window, a piece of cheese",
    "place": "near the river, behind the station, in the kitchen, on the bridge, at the market, under the table, "
    "by the harbour, across the valley, outside the theatre, in a quiet village",
    "time": "yesterday, before breakfast, last summer, in the evening, after the storm, on Thursday, at noon, in "
    "January",
    "digit": "zero, one, two, three, four, five, six, seven, eight, nine",
    "adjective": "cheap, quiet, difficult, useful, strange, beautiful, enormous, simple, dangerous, warm, fair, bright",
}
_LISTS = {kind: choices.split(", ") for kind, choices in _CHOICES.items()}
GRAMMAR = (_TEMPLATES, _LISTS)


def sentence(key: str, *, held_out: bool) -> str:
    """One or two English sentences for `key`; no text that is held out is ever also given for training.

    Which side a text is on is decided by its own hash, so the two sides are disjoint whatever the keys.
    """
    attempt = 0
    while True:
        text = _write(f"{key}/{attempt}")
        if (_digest(text) % 5 == 0) == held_out:
            return text
        attempt += 1


def _write(key: str) -> str:
    choice = _digest(key)
    choice, number = divmod(choice, len(_TEMPLATES))
    words = []
    for index, piece in enumerate(_TEMPLATES[number].replace("}", "{").split("{")):
        if index % 2:  # odd pieces were inside the braces
            options = _LISTS[piece]
            choice, number = divmod(choice, len(options))
            piece = options[number]
        words.append(piece)
    text = "".join(words)
    return text[0].upper() + text[1:]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
