import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LineNow } from '../../web/line.js';

function setUp() {
  const clock = { now: 100 };
  return { clock, line: new LineNow(() => clock.now) };
}

test('a line that nobody has measured is not spoken of', () => {
  assert.equal(setUp().line.text(), '');
});

test('what was measured is told until it is no news any more', () => {
  const { clock, line } = setUp();
  line.tell({ mos: 4.4, loss: 0, repaired: 0 });
  clock.now += 4;
  assert.equal(line.text(), 'Good line');
  line.tell({ mos: 4.0, loss: 0.2, repaired: 0.15 });
  clock.now += 4;
  assert.equal(line.text(), 'Fair line, 20% lost and mostly repaired');
  clock.now += 2;
  assert.equal(line.text(), '');
});

test('it is told in the language asked for', () => {
  const { line } = setUp();
  line.tell({ mos: 4.4, loss: 0, repaired: 0 });
  assert.deepEqual([line.text('fr'), line.text('es')], ['Bonne ligne', 'Línea buena']);
});

test('after a silence a new measurement is told again', () => {
  const { clock, line } = setUp();
  line.tell({ mos: 1, loss: 1, repaired: 0 });
  clock.now += 60;
  line.tell({ mos: 4.4, loss: 0, repaired: 0 });
  assert.equal(line.text(), 'Good line');
});

test('another connection knows nothing of the line before it', () => {
  const { line } = setUp();
  line.tell({ mos: 4.4, loss: 0, repaired: 0 });
  line.forget();
  assert.equal(line.text(), '');
});
