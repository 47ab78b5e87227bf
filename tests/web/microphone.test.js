import assert from 'node:assert/strict';
import { test } from 'node:test';

import { levelOf, microphoneFailure } from '../../web/microphone.js';
import { roundTripOf } from '../../web/peer.js';

test('each refusal of a microphone has a code of its own', () => {
  const codeOf = (/** @type {string} */ name) => microphoneFailure(new DOMException('x', name)).code;
  assert.equal(codeOf('NotAllowedError'), 'microphone_refused');
  assert.equal(codeOf('NotFoundError'), 'microphone_missing');
  assert.equal(codeOf('OverconstrainedError'), 'microphone_missing');
  assert.equal(codeOf('NotReadableError'), 'microphone_busy');
  assert.equal(codeOf('SomethingNewError'), 'microphone_failed');
});

test('silence is 0, full scale is 1, and 30 dB below it is a half', () => {
  assert.equal(levelOf(new Float32Array(512)), 0);
  assert.equal(levelOf(new Float32Array(512).fill(1)), 1);
  assert.ok(Math.abs(levelOf(new Float32Array(512).fill(10 ** (-30 / 20))) - 0.5) < 1e-3);
});

test('the round trip is that of the pair in use', () => {
  const pairs = [
    ['a', { type: 'candidate-pair', state: 'succeeded', nominated: false, currentRoundTripTime: 0.9 }],
    ['b', { type: 'candidate-pair', state: 'succeeded', nominated: true, currentRoundTripTime: 0.02 }],
  ];
  assert.equal(roundTripOf(/** @type {any} */ (pairs)), 0.02);
  const chosen = [...pairs, ['t', { type: 'transport', selectedCandidatePairId: 'a' }]];
  assert.equal(roundTripOf(/** @type {any} */ (chosen)), 0.9);
  assert.equal(roundTripOf([]), null);
});
