/**
 * From words to captions: which words stand together, in which lines, and how SubRip and WebVTT write it. Pure.
 *
 * The browser's copy of the server's `signaling/captions.py`, which says why; the cases in tests/web/captions.json hold
 * both to the same bytes.
 */

/**
 * @typedef {object} Spoken A word; times are seconds of the recording.
 * @property {string} text
 * @property {number} start
 * @property {number} stop
 *
 * @typedef {object} Cue What is shown from `start` to `stop`, in milliseconds.
 * @property {number} start
 * @property {number} stop
 * @property {string[]} lines
 */

const LINE = 42; // characters
const LINES = 2;
const LONGEST = 7; // seconds
const GAP = 1; // seconds without a word that are a pause, where nobody tells of one
const LONGEST_WORD = 2; // seconds: an end that is told for later is that of the silence behind the word
const READING = 17; // characters a second that everybody reads
const SHORTEST = 0.7; // seconds that a cue is shown at least, where the next word allows it
const SENTENCE_END = /[.?!…]$/;
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/; // where the server splits
/** @type {Record<string, string>} */
const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\0': '\ufffd' };

/** Makes cues of words as they come. They do not overlap, and their times never go backwards. */
class Cues {
  /** @type {Spoken[]} */
  #words = [];
  #shownUntil = 0; // milliseconds: the end of the cue before

  /**
   * The next word.
   * @param {Spoken} word
   * @returns {Cue[]} The cue that it completed, if it completed one.
   */
  add({ text, start, stop }) {
    const word = { text: text.split(SPACE).filter(Boolean).join(' '), start, stop };
    if (!word.text) return [];
    const done = this.#words.length && !this.#hasRoom(word) ? this.close(start) : [];
    this.#words.push({ ...word, stop: Math.min(stop, start + LONGEST_WORD) });
    return done;
  }

  /**
   * The words so far are a cue: the speaker pauses, nothing more comes, or the next word starts at `before`.
   * @param {number} [before] Seconds.
   * @returns {Cue[]}
   */
  close(before = Infinity) {
    const words = this.#words.splice(0);
    if (!words.length) return [];
    const lines = linesOf(words.map(({ text }) => text));
    const start = Math.max(this.#shownUntil, milliseconds(words[0].start));
    const spoken = milliseconds(Math.max(...words.map(({ stop }) => stop)));
    // Counted from when it was spoken: else what comes too fast would fall behind more and more.
    const latest = milliseconds(Math.min(words[0].start + readingTime(lines), before));
    this.#shownUntil = Math.max(start + 1, spoken, latest);
    return [{ start, stop: this.#shownUntil, lines }];
  }

  /** @param {Spoken} word */
  #hasRoom({ text, start, stop }) {
    const texts = this.#words.map((word) => word.text);
    const [first, last] = [this.#words[0], this.#words[this.#words.length - 1]];
    if (SENTENCE_END.test(last.text) && lengthOf(texts.join(' ')) > LINE) return false;
    if (start - last.stop >= GAP || stop - first.start > LONGEST) return false;
    return wrapped([...texts, text]).length <= LINES;
  }
}

/**
 * The cues of a whole recording: none goes on over the end of an utterance, and each stays until it can be read or the
 * next word begins.
 * @param {Spoken[][]} utterances
 */
export function cuesOf(utterances) {
  const cues = new Cues();
  return utterances.flatMap((words, at) => [
    ...words.flatMap((word) => cues.add(word)),
    ...cues.close(utterances[at + 1]?.[0]?.start),
  ]);
}

/**
 * Rounded once, before it is cut into hours, minutes and seconds, and as the server rounds: a half to the even side.
 * @param {number} seconds
 */
export function milliseconds(seconds) {
  const exact = Math.max(0, seconds * 1000);
  const below = Math.floor(exact);
  return exact - below === 0.5 ? below + (below % 2) : Math.round(exact);
}

/**
 * A cue as a block of SubRip, which knows no escapes: an arrow becomes another one.
 * @param {number} number From 1.
 * @param {Cue} cue
 */
export function srt(number, { start, stop, lines }) {
  const text = lines.map((line) => line.replaceAll('-->', '→')).join('\n');
  return `${number}\n${clock(start, ',')} --> ${clock(stop, ',')}\n${text}\n\n`;
}

/**
 * A cue as a block of WebVTT. What could be markup, or the arrow between two times, is escaped.
 * @param {Cue} cue
 */
export function vtt({ start, stop, lines }) {
  const text = lines.join('\n').replace(/[&<>\0]/g, (sign) => ESCAPES[sign]);
  return `${clock(start, '.')} --> ${clock(stop, '.')}\n${text}\n\n`;
}

/**
 * Seconds that a cue with these lines is shown, where the next word allows it.
 * @param {string[]} lines
 */
function readingTime(lines) {
  return Math.min(LONGEST, Math.max(SHORTEST, lengthOf(lines.join(' ')) / READING));
}

/**
 * Words in as few lines as can be; two of them as equally long as can be.
 * @param {string[]} texts
 */
function linesOf(texts) {
  const lines = wrapped(texts);
  if (lines.length !== LINES) return lines;
  const halves = texts.slice(1).map((_, at) => [texts.slice(0, at + 1).join(' '), texts.slice(at + 1).join(' ')]);
  const longer = (/** @type {string[]} */ pair) => Math.max(...pair.map(lengthOf));
  return halves.reduce((best, pair) => (longer(pair) < longer(best) ? pair : best));
}

/**
 * Words in lines of at most LINE characters; a longer word has a line of its own.
 * @param {string[]} texts
 */
function wrapped(texts) {
  /** @type {string[]} */
  const lines = [];
  for (const text of texts) {
    const last = lines.length - 1;
    if (lines.length && lengthOf(lines[last]) + 1 + lengthOf(text) <= LINE) lines[last] += ` ${text}`;
    else lines.push(text);
  }
  return lines;
}

/** @param {string} text In characters, of which some are two units of JavaScript's. */
function lengthOf(text) {
  return [...text].length;
}

/**
 * @param {number} moment Milliseconds.
 * @param {string} point
 */
function clock(moment, point) {
  const seconds = Math.floor(moment / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':') + point + String(moment % 1000).padStart(3, '0');
}
