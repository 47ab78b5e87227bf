import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FORMATS } from '../../web/subtitles.js';

const recording = {
  name: 'talk.mp3',
  language: 'en',
  duration: 3.5,
  segments: [
    { start: 0.5, stop: 1.25, words: [{ text: 'Hello', start: 0.5, stop: 0.75 }, { text: 'there.', start: 1, stop: 1.25 }] },
    { start: 3, stop: 3.25, words: [{ text: 'Yes.', start: 3, stop: 3.25 }] },
  ],
};
const nothing = { ...recording, language: null, duration: null, segments: [] };

test('as text, a line for each segment', () => {
  assert.equal(FORMATS.txt.write(recording), 'Hello there.\nYes.\n');
});

test('as JSON, with the times of segments and words', () => {
  assert.deepEqual(JSON.parse(FORMATS.json.write(recording)), {
    file: 'talk.mp3',
    text: 'Hello there. Yes.',
    language: 'en',
    duration: 3.5,
    segments: [
      { id: 0, start: 0.5, end: 1.25, text: 'Hello there.' },
      { id: 1, start: 3, end: 3.25, text: 'Yes.' },
    ],
    words: [
      { word: 'Hello', start: 0.5, end: 0.75 },
      { word: 'there.', start: 1, end: 1.25 },
      { word: 'Yes.', start: 3, end: 3.25 },
    ],
  });
});

test('a recording without words is a whole file all the same', () => {
  assert.equal(FORMATS.txt.write(nothing), '');
  assert.equal(FORMATS.srt.write(nothing), '');
  assert.equal(FORMATS.vtt.write(nothing), 'WEBVTT\n\n');
  assert.deepEqual(JSON.parse(FORMATS.json.write(nothing)), { file: 'talk.mp3', text: '', segments: [], words: [] });
});
