import assert from 'node:assert/strict';
import { test } from 'node:test';

import { phrasesIn } from '../../web/language.js';
import { reasonOf, serversWords, statusOf } from '../../web/status.js';
import { fraction, isUnderWay, newUpload, step } from '../../web/upload.js';

/** @typedef {import('../../web/upload.js').Told} Told */

/** @param {...Told} told */
const after = (...told) => told.reduce(step, newUpload(1, { name: 'talk.wav', size: 1000 }));

const BEGIN = { on: 'begin' };
const RECEIVED = { on: 'received' };
const METADATA = { on: 'metadata', language: 'en', duration: 10 };
const WORDS = [{ word: 'Hello', start: 1, end: 1.5 }];
const PROGRESS = { on: 'progress', id: 0, start: 1, end: 1.5, text: 'Hello', words: WORDS };
const COMPLETE = { on: 'complete', text: 'Hello', duration: 9.5 };
const BUSY = { on: 'failed', failure: { code: 'busy', retryAfter: 5 } };
const DAMAGED = { on: 'failed', failure: { code: 'damaged', message: 'The file is cut off.' } };
const en = phrasesIn('en');

test('a file is sent, heard and done', () => {
  assert.equal(after(BEGIN, { on: 'sent', part: 0.4 }).sent, 0.4);
  const hearing = after(BEGIN, RECEIVED, METADATA, { on: 'heard', seconds: 4, duration: 10 }, PROGRESS);
  assert.deepEqual([hearing.phase, hearing.heard, hearing.duration, hearing.language], ['hearing', 4, 10, 'en']);
  assert.deepEqual(hearing.segments, [{ start: 1, stop: 1.5, words: [{ text: 'Hello', start: 1, stop: 1.5 }] }]);
  const done = step(hearing, COMPLETE);
  assert.deepEqual([done.phase, done.heard, done.duration], ['done', 9.5, 9.5]);
});

test('an answer that begins before the browser has told that all is sent', () => {
  assert.equal(after(BEGIN, METADATA).phase, 'hearing');
});

test('a segment without the times of its words is one word', () => {
  const { segments } = after(BEGIN, METADATA, { ...PROGRESS, words: undefined });
  assert.deepEqual(segments[0].words, [{ text: 'Hello', start: 1, stop: 1.5 }]);
});

test('a language that nobody knows is none', () => {
  assert.equal(after(BEGIN, { ...METADATA, language: 'und' }).language, null);
});

test('how much is done', () => {
  assert.equal(fraction(after()), 0);
  assert.equal(fraction(after(BEGIN, { on: 'sent', part: 0.4 })), 0.4);
  assert.equal(fraction(after(BEGIN, METADATA, { on: 'heard', seconds: 4 })), 0.4);
  assert.equal(fraction(after(BEGIN, METADATA, { on: 'heard', seconds: 14 })), 1);
  assert.equal(fraction(after(BEGIN, { ...METADATA, duration: null }, { on: 'heard', seconds: 4 })), null);
  assert.equal(fraction(after(BEGIN, METADATA, COMPLETE)), 1);
});

test('a file that failed keeps its words and can begin again, without them', () => {
  const failed = after(BEGIN, METADATA, PROGRESS, { on: 'error', error: 'The recognizer stopped.', code: 'engine_down' });
  assert.deepEqual([failed.phase, failed.segments.length], ['failed', 1]);
  assert.deepEqual(failed.failure, { code: 'engine_down', message: 'The recognizer stopped.' });
  const again = step(step(failed, { on: 'again' }), BEGIN);
  assert.deepEqual([again.phase, again.segments, again.failure], ['sending', [], null]);
});

test('an answer that ends without its end was cut off', () => {
  assert.equal(after(BEGIN, METADATA, { on: 'closed' }).failure?.code, 'connection_lost');
});

test('what the server asks to come back comes back', () => {
  const pausing = after(BEGIN, BUSY);
  assert.deepEqual([pausing.phase, isUnderWay(pausing)], ['pausing', true]);
  assert.equal(step(pausing, BEGIN).phase, 'sending');
  assert.equal(after(BEGIN, DAMAGED).phase, 'failed');
});

test('whatever is going on, it can be cancelled; what is over cannot', () => {
  for (const told of [[], [BEGIN], [BEGIN, METADATA], [BEGIN, BUSY]]) {
    assert.equal(after(...told, { on: 'cancel' }).phase, 'cancelled');
  }
  for (const told of [[BEGIN, METADATA, COMPLETE], [BEGIN, DAMAGED]]) {
    const over = after(...told);
    assert.equal(step(over, { on: 'cancel' }), over);
  }
});

test('what does not belong to a phase changes nothing', () => {
  const done = after(BEGIN, METADATA, COMPLETE);
  for (const on of ['begin', 'sent', 'failed', 'closed', 'cancel', 'again', 'toString', 'banana']) {
    assert.equal(step(done, { on, part: 0, failure: { code: 'x' } }), done, on);
  }
});

test('what is said of it', () => {
  const said = (/** @type {Told[]} */ told, /** @type {number | null} */ left = null) => statusOf(after(...told), left, en);
  assert.equal(said([]), 'Waits for its turn');
  assert.equal(said([BEGIN, { on: 'sent', part: 0.4 }], 7.2), 'Sending, 40% · 7 sec left');
  assert.equal(said([BEGIN, RECEIVED]), 'Sent, waiting for the first words');
  assert.equal(said([BEGIN, METADATA, { on: 'heard', seconds: 4 }], 130), 'Writing, 40% · 2 min left');
  assert.equal(said([BEGIN, { ...METADATA, duration: null }, { on: 'heard', seconds: 64 }]), 'Writing, 1:04 so far');
  assert.equal(said([BEGIN, METADATA, PROGRESS, COMPLETE]), '0:09 · 1 word');
  assert.equal(said([BEGIN, DAMAGED]), '');
  assert.equal(said([{ on: 'cancel' }]), 'Cancelled.');
});

test('why it failed is told in the language of the person, and then as the server says it', () => {
  const failed = after(BEGIN, DAMAGED);
  const reason = reasonOf(failed, phrasesIn('fr'));
  assert.equal(reason, 'Le fichier est endommagé. Choisissez-en un autre.');
  assert.equal(serversWords(failed, reason), 'The file is cut off.');
  assert.equal(reasonOf(after(), en), '');
  assert.match(reasonOf(after(BEGIN, METADATA, PROGRESS, { on: 'closed' }), en), /Try again\. What was heard before that is kept\.$/);
});

test('the server is not quoted where it says the same', () => {
  const empty = after(BEGIN, { on: 'failed', failure: { code: 'empty', message: 'The file is empty: send a file of audio.' } });
  assert.equal(serversWords(empty, reasonOf(empty, en)), '');
  const waiting = after(BEGIN, { on: 'failed', failure: { ...BUSY.failure, message: 'Come back.' } });
  assert.equal(reasonOf(waiting, en), 'All places at the server are taken. The file is sent again in 5 seconds.');
  assert.equal(serversWords(waiting, reasonOf(waiting, en)), '');
});
