import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { FileQueue } from '../../web/files.js';
import { FakeRequest, settled } from './fakes.js';

beforeEach(() => {
  FakeRequest.made = [];
});

/** Timers of which several run at a time: each is fired by its delay. */
class Timers {
  /** @type {Map<number, {call: () => void, after: number}>} */
  running = new Map();
  #next = 1;

  setTimeout = (/** @type {() => void} */ call, /** @type {number} */ after) => {
    this.running.set(this.#next, { call, after });
    this.#next += 1;
    return this.#next - 1;
  };

  clearTimeout = (/** @type {number} */ timer) => this.running.delete(timer);

  /** @param {number} after Milliseconds. */
  fire(after) {
    const due = [...this.running].filter(([, timer]) => timer.after === after);
    assert.ok(due.length, `nothing waits for ${after} ms`);
    for (const [id, { call }] of due) {
      this.running.delete(id);
      call();
    }
  }
}

/** @param {Record<string, any>} [options] */
function setUp(options = {}) {
  const timers = new Timers();
  const clock = { now: 0 };
  const queue = new FileQueue({
    url: 'https://voice.test/below',
    request: /** @type {any} */ (FakeRequest),
    timers: /** @type {any} */ (timers),
    now: () => clock.now,
    ...options,
  });
  /** @type {[string, number, string][]} */
  const heard = [];
  for (const name of ['added', 'changed', 'removed']) {
    queue.addEventListener(name, (/** @type {any} */ { detail }) => heard.push([name, detail.upload.id, detail.upload.phase]));
  }
  const phases = () => queue.uploads.map(({ phase }) => phase);
  return { queue, timers, clock, heard, phases };
}

/** @param {string} name */
const file = (name, content = 'sound') => new File([content], name);
const files = (/** @type {number} */ count) => Array.from({ length: count }, (_, at) => file(`${at + 1}.wav`));
const request = (/** @type {number} */ at) => FakeRequest.made[at];

/** @param {FakeRequest} one */
function isHeard(one) {
  one.upload.onload();
  one.says('metadata', { language: 'en', duration: 2 });
  one.says('progress', { id: 0, start: 0.5, end: 1, text: 'Hello', words: [{ word: 'Hello', start: 0.5, end: 1 }] });
  one.says('complete', { text: 'Hello', duration: 2 });
}

test('a file is posted as a form, with the key as everywhere', () => {
  const { queue } = setUp({ token: 'key-1' });
  queue.add([file('talk.wav')]);
  assert.equal(request(0).url, 'https://voice.test/below/api/transcribe/stream');
  assert.equal(request(0).headers.Authorization, 'Bearer key-1');
  assert.equal(/** @type {File} */ (request(0).body?.get('file')).name, 'talk.wav');
});

test('without a key none is sent', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  assert.equal('Authorization' in request(0).headers, false);
});

test('two at a time; the others begin in their order, whatever becomes of those before them', () => {
  const { queue, phases } = setUp();
  queue.add(files(4));
  assert.deepEqual(phases(), ['sending', 'sending', 'waiting', 'waiting']);
  isHeard(request(1));
  assert.deepEqual(phases(), ['sending', 'done', 'sending', 'waiting']);
  request(0).refuses(422, { code: 'damaged', detail: 'The file is damaged.' });
  assert.deepEqual(phases(), ['failed', 'done', 'sending', 'sending']);
  assert.deepEqual(queue.uploads[0].failure, { code: 'damaged', message: 'The file is damaged.', retryAfter: undefined });
});

test('words come as they are told, in pieces of any size', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  request(0).comes('event: metadata\r\ndata: {"language":"en","dura');
  assert.equal(queue.uploads[0].phase, 'sending');
  request(0).comes('tion":4}\r\n\r\n: ping\r\n\r\n');
  request(0).says('warning', { option: 'x', warning: 'y' });
  request(0).says('progress', { start: 0, end: 1, text: 'a', words: [{ word: 'a', start: 0, end: 1 }] });
  assert.deepEqual([queue.uploads[0].phase, queue.uploads[0].segments.length, queue.uploads[0].heard], ['hearing', 1, 1]);
});

test('the server cannot do what only a person can', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  request(0).says('cancel', {});
  assert.equal(queue.uploads[0].phase, 'sending');
});

test('an answer that is no JSON fails the file', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  request(0).comes('event: progress\r\ndata: <html>\r\n\r\n');
  assert.equal(queue.uploads[0].failure?.code, 'bad_message');
});

test('what is sent and heard is measured', () => {
  const { queue, clock } = setUp();
  queue.add([file('talk.wav')]);
  assert.equal(queue.left(1), null);
  request(0).upload.onprogress({ loaded: 0, total: 100 });
  clock.now = 2000;
  request(0).upload.onprogress({ loaded: 50, total: 100 });
  assert.deepEqual([queue.uploads[0].sent, queue.left(1)], [0.5, 2]);
  request(0).says('metadata', { language: null, duration: 10 });
  assert.equal(queue.left(1), null);
  clock.now = 4000;
  request(0).says('heard', { seconds: 5, duration: 10 });
  assert.equal(queue.left(1), 2);
});

test('a full house is asked again when it said, by the same file, before those that wait', () => {
  const { queue, timers, phases } = setUp({ atOnce: 1 });
  queue.add(files(2));
  request(0).refuses(503, { code: 'busy', detail: 'All lines are busy.' }, { 'Retry-After': '5' });
  assert.deepEqual(phases(), ['pausing', 'waiting']);
  timers.fire(5000);
  assert.deepEqual(phases(), ['sending', 'waiting']);
  assert.equal(FakeRequest.made.length, 2);
});

test('who is refused while another of ours is heard waits for that one, and is not sent in vain', () => {
  const { queue, timers, phases } = setUp();
  queue.add(files(4));
  request(0).says('metadata', { duration: 2 });
  request(1).refuses(503, { code: 'busy', detail: 'All lines are busy.' }, { 'Retry-After': '5' });
  assert.deepEqual(phases(), ['hearing', 'waiting', 'waiting', 'waiting']);
  request(0).says('complete', { duration: 2 });
  assert.deepEqual(phases(), ['done', 'sending', 'waiting', 'waiting']);
  request(2).refuses(503, { code: 'busy' }, { 'Retry-After': '5' });
  timers.fire(5000);
  isHeard(request(3));
  isHeard(request(4));
  isHeard(request(5));
  assert.deepEqual(phases(), ['done', 'done', 'done', 'done']);
  queue.add(files(2));
  assert.deepEqual(phases().slice(4), ['sending', 'sending']);
});

test('a cancelled file is aborted, and the next begins', () => {
  const { queue, phases } = setUp({ atOnce: 1 });
  queue.add(files(2));
  queue.cancel(1);
  assert.equal(request(0).aborted, true);
  assert.deepEqual(phases(), ['cancelled', 'sending']);
  queue.cancel(2);
  queue.retry(1);
  assert.deepEqual(phases(), ['sending', 'cancelled']);
});

test('a wait that is cancelled is over', () => {
  const { queue, timers, phases } = setUp();
  queue.add([file('talk.wav')]);
  request(0).refuses(503, { code: 'busy' }, { 'Retry-After': '5' });
  queue.cancel(1);
  assert.equal(timers.running.size, 0);
  assert.deepEqual(phases(), ['cancelled']);
});

test('what a request still says when it has been aborted is not heard', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  queue.cancel(1);
  queue.retry(1);
  request(0).onload();
  request(0).upload.onload();
  assert.equal(queue.uploads[0].phase, 'sending');
});

test('a file that is done keeps its connection to the end', () => {
  const { queue, timers } = setUp();
  queue.add([file('talk.wav')]);
  isHeard(request(0));
  assert.deepEqual([queue.uploads[0].phase, request(0).aborted, timers.running.size], ['done', false, 0]);
});

test('a removed file is gone, and its place is free', () => {
  const { queue, heard, phases } = setUp({ atOnce: 1 });
  queue.add(files(2));
  queue.remove(1);
  queue.remove(1);
  assert.deepEqual(phases(), ['sending']);
  assert.equal(queue.file(1), null);
  assert.deepEqual(heard.filter(([name]) => name === 'removed'), [['removed', 1, 'sending']]);
});

test('a network that is gone is told by how far it went', async () => {
  const { queue } = setUp();
  queue.add(files(2));
  request(0).upload.onprogress({ loaded: 1, total: 2 });
  request(0).onerror();
  request(1).onerror();
  await settled();
  await settled();
  assert.deepEqual(queue.uploads.map(({ failure }) => failure?.code), ['connection_lost', 'unreachable']);
});

test('a file that can no longer be read is not the network’s fault', async () => {
  const { queue } = setUp();
  const moved = file('moved.wav');
  moved.slice = () => /** @type {any} */ ({ arrayBuffer: () => Promise.reject(new DOMException('gone', 'NotReadableError')) });
  queue.add([moved]);
  request(0).onerror();
  await settled();
  assert.equal(queue.uploads[0].failure?.code, 'unreadable_file');
});

test('a server that says nothing for a minute is given up', () => {
  const { queue, timers } = setUp();
  queue.add([file('talk.wav')]);
  request(0).says('metadata', { duration: 2 });
  request(0).comes(': ping\r\n\r\n');
  timers.fire(60_000);
  assert.deepEqual([queue.uploads[0].failure?.code, request(0).aborted], ['connection_lost', true]);
});

test('an answer that is cut off fails with what was heard', () => {
  const { queue } = setUp();
  queue.add([file('talk.wav')]);
  request(0).says('metadata', { duration: 2 });
  request(0).says('progress', { start: 0, end: 1, text: 'a', words: [] });
  request(0).onload();
  assert.deepEqual([queue.uploads[0].phase, queue.uploads[0].segments.length], ['failed', 1]);
});

test('a key that could not be one is not sent at all, and a better one is', async () => {
  const { queue } = setUp({ token: 'no key\n' });
  queue.add([file('talk.wav')]);
  await settled();
  assert.deepEqual([queue.uploads[0].failure?.code, FakeRequest.made.length], ['unauthorized', 0]);
  queue.token = 'better';
  queue.retry(1);
  assert.equal(request(0).headers.Authorization, 'Bearer better');
});

test('the list is bounded, and says how many it did not take', () => {
  const { queue } = setUp({ most: 3 });
  assert.equal(queue.add(files(2)), 0);
  assert.equal(queue.add(files(4)), 3);
  assert.equal(queue.uploads.length, 3);
  queue.remove(1);
  assert.equal(queue.add(files(1)), 0);
});
