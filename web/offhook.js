/**
 * The client that others embed: a microphone in, words out, over WebRTC.
 *
 * It is the shell around `signaling.js`: it owns the socket, the peer, the microphone and the timers, tells the table
 * what happens and does what the table says.
 */

import { couldBeKey, doorUrl, signalUrl } from './address.js';
import { sentence } from './messages.js';
import { microphoneFailure, microphones } from './microphone.js';
import { Peer } from './peer.js';
import { backoff, newCall, step } from './signaling.js';
import { surroundings } from './surroundings.js';
import { errorTold, messageIn, refusalIn, refusesCalls, toldBy } from './told.js';
import { Transcript } from './transcript.js';
import { Voice } from './voice.js';

export { signalUrl } from './address.js';
export { ending, inLine } from './messages.js';
export { RAW, VOICE } from './microphone.js';
export { Transcript } from './transcript.js';

/** @typedef {import('./offhook.js').ClientOptions} ClientOptions */
/** @typedef {import('./offhook.js').ClientState} ClientState */
/** @typedef {import('./language.js').Language} Language */
/** @typedef {import('./signaling.js').Action} Action */
/** @typedef {import('./signaling.js').Call} Call */
/** @typedef {import('./signaling.js').Failure} Failure */
/** @typedef {import('./signaling.js').Told} Told */

const LEVEL_EVERY = 50; // milliseconds
const STATS_EVERY = 2000; // milliseconds
const LATENCIES = 20; // words whose median is shown
const OPEN = 1; // a socket's readyState
const GOODBYE = 1000; // close codes: the normal one, and one of ours that leaves the session held
const BACK_SOON = 4000;

/** @implements {Pick<import('./offhook.js').OffhookClient, keyof import('./offhook.js').OffhookClient>} */
export class OffhookClient extends EventTarget {
  /** What was said so far; it outlives sessions and connections. */
  transcript = new Transcript();

  #options;
  #call;
  /** @type {ClientState} */
  #state = 'idle';
  /** @type {Told[]} */
  #told = [];
  #telling = false;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Peer | null} */
  #peer = null;
  /** The peer before it, while the server does not know of the new one yet. @type {Peer | null} */
  #leaving = null;
  #voice;
  #deviceId = '';
  /** The start under way: one that was stopped while the person was asked must not go on in the next. */
  #asked = Symbol('start');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setInterval>[]} */
  #beats = [];
  /** @type {number[]} */
  #latencies = [];
  /** When the words of this call began, on the clock `now`, and where in the transcript that is. */
  #began = { now: 0, at: 0 };
  /** @type {(() => void)[]} */
  #whenEnded = [];
  #leave = () => this.#tell({ on: 'leave' });
  #online = () => this.#tell({ on: 'online' });

  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    super();
    this.#options = { ...surroundings(), ...options };
    this.#voice = new Voice(this.#options, () => void this.#microphoneLost());
    this.#call = newCall(options.reconnect?.attempts);
  }

  /** @returns {ClientState} */
  get state() {
    return this.#state;
  }

  get muted() {
    return this.#voice.muted;
  }

  /** Whether a call is under way, from asking for the microphone to the last word. */
  get active() {
    return this.#state !== 'idle' && this.#state !== 'ended';
  }

  /** The key that the server asks for; the next connection shows it. @param {string | undefined} token */
  set token(token) {
    this.#options = { ...this.#options, token };
  }

  /** What the sentences of the next errors are written in. @param {Language} language */
  set language(language) {
    this.#options = { ...this.#options, language };
  }

  /** @param {{deviceId?: string}} [options] */
  async start({ deviceId = this.#deviceId } = {}) {
    if (this.active) return;
    this.#deviceId = deviceId;
    this.#show('asking');
    const asked = (this.#asked = Symbol('start'));
    const { token } = this.#options;
    const code = this.#missing() ?? (couldBeKey(token) ? null : 'unauthorized');
    if (code) return this.#refuse({ code });
    const track = await this.#open(deviceId);
    if (!track) return;
    if (!this.active || asked !== this.#asked) return track.stop(); // stopped while the person was being asked
    this.#voice.hear(track);
    this.#begin();
  }

  /** @returns {Promise<void>} */
  async stop() {
    if (!this.active) return;
    const ended = new Promise((/** @type {(value: void) => void} */ resolve) => this.#whenEnded.push(resolve));
    if (this.#state === 'asking') this.#end('stopped');
    else this.#tell({ on: 'stop' });
    await ended;
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#voice.muted = muted;
  }

  flush() {
    return this.#say({ type: 'flush' });
  }

  clear() {
    return this.#say({ type: 'clear' });
  }

  /** @param {number} id */
  mark(id) {
    return this.#say({ type: 'mark', id });
  }

  /** Whether `dial` can press keys now. */
  get canDial() {
    return this.#state === 'live' && (this.#peer?.canDial ?? false);
  }

  /**
   * @param {string} tones
   * @param {{duration?: number, gap?: number}} [options] Seconds.
   */
  dial(tones, { duration = 0.1, gap = 0.07 } = {}) {
    return this.canDial && this.#peer !== null && this.#peer.dial(tones, duration * 1000, gap * 1000);
  }

  async devices() {
    const { media } = this.#options;
    return media ? microphones(media) : [];
  }

  /** @param {string} deviceId */
  async setDevice(deviceId) {
    const track = this.#voice.track && (await this.#open(deviceId));
    if (this.#voice.track && !track) return; // refused, and told: the one in use goes on
    this.#deviceId = deviceId;
    if (!track) return;
    if (!this.#voice.track) return track.stop(); // the call ended meanwhile
    this.#voice.hear(track);
    await this.#peer?.replaceTrack(track);
  }

  /** What this browser or page lacks to make a call. @returns {string | null} */
  #missing() {
    const { rtc, socket, media, secure } = this.#options;
    if (!rtc || !socket) return 'unsupported';
    if (!media?.getUserMedia) return secure ? 'unsupported' : 'insecure_origin';
    return null;
  }

  /** @param {string} deviceId */
  async #open(deviceId) {
    const asked = this.#asked;
    try {
      return await this.#voice.open(deviceId);
    } catch (error) {
      if (this.#voice.track) this.#report(microphoneFailure(error), { fatal: false });
      else if (this.active && asked === this.#asked) this.#refuse(microphoneFailure(error));
      return null;
    }
  }

  /** The microphone was unplugged: another one will do, and without one the call makes no sense. */
  async #microphoneLost() {
    try {
      const track = await this.#voice.open();
      if (!this.active) return track.stop();
      this.#voice.hear(track);
      await this.#peer?.replaceTrack(track);
    } catch {
      if (!this.active) return;
      this.#report({ code: 'microphone_lost' }, { fatal: true });
      await this.stop();
    }
  }

  #begin() {
    this.#call = newCall(this.#options.reconnect?.attempts);
    this.#latencies = [];
    this.#began = { now: this.#now(), at: this.transcript.end };
    const { setInterval } = this.#options.timers;
    this.#beats = [setInterval(() => this.#tellLevel(), LEVEL_EVERY), setInterval(() => this.#tellStats(), STATS_EVERY)];
    globalThis.addEventListener?.('pagehide', this.#leave);
    globalThis.addEventListener?.('online', this.#online);
    this.#tell({ on: 'start' });
  }

  /** @param {string} reason */
  #end(reason) {
    for (const beat of this.#beats.splice(0)) this.#options.timers.clearInterval(beat);
    globalThis.removeEventListener?.('pagehide', this.#leave);
    globalThis.removeEventListener?.('online', this.#online);
    this.#voice.silence();
    this.#show('ended');
    this.#dispatch('ended', { reason });
    for (const resolve of this.#whenEnded.splice(0)) resolve();
  }

  /** @param {Failure} failure The call ends before it has begun. */
  #refuse(failure) {
    this.#report(failure, { fatal: true });
    this.#end(failure.code);
  }

  /**
   * Tell the table, and do what it says. What is told meanwhile waits its turn.
   * @param {Told} told
   */
  #tell(told) {
    this.#told.push(told);
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#told.shift(); next; next = this.#told.shift()) this.#step(next);
    } finally {
      this.#telling = false;
    }
  }

  /** @param {Told} told */
  #step(told) {
    const before = this.#call.phase;
    const [call, ...actions] = step(this.#call, told);
    this.#call = call;
    if (call.phase !== before) {
      this.#options.timers.clearTimeout(this.#timer);
      if (call.phase !== 'ended') this.#show(stateOf(call)); // `#end` shows the end, last of all
    }
    for (const action of actions) this.#perform(action);
  }

  /** @param {Action} action */
  #perform(action) {
    switch (action.do) {
      case 'connect': return this.#connect();
      case 'send': return this.#send(action.message);
      case 'resume': return this.#resume(action.session, action.token);
      case 'negotiate': return this.#negotiate(action.iceServers);
      case 'accept': return void this.#accept(action.sdp);
      case 'candidate': return this.#peer?.add(action.candidate);
      case 'finish': return this.#finish();
      case 'hangup': return this.#hangup();
      case 'disconnect': return this.#disconnect(action.back ? BACK_SOON : GOODBYE);
      case 'diagnose': return void this.#diagnose();
      case 'timer': return this.#wait(action.seconds);
      case 'retry': return this.#retry(action.attempt, action.failure);
      case 'begin': return this.#beginSession();
      case 'fail': return this.#report(action.failure, { fatal: true });
      case 'queued': return this.#dispatch('queued', { position: action.position });
      case 'closing': return this.#dispatch('closing', { in: action.in });
      case 'ended': return this.#end(action.reason);
    }
  }

  #connect() {
    const { url, token, socket: Socket } = this.#options;
    const offered = token ? ['offhook', `bearer.${encodeURIComponent(token)}`] : ['offhook'];
    const socket = new /** @type {typeof WebSocket} */ (Socket)(signalUrl(url), offered);
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onmessage = ({ data }) => this.#tell(toldBy(data));
    socket.onclose = ({ code }) => this.#tell({ on: 'lost', code, opened });
    this.#socket = socket;
  }

  /** @param {Record<string, unknown>} message Dropped while the socket is not open; a goodbye may come that early. */
  #send(message) {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {number} code */
  #disconnect(code) {
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(code);
    this.#socket = null;
  }

  /**
   * @param {string} session
   * @param {string} token
   */
  #resume(session, token) {
    this.#send({ type: 'resume', session, token, seq: this.transcript.seq });
  }

  /** @param {RTCIceServer[]} iceServers */
  #negotiate(iceServers) {
    this.#leaving?.close();
    this.#leaving = this.#peer;
    this.#leaving?.retire();
    const RTC = /** @type {typeof RTCPeerConnection} */ (this.#options.rtc);
    const track = /** @type {MediaStreamTrack} */ (this.#voice.track);
    this.#peer = new Peer(RTC, iceServers, track, {
      tell: (told) => this.#tell(told.on === 'described' ? { ...told, seq: this.transcript.seq } : told),
      read: (text) => this.#read(text),
    });
    void this.#peer.offer();
  }

  /** @param {string} sdp The server has a new peer too: the one before may go, and that is no goodbye any more. */
  async #accept(sdp) {
    const leaving = this.#leaving;
    await this.#peer?.accept(sdp);
    leaving?.close();
    if (leaving === this.#leaving) this.#leaving = null;
  }

  #hangup() {
    this.#leaving?.close();
    this.#peer?.close();
    this.#leaving = this.#peer = null;
  }

  #finish() {
    this.#peer?.send({ type: 'finish' });
    this.#voice.silence();
  }

  /** A socket that never opened says nothing of the reason; plain HTTP does. */
  async #diagnose() {
    const { token, fetch, url } = this.#options;
    const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
    try {
      const answer = await fetch(doorUrl(url, 'v1/signal'), { headers, cache: 'no-store' });
      const refusal = refusalIn(answer.status, await answer.text(), answer.headers.get('Retry-After'));
      this.#tell({ on: 'diagnosed', failure: refusesCalls(answer.status) ? refusal : { code: 'unreachable' } });
    } catch {
      this.#tell({ on: 'diagnosed', failure: { code: this.#call.joined ? 'connection_lost' : 'unreachable' } });
    }
  }

  /** @param {number} seconds */
  #wait(seconds) {
    const { setTimeout, clearTimeout } = this.#options.timers;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell({ on: 'due' }), seconds * 1000);
  }

  /**
   * @param {number} attempt
   * @param {Failure} failure
   */
  #retry(attempt, failure) {
    const { random, reconnect } = this.#options;
    const wait = failure.retryAfter ?? backoff(attempt, random(), reconnect);
    this.#wait(wait);
    this.#report(failure, { fatal: false, wait });
  }

  #beginSession() {
    this.transcript.begin(this.#began.at + this.#now() - this.#began.now);
    this.#dispatch('transcript', { transcript: this.transcript });
  }

  /** @param {Record<string, unknown>} message */
  #say(message) {
    return this.#peer?.send(message) ?? false;
  }

  /** @param {string} text One message of the channel. */
  #read(text) {
    const event = messageIn(text);
    if (!event) return this.#tell({ on: 'error', failure: { code: 'bad_message' } });
    if (event.type === 'error') return this.#tell(errorTold(event));
    if (!this.transcript.apply(event)) return;
    if (typeof event.latency === 'number') this.#latencies = [...this.#latencies, event.latency].slice(-LATENCIES);
    this.#dispatch(event.type, event);
    this.#dispatch('transcript', { transcript: this.transcript });
    if (event.type === 'ended') this.#tell({ on: 'ended', reason: event.reason });
  }

  #tellLevel() {
    const { level } = this.#voice;
    if (level !== null) this.#dispatch('level', { level });
  }

  async #tellStats() {
    const peer = this.#peer;
    if (!peer || this.#call.phase !== 'live') return;
    const roundTrip = await peer.roundTrip();
    if (peer === this.#peer) this.#dispatch('stats', { roundTrip, wordLatency: median(this.#latencies) });
  }

  /** @param {ClientState} state */
  #show(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#dispatch('state', { state });
  }

  /**
   * @param {Failure} failure
   * @param {{fatal: boolean, wait?: number}} how `wait`: seconds until it is tried again by itself.
   */
  #report(failure, { fatal, wait }) {
    const retrying = wait !== undefined;
    const say = (/** @type {Language | undefined} */ language) => sentence(failure, { retrying, language });
    const message = say(this.#options.language);
    this.#dispatch('error', { code: failure.code, message, say, retryAfter: wait ?? null, fatal });
  }

  #now() {
    return this.#options.now() / 1000;
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/**
 * @param {Call} call
 * @returns {ClientState}
 */
function stateOf({ phase, joined, asked }) {
  if (phase === 'ended' || phase === 'finishing') return phase;
  if (phase === 'live' || phase === 'shaky') return 'live';
  if (phase === 'waiting' && asked) return 'waiting';
  return joined || phase === 'waiting' ? 'reconnecting' : 'connecting';
}

/** @param {number[]} values @returns {number | null} */
function median(values) {
  return values.length ? values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] : null;
}
