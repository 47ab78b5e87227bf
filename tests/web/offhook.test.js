import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { OffhookClient, signalUrl } from '../../web/offhook.js';
import { FakeMedia, FakePeerConnection, FakeSocket, FakeTimers, settled } from './fakes.js';

beforeEach(() => {
  FakeSocket.made = [];
  FakePeerConnection.made = [];
});

/** @param {Record<string, any>} [options] */
function setUp(options = {}) {
  const media = new FakeMedia();
  const timers = new FakeTimers();
  const clock = { now: 0 };
  const client = new OffhookClient({
    url: 'http://voice.test/',
    rtc: /** @type {any} */ (FakePeerConnection),
    socket: /** @type {any} */ (FakeSocket),
    media: /** @type {any} */ (media),
    timers: /** @type {any} */ (timers),
    audio: undefined,
    random: () => 0,
    now: () => clock.now,
    ...options,
  });
  /** @type {[string, any][]} */
  const heard = [];
  for (const name of ['state', 'queued', 'word', 'partial', 'pause', 'digit', 'stats', 'closing', 'error', 'ended']) {
    client.addEventListener(name, (/** @type {any} */ event) => heard.push([name, event.detail]));
  }
  const all = (/** @type {string} */ name) => heard.filter(([one]) => one === name).map(([, detail]) => detail);
  return { client, media, timers, clock, all };
}

/** @param {Record<string, any>} [options] */
async function setUpLive(options) {
  const parts = setUp(options);
  await parts.client.start();
  await join('s1');
  return parts;
}

/** The newest socket is greeted and answered, and the channel opens. @param {string} session */
async function join(session) {
  socket().greets(session);
  await answer();
}

async function answer() {
  await settled();
  socket().says({ type: 'answer', sdp: 'answer' });
  await settled();
  peer().channel.opens();
}

const socket = () => /** @type {FakeSocket} */ (FakeSocket.made.at(-1));
const peer = () => /** @type {FakePeerConnection} */ (FakePeerConnection.made.at(-1));

test('a call goes from the microphone to live, saying so', async () => {
  const { client, all } = await setUpLive();
  assert.equal(client.state, 'live');
  assert.deepEqual(all('state').map(({ state }) => state), ['asking', 'connecting', 'live']);
  assert.equal(socket().url, 'ws://voice.test/v1/signal');
  assert.deepEqual(socket().protocols, ['offhook']);
  assert.deepEqual(socket().sent, [{ type: 'offer', sdp: 'offer 1' }]);
  assert.deepEqual(peer().remote, [{ type: 'answer', sdp: 'answer' }]);
});

test('a key travels as a subprotocol', async () => {
  const { client } = setUp({ token: 'secret-1' });
  await client.start();
  assert.deepEqual(socket().protocols, ['offhook', 'bearer.secret-1']);
});

test('a key that is no subprotocol as it stands is escaped', async () => {
  const { client } = setUp({ token: 'c2VjcmV0+/==' });
  await client.start();
  assert.deepEqual(socket().protocols, ['offhook', 'bearer.c2VjcmV0%2B%2F%3D%3D']);
});

test('where a caller stands in line is told, and the call goes on when it is answered', async () => {
  const { client, all } = setUp();
  await client.start();
  socket().greets('s1');
  await settled();
  for (const position of [2, 1]) socket().says({ type: 'queued', position, wait: 60 });
  assert.deepEqual([all('queued'), client.state], [[{ position: 2 }, { position: 1 }], 'connecting']);
  await answer();
  assert.equal(client.state, 'live');
});

test('a key that no server has is refused before the microphone is asked for', async () => {
  const { client, media, all } = setUp({ token: 'has space' });
  await client.start();
  assert.deepEqual([all('error')[0].code, media.asked.length, client.state], ['unauthorized', 0, 'ended']);
});

test('words, partials and pauses are told and written', async () => {
  const { client, all } = await setUpLive();
  peer().channel.says({ seq: 1, type: 'partial', text: 'hello th' });
  peer().channel.says({ seq: 2, type: 'word', text: 'Hello', start: 0.3, latency: 0.4 });
  peer().channel.says({ seq: 3, type: 'pause', at: 1 });
  assert.deepEqual([all('partial').length, all('word')[0].text, all('pause')[0].at], [1, 'Hello', 1]);
  assert.equal(client.transcript.text(), 'Hello');
});

test('candidates go out with the three fields that the server reads', async () => {
  await setUpLive();
  const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'u', foundation: '1' };
  peer().onicecandidate({ candidate });
  peer().onicecandidate({ candidate: { ...candidate, candidate: '' } });
  peer().onicecandidate({ candidate: null });
  assert.deepEqual(socket().sent.slice(1), [
    { type: 'candidate', candidate: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 } },
    { type: 'candidate', candidate: null },
  ]);
});

for (const [name, code] of [
  ['NotAllowedError', 'microphone_refused'],
  ['NotFoundError', 'microphone_missing'],
  ['NotReadableError', 'microphone_busy'],
]) {
  test(`${name} ends the start with ${code} and no connection`, async () => {
    const { client, media, all } = setUp();
    media.refusal = name;
    await client.start();
    assert.deepEqual([all('error')[0].code, all('error')[0].fatal, client.state], [code, true, 'ended']);
    assert.equal(FakeSocket.made.length, 0);
  });
}

for (const refusal of ['', 'NotAllowedError']) {
  test(`a start that was stopped while the person was asked leaves the next one alone (${refusal || 'allowed'})`, async () => {
    const { client, media, all } = setUp();
    const grant = media.getUserMedia.bind(media);
    /** @type {(() => void)[]} */
    const answers = [];
    media.getUserMedia = async (constraints) => {
      await new Promise((/** @type {(value: void) => void} */ resolve) => answers.push(resolve));
      return grant(constraints);
    };
    const first = client.start();
    await client.stop();
    const second = client.start();
    media.refusal = refusal;
    answers[0]();
    await first;
    assert.deepEqual([client.state, all('error').length], ['asking', 0]);
    media.refusal = '';
    answers[1]();
    await second;
    assert.equal(client.state, 'connecting');
    assert.equal(FakeSocket.made.length, 1);
    assert.deepEqual(media.tracks.map(({ stopped }) => stopped).slice(-2), refusal ? [false] : [true, false]);
  });
}

test('a page that is not secure, and a browser without WebRTC, say so', async () => {
  const insecure = setUp({ media: undefined, secure: false });
  await insecure.client.start();
  assert.equal(insecure.all('error')[0].code, 'insecure_origin');
  const old = setUp({ rtc: undefined });
  await old.client.start();
  assert.equal(old.all('error')[0].code, 'unsupported');
});

test('a stop lets the microphone go at once and waits for the last words', async () => {
  const { client, media, all } = await setUpLive();
  const stopped = client.stop();
  assert.deepEqual([client.state, media.tracks[0].stopped], ['finishing', true]);
  assert.deepEqual(peer().channel.sent, [{ type: 'finish' }]);
  peer().channel.says({ seq: 1, type: 'word', text: 'bye', start: 1 });
  peer().channel.says({ seq: 2, type: 'ended', reason: 'finished' });
  await stopped;
  assert.deepEqual(socket().sent.at(-1), { type: 'bye' });
  assert.deepEqual([socket().closed, peer().closed, client.state], [1000, true, 'ended']);
  assert.deepEqual([client.transcript.text(), all('ended').at(-1).reason], ['bye', 'finished']);
});

test('last words that never come are waited for 5 s', async () => {
  const { client, timers } = await setUpLive();
  const stopped = client.stop();
  assert.equal(timers.timer?.after, 5000);
  timers.fires();
  await stopped;
  assert.deepEqual([client.state, timers.timer, timers.beats.size], ['ended', null, 0]);
});

test('stopping while the person is asked for the microphone never calls', async () => {
  const { client, media } = setUp();
  const starting = client.start();
  await client.stop();
  await starting;
  assert.deepEqual([FakeSocket.made.length, media.tracks[0].stopped, client.state], [0, true, 'ended']);
});

test('a lost socket is resumed from the last event seen, with a fresh peer', async () => {
  const { client, timers, all } = await setUpLive();
  peer().channel.says({ seq: 7, type: 'word', text: 'one', start: 0 });
  const before = peer();
  socket().onclose({ code: 1006 });
  assert.deepEqual([client.state, before.closed, timers.timer?.after], ['reconnecting', true, 250]);
  assert.deepEqual([all('error')[0].code, all('error')[0].fatal], ['connection_lost', false]);
  timers.fires();
  socket().greets('s2');
  assert.deepEqual(socket().sent, [{ type: 'resume', session: 's1', token: 'token of s1', seq: 7 }]);
  await join('s1');
  assert.equal(client.state, 'live');
  peer().channel.says({ seq: 7, type: 'word', text: 'one', start: 0 });
  peer().channel.says({ seq: 8, type: 'word', text: 'two', start: 1 });
  assert.equal(client.transcript.text(), 'one two');
});

test('after a restart of the server a new session goes on under the same transcript', async () => {
  const { client, timers, clock } = await setUpLive();
  peer().channel.says({ seq: 5, type: 'word', text: 'before', start: 1 });
  socket().onclose({ code: 1006 });
  timers.fires();
  socket().greets('s2');
  socket().says({ type: 'error', code: 'unknown_session', message: 'gone' });
  timers.fires();
  clock.now = 30_000;
  await join('s3');
  assert.deepEqual(socket().sent, [{ type: 'offer', sdp: 'offer 2' }]);
  peer().channel.says({ seq: 1, type: 'word', text: 'after', start: 0.5 });
  assert.equal(client.transcript.text({ times: true }), '[0:01] before\n[0:30] after');
});

test('a call that is stopped before its socket is open ends', async () => {
  const { client } = setUp();
  await client.start();
  await client.stop();
  assert.deepEqual([client.state, socket().sent, socket().closed], ['ended', [], 1000]);
});

test('a path that failed is restarted over the same socket', async () => {
  await setUpLive();
  peer().becomes('failed');
  await settled();
  assert.equal(FakeSocket.made.length, 1);
  assert.deepEqual(socket().sent.at(-1), { type: 'restart', sdp: 'offer 2', seq: 0 });
});

test('the old path is kept until the server has answered the new one, and is read meanwhile', async () => {
  const { client } = await setUpLive();
  const old = peer();
  old.becomes('failed');
  await settled();
  old.channel.says({ seq: 1, type: 'word', text: 'still', start: 0 });
  old.becomes('failed');
  assert.deepEqual([old.closed, client.transcript.text(), FakePeerConnection.made.length], [false, 'still', 2]);
  await answer();
  assert.deepEqual([old.closed, peer().closed, client.state], [true, false, 'live']);
});

test('a call that ends while its path is renewed keeps neither', async () => {
  const { client } = await setUpLive();
  peer().becomes('failed');
  await settled();
  await client.stop();
  assert.deepEqual(FakePeerConnection.made.map(({ closed }) => closed), [true, true]);
});

test('a path that cannot be renewed leaves the session to be resumed', async () => {
  const { client, timers } = await setUpLive();
  peer().becomes('failed');
  await settled();
  socket().says({ type: 'answer', sdp: 'answer' });
  peer().becomes('failed');
  assert.deepEqual([client.state, socket().closed], ['reconnecting', 4000]);
  timers.fires();
  socket().greets('s2');
  assert.deepEqual(socket().sent, [{ type: 'resume', session: 's1', token: 'token of s1', seq: 0 }]);
  await client.stop();
});

test('an old peer that closes late disturbs nobody', async () => {
  const { client } = await setUpLive();
  const old = peer();
  old.becomes('failed');
  await answer();
  old.becomes('failed');
  assert.deepEqual([client.state, FakePeerConnection.made.length], ['live', 2]);
});

test('a full house is told with the wait and tried again by itself', async () => {
  const { client, timers, all } = setUp();
  await client.start();
  socket().opens();
  socket().says({ type: 'error', code: 'busy', message: 'All lines are busy', retry_after: 7 });
  assert.deepEqual([client.state, all('error')[0].retryAfter, timers.timer?.after], ['waiting', 7, 7000]);
  assert.match(all('error')[0].message, /busy.*7 seconds/);
  timers.fires();
  await join('s1');
  assert.equal(client.state, 'live');
});

test('a socket refused before it opened is explained by plain HTTP', async () => {
  /** @type {any[]} */
  const asked = [];
  const fetch = async (/** @type {string} */ url, /** @type {any} */ init) => {
    asked.push([url, init.headers]);
    return Response.json({ code: 'unauthorized', detail: 'no' }, { status: 401 });
  };
  const { client, all } = setUp({ fetch, token: 'wrong' });
  await client.start();
  socket().onclose({ code: 1006 });
  await settled();
  assert.deepEqual(asked, [['http://voice.test/v1/signal', { Authorization: 'Bearer wrong' }]]);
  assert.deepEqual([all('error')[0].code, client.state], ['unauthorized', 'ended']);
});

test('a server that cannot be reached is tried again', async () => {
  const fetch = () => Promise.reject(new TypeError('network'));
  const { client, all } = setUp({ fetch });
  await client.start();
  socket().onclose({ code: 1006 });
  await settled();
  assert.deepEqual([all('error')[0].code, all('error')[0].fatal, client.state], ['unreachable', false, 'reconnecting']);
  await client.stop();
});

test('what went wrong is told in the language chosen, and again in another', async () => {
  const { client, all } = await setUpLive({ language: 'fr' });
  socket().says({ type: 'error', code: 'busy', message: 'All lines are busy', retry_after: 7 });
  const [error] = all('error');
  assert.match(error.message, /^Toutes les lignes sont occupées\. /);
  assert.match(error.say('en'), /^All lines are busy\. A line is tried again in 7 seconds\.$/);
  client.language = 'es';
  await client.stop();
  await client.start();
  socket().opens();
  socket().says({ type: 'error', code: 'draining', message: 'soon', retry_after: 3 });
  assert.match(all('error')[1].message, /^El servidor .* Sigue por sí solo en 3.segundos\.$/);
});

test('nonsense on the socket or the channel ends the call with a sentence', async () => {
  for (const data of ['{', '7', 'null', '{"no":"type"}']) {
    const { client, all } = await setUpLive();
    socket().onmessage({ data });
    assert.deepEqual([client.state, all('error')[0].code], ['ended', 'bad_message'], data);
    const other = await setUpLive();
    peer().channel.onmessage({ data });
    assert.deepEqual([other.client.state, other.all('error')[0].code], ['ended', 'bad_message'], data);
  }
});

test('mute holds through a change of microphone', async () => {
  const { client, media } = await setUpLive();
  client.mute(true);
  assert.equal(media.tracks[0].enabled, false);
  await client.setDevice('m2');
  assert.deepEqual(media.asked.at(-1).audio.deviceId, { exact: 'm2' });
  assert.deepEqual([media.tracks[0].stopped, media.tracks[1].enabled, peer().tracks.length], [true, false, 2]);
});

test('a microphone that cannot be changed to leaves the one in use', async () => {
  const { client, media, all } = await setUpLive();
  media.refusal = 'NotReadableError';
  await client.setDevice('m2');
  assert.deepEqual([client.state, all('error')[0].fatal, media.tracks[0].stopped], ['live', false, false]);
});

test('a microphone that is unplugged is replaced by another, and without one the call ends', async () => {
  const { client, media, all } = await setUpLive();
  media.tracks[0].onended();
  await settled();
  assert.deepEqual([client.state, media.tracks.length, peer().tracks.length], ['live', 2, 2]);
  media.refusal = 'NotFoundError';
  media.tracks[1].onended();
  await settled();
  assert.deepEqual([client.state, all('error')[0].code], ['finishing', 'microphone_lost']);
  await client.stop();
});

test('flush, clear and mark go over the channel, and say when there is none', async () => {
  const { client } = await setUpLive();
  assert.deepEqual([client.flush(), client.clear(), client.mark(3)], [true, true, true]);
  assert.deepEqual(peer().channel.sent, [{ type: 'flush' }, { type: 'clear' }, { type: 'mark', id: 3 }]);
  assert.equal(setUp().client.flush(), false);
});

test('keys are pressed after those that are still being pressed', async () => {
  const { client } = await setUpLive();
  const sent = [client.dial('12'), client.dial('#', { duration: 0.2, gap: 0.05 })];
  assert.deepEqual([client.canDial, ...sent], [true, true, true]);
  assert.deepEqual([peer().dtmf.toneBuffer, peer().dtmf.times], ['12#', [200, 50]]);
});

test('keys cannot be pressed before a call, nor where server or browser know none', async () => {
  assert.deepEqual([setUp().client.canDial, setUp().client.dial('1')], [false, false]);
  const { client } = await setUpLive();
  peer().dtmf.canInsertDTMF = false;
  assert.deepEqual([client.canDial, client.dial('1'), peer().dtmf.toneBuffer], [false, false, '']);
});

test('a key that the server heard is told and written', async () => {
  const { client, all } = await setUpLive();
  peer().channel.says({ seq: 1, type: 'digit', digit: '5', at: 2, duration: 0.1 });
  peer().channel.says({ seq: 1, type: 'digit', digit: '5', at: 2, duration: 0.1 });
  assert.deepEqual([all('digit').length, client.transcript.text()], [1, '[5]']);
});

test('figures are told every 2 s: the round trip, and the median word latency', async () => {
  const { timers, all } = await setUpLive();
  [0.9, 0.3, 0.4].forEach((latency, index) => {
    peer().channel.says({ seq: index + 1, type: 'word', text: 'a', start: index, latency });
  });
  timers.beats.get(2000)?.();
  await settled();
  assert.deepEqual(all('stats'), [{ roundTrip: 0.05, wordLatency: 0.4 }]);
});

test('a server that is about to close says when', async () => {
  const { all } = await setUpLive();
  socket().says({ type: 'closing', in: 20 });
  assert.deepEqual(all('closing'), [{ in: 20 }]);
});

test('only microphones with an id are devices', async () => {
  assert.deepEqual((await setUp().client.devices()).map(({ deviceId }) => deviceId), ['m1']);
});

test('a second call goes on in the same transcript', async () => {
  const { client } = await setUpLive();
  peer().channel.says({ seq: 1, type: 'word', text: 'one', start: 4 });
  peer().channel.says({ seq: 2, type: 'ended', reason: 'idle' });
  assert.equal(client.state, 'ended');
  await client.start();
  await join('s2');
  peer().channel.says({ seq: 1, type: 'word', text: 'two', start: 1 });
  assert.equal(client.transcript.text({ times: true }), '[0:04] one\n[0:05] two');
});

test('the signal address follows the server, its scheme and its folder', () => {
  assert.equal(signalUrl('https://a.test'), 'wss://a.test/v1/signal');
  assert.equal(signalUrl('http://a.test:8080/voice'), 'ws://a.test:8080/voice/v1/signal');
  assert.equal(signalUrl('wss://a.test/'), 'wss://a.test/v1/signal');
});
