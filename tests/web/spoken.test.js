import assert from 'node:assert/strict';
import { test } from 'node:test';

import { neighbour, spokenAt } from '../../web/spoken.js';

const words = [[1, 1.4], [1.5, 2], [5, 5.2]].map(([start, stop], at) => ({ text: `w${at}`, start, stop }));

test('the word that is being spoken', () => {
  assert.deepEqual([0, 0.9, 1, 1.3, 1.45, 1.5, 2.4, 5.1].map((at) => spokenAt(words, at)), [-1, -1, 0, 0, 0, 1, 1, 2]);
});

test('in a silence none is', () => {
  assert.equal(spokenAt(words, 4), -1);
  assert.equal(spokenAt(words, 60), -1);
  assert.equal(spokenAt([], 1), -1);
});

test('a player that was sent to a word and stands a little before it is at that word', () => {
  assert.equal(spokenAt(words, 4.98), 2);
});

test('from word to word, and no further than to the ends', () => {
  assert.equal(neighbour(words, 0, 1), 1);
  assert.equal(neighbour(words, 1, 1), 1.5);
  assert.equal(neighbour(words, 3, 1), 5);
  assert.equal(neighbour(words, 5, 1), null);
  assert.equal(neighbour(words, 5, -1), 1.5);
  assert.equal(neighbour(words, 1, -1), null);
  assert.equal(neighbour([], 0, 1), null);
});
