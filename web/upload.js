/**
 * One file on its way to being written down, as a table: what it may be told in each phase, and what it is then. Pure:
 * no request, no clock. `files.js` is the shell that tells it.
 *
 *     waiting ─▶ sending ─▶ hearing ─▶ done
 *        ▲          │          │
 *        │          ├──────────┴─▶ failed, cancelled ─▶ (again) waiting
 *        │          ▼
 *        └─────── pausing: the server said when to come back
 */

/** @typedef {import('./captions.js').Spoken} Spoken */
/** @typedef {import('./signaling.js').Failure} Failure */
/** @typedef {{start: number, stop: number, words: Spoken[]}} Segment Times are seconds of the recording. */
/**
 * @typedef {'waiting' | 'sending' | 'hearing' | 'pausing' | 'done' | 'failed' | 'cancelled'} Phase
 *
 * @typedef {object} Upload
 * @property {number} id
 * @property {string} name
 * @property {number} size Bytes.
 * @property {Phase} phase
 * @property {number} sent 0 to 1.
 * @property {number} heard Seconds of the recording that the recognizer has heard.
 * @property {number | null} duration Seconds; null while nobody knows.
 * @property {string | null} language Of what is said, as ISO 639 has it; null where the server does not tell.
 * @property {Segment[]} segments
 * @property {Failure | null} failure Why it failed, or why it waits.
 *
 * @typedef {{on: string, [key: string]: any}} Told
 * @typedef {(upload: Upload, told: {[key: string]: any}) => Upload} Rule
 */

const UNDETERMINED = 'und'; // as ISO 639 has it: the server does not know the language

const UNHEARD = { sent: 0, heard: 0, duration: null, language: null, segments: [], failure: null };

/**
 * @param {number} id
 * @param {{name: string, size: number}} file
 * @returns {Upload}
 */
export function newUpload(id, { name, size }) {
  return { id, name, size, phase: 'waiting', ...UNHEARD };
}

/**
 * What a file is once it has been told this. What does not belong to its phase changes nothing.
 * @param {Upload} upload
 * @param {Told} told
 */
export function step(upload, { on, ...told }) {
  const rules = TABLE[upload.phase];
  return Object.hasOwn(rules, on) ? rules[on](upload, told) : upload;
}

/**
 * How much of its phase is done, 0 to 1; null where that cannot be said.
 * @param {Upload} upload
 */
export function fraction({ phase, sent, heard, duration }) {
  if (phase === 'sending') return sent;
  if (phase === 'hearing') return duration ? Math.min(1, heard / duration) : null;
  return phase === 'done' ? 1 : 0;
}

/** @param {Upload} upload Whether it has one of the few places at the server, or waits for one there. */
export function isUnderWay({ phase }) {
  return phase === 'sending' || phase === 'hearing' || phase === 'pausing';
}

/** @param {Upload} upload @returns {Spoken[]} */
export function wordsIn({ segments }) {
  return segments.flatMap(({ words }) => words);
}

/** @type {Rule} */
function begin(upload) {
  return { ...upload, ...UNHEARD, phase: 'sending' };
}

/** @type {Rule} */
function sent(upload, { part }) {
  return { ...upload, sent: part };
}

/** @type {Rule} */
function received(upload) {
  return { ...upload, sent: 1, phase: 'hearing' };
}

/** The server's answer has begun. @type {Rule} */
function metadata(upload, { language, duration }) {
  return { ...upload, sent: 1, phase: 'hearing', language: known(language), duration: duration ?? null };
}

/** @type {Rule} */
function heard(upload, { seconds, duration }) {
  return { ...upload, heard: Math.max(upload.heard, seconds), duration: duration ?? upload.duration };
}

/** A segment is complete. @type {Rule} */
function progress(upload, { start, end, text, words }) {
  const segment = { start, stop: end, words: spoken(words) ?? [{ text, start, stop: end }] };
  return { ...upload, heard: Math.max(upload.heard, end), segments: [...upload.segments, segment] };
}

/** @type {Rule} */
function complete(upload, { duration }) {
  const end = duration ?? Math.max(upload.heard, upload.duration ?? 0);
  return { ...upload, phase: 'done', heard: end, duration: end };
}

/** A server that says when to come back sets the pace, for as long as it likes. @type {Rule} */
function failed(upload, { failure }) {
  return { ...upload, phase: failure.retryAfter === undefined ? 'failed' : 'pausing', failure };
}

/** The server says in the middle of the words that it cannot go on. @type {Rule} */
function error(upload, { error: message, code = 'internal' }) {
  return { ...upload, phase: 'failed', failure: { code, message } };
}

/** The answer has ended, and not with its end. @type {Rule} */
function closed(upload) {
  return failed(upload, { failure: { code: 'connection_lost' } });
}

/** @type {Rule} */
function cancel(upload) {
  return { ...upload, phase: 'cancelled', failure: null };
}

/** @type {Rule} */
function again(upload) {
  return { ...upload, ...UNHEARD, phase: 'waiting' };
}

/** @param {string | null | undefined} language */
function known(language) {
  return language && language !== UNDETERMINED ? language : null;
}

/** @param {{word: string, start: number, end: number}[] | undefined} words As the server tells them. */
function spoken(words) {
  return words?.map(({ word, start, end }) => ({ text: word, start, stop: end }));
}

/** @type {Record<Phase, Record<string, Rule>>} */
const TABLE = {
  waiting: { begin, cancel },
  sending: { sent, received, metadata, failed, closed, cancel },
  hearing: { metadata, heard, progress, complete, error, failed, closed, cancel },
  pausing: { begin, again, cancel },
  done: {},
  failed: { again },
  cancelled: { again },
};
