/** A recording's transcript as a file: plain text, SubRip, WebVTT or JSON. Pure; what a cue is, `captions.js` says. */

import { cuesOf, srt, vtt } from './captions.js';

/** @typedef {import('./captions.js').Spoken} Spoken */
/**
 * @typedef {object} Recording
 * @property {string} name The file's.
 * @property {string | null} language Null where the server does not tell.
 * @property {number | null} duration Seconds; null where nobody knows.
 * @property {{start: number, stop: number, words: Spoken[]}[]} segments
 *
 * @typedef {'txt' | 'srt' | 'vtt' | 'json'} Format
 */

/** @type {Record<Format, {type: string, write: (recording: Recording) => string}>} */
export const FORMATS = {
  txt: { type: 'text/plain', write: asText },
  srt: { type: 'application/x-subrip', write: asSrt },
  vtt: { type: 'text/vtt', write: asVtt },
  json: { type: 'application/json', write: asJson },
};

/** @param {Recording} recording A line for each segment. */
function asText({ segments }) {
  return segments.map((segment) => `${textOf(segment)}\n`).join('');
}

/** @param {Recording} recording */
function asSrt({ segments }) {
  return cuesOf(segments.map(({ words }) => words)).map((cue, index) => srt(index + 1, cue)).join('');
}

/** @param {Recording} recording */
function asVtt({ segments }) {
  return `WEBVTT\n\n${cuesOf(segments.map(({ words }) => words)).map(vtt).join('')}`;
}

/**
 * The names of segments and words are those of OpenAI's `verbose_json`.
 * @param {Recording} recording
 */
function asJson({ name, language, duration, segments }) {
  const fields = {
    file: name,
    text: segments.map(textOf).join(' '),
    ...(language && { language }),
    ...(duration !== null && { duration }),
    segments: segments.map((segment, id) => ({ id, start: segment.start, end: segment.stop, text: textOf(segment) })),
    words: segments.flatMap(({ words }) => words.map(({ text, start, stop }) => ({ word: text, start, end: stop }))),
  };
  return `${JSON.stringify(fields, null, 2)}\n`;
}

/** @param {{words: Spoken[]}} segment */
function textOf({ words }) {
  return words.map(({ text }) => text).join(' ');
}
