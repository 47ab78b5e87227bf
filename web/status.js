/** What is said of a recording while it is sent and heard, and afterwards. Pure. */

import { sentence } from './messages.js';
import { clock } from './transcript.js';
import { fraction, wordsIn } from './upload.js';

/** @typedef {import('./upload.js').Upload} Upload */
/** @typedef {import('./language.js').Phrases} Phrases */

/**
 * In a few words.
 * @param {Upload} upload
 * @param {number | null} left Seconds until its phase is over, where that is known.
 * @param {Phrases} phrases
 */
export function statusOf(upload, left, phrases) {
  const parts = PHASES[upload.phase](upload, phrases);
  if (left !== null && parts.length) parts.push(phrases.say('file.left', { time: phrases.about(left) }));
  return parts.join(' · ');
}

/**
 * Why it failed or has to wait, and what can be done; empty where neither is so.
 * @param {Upload} upload
 * @param {Phrases} phrases
 */
export function reasonOf({ phase, failure, segments }, phrases) {
  if (!failure) return '';
  const reason = sentence(failure, { about: 'file', retrying: phase === 'pausing', language: phrases.language });
  return segments.length ? `${reason} ${phrases.say('file.partial')}` : reason;
}

/**
 * The server's own words for a failure, which are English; empty where they say no more than the reason does.
 * @param {Upload} upload
 * @param {string} reason
 */
export function serversWords({ phase, failure }, reason) {
  const words = failure?.message;
  if (phase !== 'failed' || !words) return '';
  const [first] = words.split(/[.:;]/);
  return reason.startsWith(first) ? '' : words;
}

/** @type {Record<import('./upload.js').Phase, (upload: Upload, phrases: Phrases) => string[]>} */
const PHASES = {
  waiting: (_, phrases) => [phrases.say('file.waiting')],
  sending: ({ sent }, phrases) => [phrases.say('file.sending', { part: phrases.percent(sent) })],
  hearing,
  pausing: (_, phrases) => [phrases.say('file.waiting')],
  done: heard,
  failed: (upload, phrases) => (upload.segments.length ? heard(upload, phrases) : []),
  cancelled: (_, phrases) => [phrases.say('file.cancelled')],
};

/**
 * @param {Upload} upload
 * @param {Phrases} phrases
 */
function hearing(upload, phrases) {
  const part = fraction(upload);
  if (upload.heard === 0) return [phrases.say('file.sent')];
  if (part === null) return [phrases.say('file.heard', { time: clock(upload.heard) })];
  return [phrases.say('file.hearing', { part: phrases.percent(part) })];
}

/**
 * @param {Upload} upload
 * @param {Phrases} phrases
 */
function heard(upload, phrases) {
  return [clock(upload.heard), phrases.say('file.words', { count: wordsIn(upload).length })];
}
