import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Estimate } from '../../web/estimate.js';

/** @param {...[number, number]} told When, and how much was done. */
function estimate(...told) {
  const made = new Estimate();
  for (const [now, done] of told) made.tell(now, done);
  return made;
}

test('nothing is said of what was watched for less than a second', () => {
  assert.equal(estimate().left(0), null);
  assert.equal(estimate([0, 0]).left(5), null);
  assert.equal(estimate([0, 0], [0.9, 0.5]).left(0.9), null);
});

test('what goes on as it did is done in proportion', () => {
  assert.equal(estimate([10, 0], [12, 0.25]).left(12), 6);
  assert.equal(estimate([10, 0], [12, 0.25]).left(14), 4);
  assert.equal(estimate([0, 0], [2, 0.5], [4, 1]).left(4), 0);
});

test('it is never less than nothing', () => {
  assert.equal(estimate([0, 0], [2, 0.5]).left(60), 0);
});

test('what stands still has no end in sight', () => {
  assert.equal(estimate([0, 0.5], [3, 0.5]).left(3), null);
});

test('only the last seconds count', () => {
  const slow = estimate([0, 0], ...Array.from({ length: 10 }, (_, at) => /** @type {[number, number]} */ ([at + 1, 0.01 * (at + 1)])));
  slow.tell(20, 0.5);
  assert.ok(Math.abs(/** @type {number} */ (slow.left(20)) - 0.5 / (0.4 / 10)) < 1e-9);
});

test('what begins anew is measured anew', () => {
  assert.equal(estimate([0, 0], [5, 0.9], [6, 0]).left(6), null);
});
