import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EventStream } from '../../web/sse.js';

const STREAM = ': ping\r\n\r\nevent: metadata\r\ndata: {"a":1}\r\n\r\ndata: x\n\nevent: b\rdata: 1\rdata:2\r\rdata: cut off';
const EVENTS = [
  { event: 'metadata', data: '{"a":1}' },
  { event: 'message', data: 'x' },
  { event: 'b', data: '1\n2' },
];

test('events, by each of the three line ends; comments and what is cut off are nothing', () => {
  assert.deepEqual(new EventStream().feed(STREAM), EVENTS);
});

test('however it is cut into pieces, the events are the same', () => {
  for (let size = 1; size < STREAM.length; size += 1) {
    const stream = new EventStream();
    const pieces = Array.from({ length: Math.ceil(STREAM.length / size) }, (_, at) => STREAM.slice(at * size, (at + 1) * size));
    assert.deepEqual(pieces.flatMap((piece) => stream.feed(piece)), EVENTS, `pieces of ${size}`);
  }
});

test('an event without data is none, and its name is forgotten', () => {
  assert.deepEqual(new EventStream().feed('event: a\n\ndata: b\n\n'), [{ event: 'message', data: 'b' }]);
});

test('only the first space behind the colon is left out', () => {
  assert.deepEqual(new EventStream().feed('data:  a: b\n\n'), [{ event: 'message', data: ' a: b' }]);
});
