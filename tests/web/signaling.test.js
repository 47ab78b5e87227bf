import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff, newCall, step } from '../../web/signaling.js';

/** @typedef {import('../../web/signaling.js').Told} Told */
/** @typedef {import('../../web/signaling.js').Action} Action */

const READY = { on: 'ready', session: 's1', resume_token: 't1', ice_servers: [{ urls: 'stun:a' }] };
const JOINED = [{ on: 'start' }, READY, { on: 'described', sdp: 'v=0' }, { on: 'answer', sdp: 'v=1' }, { on: 'open' }];
const LOST = { on: 'lost', code: 1006, opened: true };

/**
 * Tell a new call all of these; what the last of them asked for.
 * @param {Told[]} told
 * @param {number} [limit]
 */
function after(told, limit) {
  let call = newCall(limit);
  /** @type {Action[]} */
  let actions = [];
  for (const one of told) [call, ...actions] = step(call, one);
  return { call, actions, done: actions.map((action) => action.do) };
}

/** @param {Action[]} actions */
function sent(actions) {
  return actions.flatMap((action) => (action.do === 'send' ? [action.message] : []));
}

test('a start connects and gives the server 10 s to greet', () => {
  const { call, actions } = after([{ on: 'start' }]);
  assert.equal(call.phase, 'connecting');
  assert.deepEqual(actions, [{ do: 'connect' }, { do: 'timer', seconds: 10 }]);
});

test('a greeting begins a session and negotiates with the servers it names', () => {
  const { call, actions } = after([{ on: 'start' }, READY]);
  assert.deepEqual(call.session, { id: 's1', token: 't1' });
  assert.deepEqual(actions.slice(0, 2), [{ do: 'begin' }, { do: 'negotiate', iceServers: [{ urls: 'stun:a' }] }]);
});

test('an offer goes out, the answer comes in, the open channel makes the call live', () => {
  assert.deepEqual(sent(after(JOINED.slice(0, 3)).actions), [{ type: 'offer', sdp: 'v=0' }]);
  assert.deepEqual(after(JOINED.slice(0, 4)).actions[0], { do: 'accept', sdp: 'v=1' });
  const { call } = after(JOINED);
  assert.deepEqual([call.phase, call.joined, call.attempts], ['live', true, 0]);
});

test('who waits in line is told where, for as long as the server lets them wait', () => {
  const line = [...JOINED.slice(0, 3), { on: 'queued', position: 3, wait: 60 }];
  assert.deepEqual(after(line).actions, [{ do: 'queued', position: 3 }, { do: 'timer', seconds: 80 }]);
  const further = after([...line, { on: 'gathered', candidate: null }, { on: 'queued', position: 2, wait: 60 }]);
  assert.deepEqual([further.call.phase, further.done], ['queued', ['queued', 'timer']]);
  assert.deepEqual(sent(after([...line, { on: 'gathered', candidate: null }]).actions).length, 1);
  const { call, done } = after([...line, { on: 'answer', sdp: 'v=1' }]);
  assert.deepEqual([call.phase, done], ['joining', ['accept', 'timer']]);
});

test('who waits in line may go, is let go when the wait is over, and comes back when the server is silent', () => {
  const line = [...JOINED.slice(0, 3), { on: 'queued', position: 1, wait: 60 }];
  assert.deepEqual(sent(after([...line, { on: 'stop' }]).actions), [{ type: 'bye' }]);
  const over = after([...line, { on: 'error', failure: { code: 'busy', retryAfter: 5 } }]);
  assert.deepEqual([over.call.phase, over.call.session, over.call.asked], ['waiting', null, true]);
  assert.equal(after([...line, { on: 'due' }]).call.phase, 'waiting');
});

test('candidates are trickled both ways, and those before the answer belong to an old peer', () => {
  const theirs = { on: 'candidate', candidate: { candidate: 'c' } };
  assert.deepEqual(after([...JOINED.slice(0, 3), theirs]).actions, []);
  assert.deepEqual(after([...JOINED.slice(0, 4), theirs]).actions, [{ do: 'candidate', candidate: { candidate: 'c' } }]);
  const ours = after([...JOINED, { on: 'gathered', candidate: null }]).actions;
  assert.deepEqual(sent(ours), [{ type: 'candidate', candidate: null }]);
});

test('at most 32 candidates are sent, and a fresh peer has 32 of its own', () => {
  const found = { on: 'gathered', candidate: { candidate: 'c' } };
  const many = [...JOINED.slice(0, 3), ...Array(32).fill(found)];
  assert.equal(sent(after(many).actions).length, 1);
  assert.equal(sent(after([...many, found]).actions).length, 0);
  const fresh = [...many, ...JOINED.slice(3), { on: 'peer', state: 'failed' }, found];
  assert.equal(sent(after(fresh).actions).length, 1);
});

test('a failed path is restarted on the same socket with a fresh peer', () => {
  const told = [...JOINED, { on: 'peer', state: 'failed' }];
  assert.deepEqual(after(told).done, ['negotiate', 'timer']);
  const restarted = after([...told, { on: 'described', sdp: 'v=2', seq: 7 }]);
  assert.deepEqual(sent(restarted.actions), [{ type: 'restart', sdp: 'v=2', seq: 7 }]);
});

test('a disconnected path has 3 s to come back', () => {
  const shaky = [...JOINED, { on: 'peer', state: 'disconnected' }];
  assert.deepEqual(after(shaky).actions, [{ do: 'timer', seconds: 3 }]);
  assert.equal(after([...shaky, { on: 'peer', state: 'connected' }]).call.phase, 'live');
  const { call, done } = after([...shaky, { on: 'due' }]);
  assert.deepEqual([call.phase, call.kind, done[0]], ['offering', 'restart', 'negotiate']);
});

test('a lost socket is waited for, and the session is resumed after the first greeting', () => {
  const { call, actions } = after([...JOINED, LOST]);
  assert.equal(call.phase, 'waiting');
  assert.deepEqual(actions.map((action) => action.do), ['hangup', 'disconnect', 'retry']);
  const resuming = [...JOINED, LOST, { on: 'due' }, { ...READY, session: 's2', resume_token: 't2' }];
  assert.deepEqual(after(resuming).actions[0], { do: 'resume', session: 's1', token: 't1' });
  const resumed = after([...resuming, READY]);
  assert.deepEqual([resumed.call.session?.id, resumed.call.kind, resumed.done], ['s1', 'offer', ['negotiate', 'timer']]);
});

test('an unknown session is forgotten, and a new one is begun', () => {
  const told = [...JOINED, LOST, { on: 'due' }, READY, { on: 'error', failure: { code: 'unknown_session' } }];
  assert.equal(after(told).call.session, null);
  const again = after([...told, { on: 'due' }, { ...READY, session: 's2' }]);
  assert.deepEqual([again.call.session?.id, again.done[0]], ['s2', 'begin']);
});

test('a session that found all lines busy never began, so nobody asks for it again', () => {
  const busy = [{ on: 'start' }, READY, { on: 'error', failure: { code: 'busy', retryAfter: 5 } }];
  assert.equal(after(busy).call.session, null);
  assert.equal(after([...busy, { on: 'due' }, { ...READY, session: 's2' }]).done[0], 'begin');
});

test('a network that comes back is used at once', () => {
  assert.equal(after([...JOINED, LOST, { on: 'online' }]).done[0], 'connect');
});

test('attempts are counted up to the limit, and forgotten once the call is live', () => {
  const twice = [...JOINED, LOST, { on: 'due' }, LOST];
  assert.equal(after(twice, 2).call.attempts, 2);
  const gone = after([...twice, { on: 'due' }, LOST], 2);
  assert.deepEqual([gone.call.phase, gone.done], ['ended', ['hangup', 'disconnect', 'fail', 'ended']]);
  assert.equal(after([...JOINED, LOST, { on: 'due' }, READY, ...JOINED.slice(1)], 2).call.attempts, 0);
});

test('a path that keeps failing before it is live is given up too', () => {
  const failing = [...JOINED, { on: 'peer', state: 'failed' }, { on: 'due' }, { on: 'due' }, { on: 'due' }];
  assert.equal(after(failing, 1).call.phase, 'ended');
});

test('a full house is asked again when it says, however often', () => {
  const failure = { code: 'busy', retryAfter: 5 };
  const round = [{ on: 'error', failure }, { on: 'due' }];
  const told = [{ on: 'start' }, ...Array(20).fill(round).flat(), { on: 'error', failure }];
  const { call, actions } = after(told, 3);
  assert.deepEqual([call.phase, call.asked, call.attempts], ['waiting', true, 0]);
  assert.deepEqual(actions.at(-1), { do: 'retry', attempt: 0, failure });
});

test('a socket that never opened is looked into, and a refusal ends the call', () => {
  const refused = [{ on: 'start' }, { on: 'lost', code: 1006, opened: false }];
  assert.equal(after(refused).done.at(-1), 'diagnose');
  const { call, actions } = after([...refused, { on: 'diagnosed', failure: { code: 'unauthorized' } }]);
  assert.equal(call.phase, 'ended');
  assert.deepEqual(actions.at(-1), { do: 'ended', reason: 'unauthorized' });
  assert.equal(after([...refused, { on: 'diagnosed', failure: { code: 'unreachable' } }]).call.phase, 'waiting');
});

for (const code of ['unauthorized', 'forbidden_origin', 'bad_offer', 'bad_message', 'out_of_order', 'too_large']) {
  test(`${code} is not tried again`, () => {
    assert.equal(after([...JOINED, { on: 'error', failure: { code } }]).call.phase, 'ended');
  });
}

test('sound that never got through ends a first call, and is tried again in one that was live', () => {
  const failure = { code: 'never_connected' };
  assert.equal(after([...JOINED.slice(0, 4), { on: 'error', failure }]).call.phase, 'ended');
  assert.equal(after([...JOINED.slice(0, 4), { on: 'peer', state: 'failed' }]).call.phase, 'ended');
  assert.equal(after([...JOINED, { on: 'error', failure }]).call.phase, 'waiting');
});

test('a stop lets the last words come, then says goodbye', () => {
  const { call, actions } = after([...JOINED, { on: 'stop' }]);
  assert.equal(call.phase, 'finishing');
  assert.deepEqual(actions, [{ do: 'finish' }, { do: 'timer', seconds: 5 }]);
  const last = after([...JOINED, { on: 'stop' }, { on: 'ended', reason: 'finished' }]);
  assert.deepEqual(sent(last.actions), [{ type: 'bye' }]);
  assert.deepEqual(last.done, ['send', 'hangup', 'disconnect', 'ended']);
});

test('the last words may take 5 s, and a second stop does not wait for them', () => {
  assert.equal(after([...JOINED, { on: 'stop' }, { on: 'due' }]).call.phase, 'ended');
  assert.equal(after([...JOINED, { on: 'stop' }, { on: 'stop' }]).call.phase, 'ended');
  assert.equal(after([...JOINED, { on: 'stop' }, LOST]).call.phase, 'ended');
});

test('a page that goes away says goodbye', () => {
  assert.deepEqual(sent(after([...JOINED, { on: 'leave' }]).actions), [{ type: 'bye' }]);
});

test('stop ends every phase in which a call is under way', () => {
  const ways = [JOINED.slice(0, 1), JOINED.slice(0, 2), JOINED.slice(0, 4), [...JOINED, LOST]];
  ways.push([{ on: 'start' }, { on: 'lost', code: 1006, opened: false }]);
  for (const told of ways) assert.equal(after([...told, { on: 'stop' }]).call.phase, 'ended');
});

test('a session that the server ended is over, unless the server itself went away', () => {
  const idle = after([...JOINED, { on: 'ended', reason: 'idle' }]);
  assert.deepEqual([idle.call.phase, idle.actions.at(-1)], ['ended', { do: 'ended', reason: 'idle' }]);
  const drained = after([...JOINED, { on: 'ended', reason: 'drain' }]);
  assert.deepEqual([drained.call.phase, drained.call.session], ['waiting', null]);
});

test('a socket that the server closed in good order ends the call', () => {
  assert.equal(after([...JOINED, { on: 'lost', code: 1000, opened: true }]).call.phase, 'ended');
});

test('what a phase does not know is ignored', () => {
  for (const on of ['banana', 'toString', '__proto__', 'answer']) {
    const { call, actions } = after([...JOINED, { on }]);
    assert.deepEqual([call.phase, actions], ['live', []]);
  }
});

test('back-off doubles, is bounded, and is spread over half of itself', () => {
  assert.deepEqual([1, 2, 3, 10].map((attempt) => backoff(attempt, 0.999999).toFixed(2)), ['0.50', '1.00', '2.00', '8.00']);
  assert.equal(backoff(3, 0), 1);
  assert.equal(backoff(9, 0, { first: 1, most: 4 }), 2);
});
