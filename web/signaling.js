/**
 * The browser's half of the signaling conversation, as a table: what a call may be told in each phase, and what is to
 * be done then. Pure: no socket, no peer, no clock. `offhook.js` is the shell that tells it and does what it says.
 *
 *     idle ─▶ connecting ─▶ [resuming] ─▶ offering ─▶ [queued] ─▶ joining ─▶ live ◀─▶ shaky
 *                 ▲                          ▲                                │         │
 *                 │                          └─────────── restart ────────────┴─────────┘
 *              waiting ◀─ [diagnosing] ◀─ a socket lost                       └─▶ finishing ─▶ ended
 *
 * The one rule: a timer belongs to the phase that asked for it, and dies with it.
 */

/**
 * @typedef {'idle'|'connecting'|'resuming'|'offering'|'queued'|'joining'|'live'|'shaky'|'diagnosing'|'waiting'|'finishing'
 *   |'ended'} Phase
 *
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} [message]
 * @property {number} [retryAfter] Seconds that the server asks to wait.
 *
 * @typedef {object} Call
 * @property {Phase} phase
 * @property {{id: string, token: string} | null} session What a resume needs; null until the server has greeted.
 * @property {RTCIceServer[]} iceServers
 * @property {'offer'|'restart'} kind What the next local description is sent as.
 * @property {number} candidates Local candidates sent for this peer.
 * @property {number} attempts Connections tried since the call was last live.
 * @property {number} limit How many attempts are made before giving up.
 * @property {boolean} joined Whether this call has ever been live.
 * @property {boolean} asked Whether the wait is one that the server asked for.
 *
 * @typedef {{on: string, [key: string]: any}} Told
 *
 * @typedef {{do: 'connect'}
 *   | {do: 'send', message: Record<string, unknown>}
 *   | {do: 'resume', session: string, token: string}
 *   | {do: 'negotiate', iceServers: RTCIceServer[]}
 *   | {do: 'accept', sdp: string}
 *   | {do: 'candidate', candidate: RTCIceCandidateInit | null}
 *   | {do: 'finish'}
 *   | {do: 'hangup'}
 *   | {do: 'disconnect', back?: boolean}
 *   | {do: 'diagnose'}
 *   | {do: 'timer', seconds: number}
 *   | {do: 'retry', attempt: number, failure: Failure}
 *   | {do: 'begin'}
 *   | {do: 'fail', failure: Failure}
 *   | {do: 'queued', position: number}
 *   | {do: 'closing', in: number}
 *   | {do: 'ended', reason: string}} Action
 *
 * @typedef {[Call, ...Action[]]} Outcome
 * @typedef {(call: Call, told: {[key: string]: any}) => Outcome} Rule
 */

const CANDIDATES = 32; // what the server keeps of one peer
const GREETING = 10; // seconds for the server to say `ready`
const JOINING = 20; // seconds from the offer to the open channel; the server itself gives up after 15
const SHAKY = 3; // seconds that ICE may be disconnected before a fresh peer is worth it
const LAST_WORDS = 5; // seconds that the last words may take

/** Trying again cannot help: the person has to change something. */
const FATAL = new Set([
  'unauthorized',
  'forbidden_origin',
  'bad_offer',
  'bad_candidate',
  'bad_message',
  'out_of_order',
  'too_large',
]);

/** The session is gone on the server, or never began: the next connection begins a new one, same transcript. */
const SESSION_GONE = new Set([
  'unknown_session',
  'busy',
  'too_many_requests',
  'drain',
  'draining',
  'engine_down',
  'internal',
  'lost',
  'slow_reader',
]);

/**
 * A call that has not begun.
 * @param {number} [limit] How many times in a row a lost connection is tried again.
 * @returns {Call}
 */
export function newCall(limit = 20) {
  return {
    phase: 'idle',
    session: null,
    iceServers: [],
    kind: 'offer',
    candidates: 0,
    attempts: 0,
    limit,
    joined: false,
    asked: false,
  };
}

/**
 * Seconds to wait before an attempt: exponential, bounded, and spread so that callers do not return all at once.
 * @param {number} attempt 1 for the first.
 * @param {number} random Within [0, 1).
 * @param {{first?: number, most?: number}} [pace]
 */
export function backoff(attempt, random, { first = 0.5, most = 8 } = {}) {
  return Math.min(most, first * 2 ** (attempt - 1)) * (0.5 + random / 2);
}

/**
 * Tell the call something. What its phase has no rule for is ignored: late, or from a newer server.
 * @param {Call} call
 * @param {Told} told
 * @returns {Outcome}
 */
export function step(call, told) {
  const rules = TABLE[call.phase];
  return Object.hasOwn(rules, told.on) ? rules[told.on](call, told) : [call];
}

/** @type {Rule} */
function connect(call) {
  return [{ ...call, phase: 'connecting', asked: false }, { do: 'connect' }, { do: 'timer', seconds: GREETING }];
}

/** @type {Rule} */
function greeted(call, { session, resume_token: token, ice_servers: iceServers = [] }) {
  if (call.session) {
    // This greeting is of a session that has not begun, and never will: ours is asked for instead.
    const resume = /** @type {const} */ ({ do: 'resume', session: call.session.id, token: call.session.token });
    return [{ ...call, phase: 'resuming' }, resume, { do: 'timer', seconds: GREETING }];
  }
  const [next, ...actions] = negotiate({ ...call, session: { id: session, token }, iceServers }, 'offer');
  return [next, { do: 'begin' }, ...actions];
}

/** @type {Rule} */
function resumed(call, { session, resume_token: token, ice_servers: iceServers = call.iceServers }) {
  return negotiate({ ...call, session: { id: session, token }, iceServers }, 'offer');
}

/**
 * A fresh peer. The server answers every offer with a fresh one too, so that nothing of the old path is kept.
 * @param {Call} call
 * @param {'offer'|'restart'} kind
 * @returns {Outcome}
 */
function negotiate(call, kind) {
  return [
    { ...call, phase: 'offering', kind, candidates: 0 },
    { do: 'negotiate', iceServers: call.iceServers },
    { do: 'timer', seconds: JOINING },
  ];
}

/** @type {Rule} */
function restart(call) {
  const attempts = call.attempts + 1;
  if (attempts > call.limit) return fail(call, { code: 'connection_lost' });
  return negotiate({ ...call, attempts }, 'restart');
}

/** @type {Rule} */
function described(call, { sdp, seq }) {
  const message = call.kind === 'restart' ? { type: call.kind, sdp, seq } : { type: call.kind, sdp };
  return [call, { do: 'send', message }];
}

/** @type {Rule} */
function gathered(call, { candidate }) {
  if (call.candidates >= CANDIDATES) return [call];
  const next = { ...call, candidates: call.candidates + 1 };
  return [next, { do: 'send', message: { type: 'candidate', candidate } }];
}

/** All lines are taken, and the server lets callers wait: it says where this one stands. @type {Rule} */
function queued(call, { position, wait = 0 }) {
  return [{ ...call, phase: 'queued' }, { do: 'queued', position }, { do: 'timer', seconds: wait + JOINING }];
}

/** @type {Rule} */
function answered(call, { sdp }) {
  return [{ ...call, phase: 'joining' }, { do: 'accept', sdp }, { do: 'timer', seconds: JOINING }];
}

/** @type {Rule} */
function candidate(call, told) {
  return [call, { do: 'candidate', candidate: told.candidate }];
}

/** @type {Rule} */
function live(call) {
  return [{ ...call, phase: 'live', joined: true, attempts: 0 }];
}

/** @type {Rule} */
function peerWhileJoining(call, { state }) {
  return state === 'failed' ? unreachable(call, {}) : [call];
}

/** @type {Rule} */
function peerWhileLive(call, { state }) {
  if (state === 'failed') return restart(call, {});
  if (state === 'disconnected') return [{ ...call, phase: 'shaky' }, { do: 'timer', seconds: SHAKY }];
  return [call];
}

/** @type {Rule} */
function peerWhileShaky(call, { state }) {
  if (state === 'failed') return restart(call, {});
  return state === 'connected' ? live(call, {}) : [call];
}

/**
 * The offer was answered, but no media path came up. Where one has worked before the network has changed, and may
 * change again; where none ever did, trying again only delays the sentence that says what to do.
 * @type {Rule}
 */
function unreachable(call) {
  const failure = { code: 'never_connected' };
  return call.joined ? retry(call, failure) : fail(call, failure);
}

/** @type {Rule} */
function lost(call, { code, opened }) {
  if (code === 1000) return end(call, 'closed');
  if (!opened) return [{ ...call, phase: 'diagnosing' }, ...DROP, { do: 'diagnose' }];
  return retry(call, { code: 'connection_lost' });
}

/** @type {Rule} */
function greetingLate(call) {
  return retry(call, { code: 'connection_lost' });
}

/** @type {Rule} */
function failed(call, { failure }) {
  if (FATAL.has(failure.code)) return fail(call, failure);
  if (failure.code === 'never_connected') return unreachable(call, {});
  return retry(SESSION_GONE.has(failure.code) ? { ...call, session: null } : call, failure);
}

/** @type {Action[]} */
const DROP = [{ do: 'hangup' }, { do: 'disconnect' }];

/** What is closed with a promise to come back is not a goodbye. @type {Action[]} */
const LET_GO = [{ do: 'hangup' }, { do: 'disconnect', back: true }];

/**
 * Let go of everything and wait. Only waits of our own are counted: a server that says when to come back sets the pace.
 * @param {Call} call
 * @param {Failure} failure
 * @returns {Outcome}
 */
function retry(call, failure) {
  const asked = failure.retryAfter !== undefined;
  const attempts = call.attempts + (asked ? 0 : 1);
  if (attempts > call.limit) return fail(call, failure);
  return [{ ...call, phase: 'waiting', attempts, asked }, ...LET_GO, { do: 'retry', attempt: attempts, failure }];
}

/**
 * @param {Call} call
 * @param {Failure} failure
 * @returns {Outcome}
 */
function fail(call, failure) {
  return [{ ...call, phase: 'ended' }, ...DROP, { do: 'fail', failure }, { do: 'ended', reason: failure.code }];
}

/**
 * @param {Call} call
 * @param {string} reason
 * @returns {Outcome}
 */
function end(call, reason) {
  return [{ ...call, phase: 'ended' }, ...DROP, { do: 'ended', reason }];
}

/** The server told on the channel that the session has ended. @type {Rule} */
function sessionEnded(call, { reason }) {
  if (call.phase === 'finishing') return goodbye(call, { reason });
  if (SESSION_GONE.has(reason)) return retry({ ...call, session: null }, { code: reason });
  return end(call, reason);
}

/** @type {Rule} */
function goodbye(call, { reason = 'stopped' }) {
  const [next, ...actions] = end(call, reason);
  return [next, { do: 'send', message: { type: 'bye' } }, ...actions];
}

/** @type {Rule} */
function finish(call) {
  return [{ ...call, phase: 'finishing' }, { do: 'finish' }, { do: 'timer', seconds: LAST_WORDS }];
}

/** @type {Rule} */
function closing(call, told) {
  return [call, { do: 'closing', in: told.in }];
}

/** While nothing is open, there is nobody to say goodbye to. @type {Rule} */
function giveUp(call) {
  return end(call, 'stopped');
}

/** @type {Record<string, Rule>} */
const CONNECTED = { lost, error: failed, closing, stop: goodbye, leave: goodbye };

/** @type {Record<Phase, Record<string, Rule>>} */
const TABLE = {
  idle: { start: connect },
  connecting: { ...CONNECTED, ready: greeted, due: greetingLate },
  resuming: { ...CONNECTED, ready: resumed, due: greetingLate },
  // Candidates that come before the answer are the old peer's.
  offering: { ...CONNECTED, described, gathered, queued, answer: answered, due: unreachable },
  queued: { ...CONNECTED, gathered, queued, answer: answered, due: greetingLate },
  joining: { ...CONNECTED, gathered, candidate, peer: peerWhileJoining, open: live, due: unreachable },
  live: { ...CONNECTED, gathered, candidate, peer: peerWhileLive, ended: sessionEnded, stop: finish },
  shaky: { ...CONNECTED, gathered, candidate, peer: peerWhileShaky, ended: sessionEnded, stop: finish, due: restart },
  diagnosing: { diagnosed: failed, stop: giveUp, leave: giveUp },
  waiting: { due: connect, online: connect, stop: giveUp, leave: giveUp },
  finishing: { ended: sessionEnded, due: goodbye, lost: giveUp, error: giveUp, stop: goodbye, leave: goodbye },
  ended: {},
};
