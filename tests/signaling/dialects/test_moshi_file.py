import json

from engine.events import Partial, Pause, Word, WordEnd
from signaling.dialects.moshi_file import MoshiFile
from signaling.events import Ended


def test_words_and_their_ends_and_nothing_else() -> None:
    said = MoshiFile()
    for event in (Partial("he"), Word("héllo", 0.5), WordEnd(0.9), Pause(0.9), Word("you", 1.0), WordEnd(1.25)):
        said.hear(event, 2.0)
    said.hear(Ended("finished"), 2.0)
    assert said.close(2.0) == (
        '[{"type":"Word","text":"héllo","start_time":0.5},{"type":"EndWord","stop_time":0.9},'
        '{"type":"Word","text":"you","start_time":1.0},{"type":"EndWord","stop_time":1.25}]'
    )


def test_silence_is_an_empty_list() -> None:
    said = MoshiFile()
    assert said.empty
    assert said.close(3.0) == "[]"


def test_every_word_has_its_end_also_where_the_file_breaks_off() -> None:
    said = MoshiFile()
    for word in (Word("one", 0.5), Word("two", 0.75), Word("three", 1.9)):
        said.hear(word, 2.0)
    told = json.loads(said.close(2.0, "The file is damaged."))
    assert [message.get("stop_time") for message in told[1::2]] == [0.75, 1.25, 2.0]
    assert told[-1] == {"type": "Error", "message": "The file is damaged."}
