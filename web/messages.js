/**
 * Every failure as a sentence that says what to do. Pure. The codes are the server's, and those that only a browser
 * can find out: the microphone, the secure origin, the lost connection. The words are in the language's table.
 */

import { phrasesIn } from './language.js';

/** @typedef {import('./signaling.js').Failure} Failure */
/** @typedef {import('./language.js').Language} Language */
/** @typedef {import('./language.js').Phrases} Phrases */

/** The least mean opinion score for each word, as ITU-T G.107 annex B has them. */
const LINES = /** @type {const} */ ([[4.03, 'quality.good'], [3.6, 'quality.fair'], [2.58, 'quality.poor']]);
const WORST = /** @type {const} */ ([0, 'quality.bad']);

/**
 * What to tell the person.
 * @param {Failure} failure
 * @param {{retrying?: boolean, about?: 'call' | 'file', language?: Language}} [options] `retrying`: it is tried again
 *   without anybody's help; `about`: what failed.
 */
export function sentence(failure, { retrying = false, about = 'call', language = 'en' } = {}) {
  const phrases = phrasesIn(language);
  const goesOn = retrying ? again(failure, about, phrases) : remedy(failure, about, phrases);
  return `${whatHappened(failure, about, phrases)} ${goesOn}`;
}

/**
 * Where a caller stands who waits for a line.
 * @param {number} position 1 for the first.
 * @param {Language} [language]
 */
export function inLine(position, language = 'en') {
  return phrasesIn(language).say(position === 1 ? 'line.next' : 'line.number', { position });
}

/**
 * Why a call ended, where that is worth a sentence; empty where the person ended it, or an error has said it already.
 * @param {string} reason
 * @param {Language} [language]
 */
export function ending(reason, language = 'en') {
  const phrases = phrasesIn(language);
  const key = `ending.${reason}`;
  return phrases.has(key) ? phrases.say(key) : '';
}

/**
 * How good the line is, in words: `Good line`, or `Fair line, 5% lost and repaired`.
 * @param {{mos: number, loss: number, repaired: number}} quality What the server measured.
 * @param {Language} [language]
 */
export function line({ mos, loss, repaired }, language = 'en') {
  const phrases = phrasesIn(language);
  const [, key] = LINES.find(([least]) => mos >= least) ?? WORST;
  const good = phrases.say(key);
  if (Math.round(loss * 100) === 0) return good;
  return phrases.say(mended(repaired / loss), { line: good, part: phrases.percent(loss) });
}

/** @param {number} part How much of what was lost is whole again. */
function mended(part) {
  if (part > 0.95) return 'quality.repaired';
  return part > 0.5 ? 'quality.mended' : 'quality.lost';
}

/**
 * @param {Failure} failure
 * @param {'call' | 'file'} about
 * @param {Phrases} phrases
 */
function whatHappened({ code, message }, about, phrases) {
  const known = keyOf('error', code, about, phrases);
  return known ? phrases.say(known) : message || phrases.say('refused', { code });
}

/**
 * @param {Failure} failure
 * @param {'call' | 'file'} about
 * @param {Phrases} phrases
 */
function remedy({ code }, about, phrases) {
  return phrases.say(keyOf('remedy', code, about, phrases) ?? `otherwise.${about}`);
}

/**
 * The text for this code: the one about files, where it is one and has its own; else the one for all.
 * @param {'error' | 'remedy'} kind
 * @param {string} code
 * @param {'call' | 'file'} about
 * @param {Phrases} phrases
 */
function keyOf(kind, code, about, phrases) {
  const [own, common] = [`${kind}.${about}.${code}`, `${kind}.${code}`];
  if (phrases.has(own)) return own;
  return phrases.has(common) ? common : null;
}

/**
 * @param {Failure} failure
 * @param {'call' | 'file'} about
 * @param {Phrases} phrases
 */
function again({ code, retryAfter }, about, phrases) {
  if (retryAfter === undefined) return phrases.say('again.now');
  const wait = phrases.wait(retryAfter);
  if (about === 'file') return phrases.say('again.file', { wait });
  return phrases.say(code === 'busy' ? 'again.line' : 'again.later', { wait });
}
