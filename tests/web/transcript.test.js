import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clock, Transcript } from '../../web/transcript.js';

/** @typedef {import('../../web/transcript.js').TranscriptEvent} TranscriptEvent */

/**
 * A transcript that was told these, numbered from 1.
 * @param {TranscriptEvent[]} events
 */
function told(...events) {
  const transcript = new Transcript();
  events.forEach((event, index) => transcript.apply({ seq: index + 1, ...event }));
  return transcript;
}

/** @param {string} text @param {number} start @returns {TranscriptEvent} */
const word = (text, start) => ({ type: 'word', text, start });
/** @param {string} text @returns {TranscriptEvent} */
const partial = (text) => ({ type: 'partial', text });

test('words settle into an utterance, and a pause begins the next', () => {
  const transcript = told(word('Hello', 0.4), word('there.', 0.8), { type: 'pause', at: 1.5 }, word('Yes.', 2.1));
  assert.deepEqual(transcript.utterances.map(({ start, stop }) => [start, stop]), [[0.4, 1.5], [2.1, null]]);
  assert.equal(transcript.text(), 'Hello there.\nYes.');
});

test('each partial replaces the tail, and an empty one clears it', () => {
  const transcript = told(partial('hell'), partial(' hello the'));
  assert.equal(transcript.tail, 'hello the');
  transcript.apply({ seq: 3, ...partial('') });
  assert.equal(transcript.tail, '');
});

test('a word that settles leaves the tail it came from', () => {
  assert.equal(told(partial('hello there you'), word('Hello', 0)).tail, 'there you');
  assert.equal(told(partial('hello'), word('Hello', 0)).tail, '');
});

test('a pause clears the tail', () => {
  assert.equal(told(word('a', 0), partial('b'), { type: 'pause', at: 1 }).tail, '');
});

test('an event that was seen is ignored, so a replay adds nothing', () => {
  const transcript = told(word('one', 0), word('two', 1));
  assert.equal(transcript.apply({ seq: 1, ...word('one', 0) }), false);
  assert.equal(transcript.apply({ seq: 2, ...word('two', 1) }), false);
  assert.equal(transcript.apply({ seq: 3, ...word('three', 2) }), true);
  assert.equal(transcript.text(), 'one two three');
  assert.equal(transcript.seq, 3);
});

test('an unknown event counts as seen and changes nothing', () => {
  for (const type of ['banana', 'constructor', 'ready']) {
    const transcript = told({ type, text: 'x' });
    assert.deepEqual([transcript.seq, transcript.text(), transcript.tail], [1, '', '']);
  }
});

test('a word has its end once it was told', () => {
  const transcript = told(word('one', 0.5), { type: 'word_end', stop: 0.9 });
  assert.deepEqual(transcript.utterances[0].items, [{ text: 'one', start: 0.5, stop: 0.9, latency: null }]);
});

test('a word end without a word is ignored', () => {
  assert.deepEqual(told({ type: 'word_end', stop: 0.9 }).utterances, []);
  assert.equal(told(word('a', 0), { type: 'pause', at: 1 }, { type: 'word_end', stop: 5 }).utterances[0].stop, 1);
});

test('sound that was missed is noted where it was', () => {
  const transcript = told(word('one', 0), { type: 'missed', start: 1, stop: 3 }, word('two', 3));
  assert.equal(transcript.text(), 'one […] two');
});

/** @param {string} digit @param {number} at @returns {TranscriptEvent} */
const key = (digit, at) => ({ type: 'digit', digit, at, duration: 0.1 });

test('a key that is pressed stands among the words, where it was told', () => {
  const transcript = told(word('press', 0), key('5', 0.5), word('now', 1));
  assert.equal(transcript.text(), 'press [5] now');
  assert.deepEqual(transcript.utterances[0].items[1], { digit: '5', start: 0.5, stop: 0.6 });
});

test('a key between a word and its end does not keep the end from the word', () => {
  const transcript = told(word('one', 0), key('1', 0.2), { type: 'word_end', stop: 0.4 });
  assert.deepEqual(transcript.utterances[0].items.map(({ stop }) => stop), [0.4, 0.2 + 0.1]);
});

test('a key leaves what may still change as it is', () => {
  assert.equal(told(partial('hell'), key('1', 0)).tail, 'hell');
});

test('keys in a row are one utterance, and what comes long after them is another', () => {
  const transcript = told(key('1', 1), key('#', 2.5), word('hello', 9), key('2', 30));
  assert.deepEqual(transcript.utterances.map(({ start, stop }) => [start, stop]), [[1, 2.6], [9, null]]);
  assert.equal(transcript.text(), '[1] [#]\nhello [2]'); // a pause is what ends an utterance with words
});

test('a new session goes on under the same transcript: numbers anew, times on', () => {
  const transcript = told(word('one', 1), partial('tw'));
  transcript.begin(60);
  assert.deepEqual([transcript.seq, transcript.tail, transcript.utterances[0].stop], [0, '', 1]);
  transcript.apply({ seq: 1, ...word('two', 0.5) });
  assert.deepEqual(transcript.utterances.map(({ start }) => start), [1, 60.5]);
});

test('times never go back, whatever the clock says', () => {
  const transcript = told(word('one', 10), { type: 'pause', at: 12 });
  transcript.begin(3);
  transcript.apply({ seq: 1, ...word('two', 0) });
  assert.equal(transcript.utterances[1].start, 12);
});

test('clear forgets what was written and keeps the place in the session', () => {
  const transcript = told(word('one', 0), word('two', 1));
  transcript.clear();
  assert.equal(transcript.text(), '');
  assert.equal(transcript.apply({ seq: 2, ...word('two', 1) }), false);
});

test('the text can show when each utterance was said', () => {
  const transcript = told(word('one', 0), { type: 'pause', at: 1 }, word('two', 3725));
  assert.equal(transcript.text({ times: true }), '[0:00] one\n[1:02:05] two');
});

test('a clock shows minutes and seconds, and hours from one on', () => {
  assert.deepEqual([0, 7.9, 754, 3600, -1].map(clock), ['0:00', '0:07', '12:34', '1:00:00', '0:00']);
});
