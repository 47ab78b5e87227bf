/**
 * Events to words, a tail and utterances with times. Pure: it touches no page and reads no clock.
 *
 * A settled word never changes. The tail is what may still change: each `partial` replaces it. Every event has a `seq`
 * that rises within a session; one that has been seen is ignored, so a replay after a reconnection adds nothing twice.
 */

/**
 * @typedef {object} Word
 * @property {string} text
 * @property {number} start Seconds of this transcript.
 * @property {number | null} stop Null until the recognizer has told it.
 * @property {number | null} latency Seconds from speaking the start of the word to sending it.
 *
 * @typedef {object} Missed Sound that never reached the recognizer.
 * @property {number} start
 * @property {number} stop
 *
 * @typedef {object} Digit A key of the caller's keypad.
 * @property {string} digit 0 to 9, *, #, A to D.
 * @property {number} start
 * @property {number} stop
 *
 * @typedef {Word | Missed | Digit} Item
 *
 * @typedef {object} Utterance
 * @property {number} start Seconds of this transcript.
 * @property {number | null} stop Null while it is being spoken.
 * @property {Item[]} items In the order in which they were told.
 *
 * @typedef {{type: string, seq?: number, [key: string]: any}} TranscriptEvent
 */

const APART = 2; // seconds after which digits or gaps, which no pause ends, are an utterance of their own

export class Transcript {
  /** @type {Utterance[]} */
  utterances = [];
  /** What may still change. */
  tail = '';
  /** The last event seen of the current session; what a resume goes on from. */
  seq = 0;
  #base = 0;

  /**
   * A new session under the same transcript: its numbers start again, and its times go on from here.
   * @param {number} [at] Seconds of this transcript that have passed; never less than what has been written.
   */
  begin(at = 0) {
    this.#base = Math.max(at, this.end);
    this.seq = 0;
    this.#close(null);
  }

  /** Forget everything that was written; the session goes on. */
  clear() {
    this.utterances = [];
    this.tail = '';
  }

  /** The latest time written, in seconds. */
  get end() {
    const last = this.utterances.at(-1);
    if (!last) return this.#base;
    return Math.max(last.start, last.stop ?? 0, ...last.items.map((item) => item.stop ?? item.start));
  }

  /**
   * Take one event in.
   * @param {TranscriptEvent} event
   * @returns {boolean} False when it had been seen before.
   */
  apply(event) {
    if (event.seq !== undefined) {
      if (event.seq <= this.seq) return false;
      this.seq = event.seq;
    }
    if (Object.hasOwn(WRITE, event.type)) WRITE[event.type](this, event, this.#base);
    return true;
  }

  /** @param {Item} item */
  add(item) {
    if (this.#open && !hasWords(this.#open) && item.start > this.end + APART) this.#open.stop = this.end;
    if (this.#open) this.#open.items.push(item);
    else this.utterances.push({ start: item.start, stop: null, items: [item] });
  }

  /** The word that was settled last, if its utterance is still open. @returns {Word | null} */
  get word() {
    return this.#open?.items.findLast(isWord) ?? null;
  }

  /** @param {number} at The utterance ended. */
  pause(at) {
    this.#close(at);
  }

  /**
   * The settled words, an utterance a line.
   * @param {{times?: boolean}} [options] `times`: each line starts with when it was said.
   */
  text({ times = false } = {}) {
    return this.utterances
      .map((utterance) => (times ? `[${clock(utterance.start)}] ` : '') + wordsOf(utterance))
      .join('\n');
  }

  /** The utterance that is being spoken. @returns {Utterance | null} */
  get #open() {
    const last = this.utterances.at(-1);
    return last?.stop === null ? last : null;
  }

  /** @param {number | null} at */
  #close(at) {
    if (this.#open) this.#open.stop = at ?? this.end;
    this.tail = '';
  }
}

/** @type {Record<string, (transcript: Transcript, event: TranscriptEvent, base: number) => void>} */
const WRITE = {
  word(transcript, { text, start, latency = null }, base) {
    transcript.add({ text, start: base + start, stop: null, latency });
    transcript.tail = withoutFirstWord(transcript.tail); // it has just settled
  },
  word_end(transcript, { stop }, base) {
    if (transcript.word) transcript.word.stop = base + stop;
  },
  partial(transcript, { text }) {
    transcript.tail = text.trim();
  },
  pause(transcript, { at }, base) {
    transcript.pause(base + at);
  },
  missed(transcript, { start, stop }, base) {
    transcript.add({ start: base + start, stop: base + stop });
  },
  digit(transcript, { digit, at, duration }, base) {
    transcript.add({ digit, start: base + at, stop: base + at + duration });
  },
};

/** @param {Item} item @returns {item is Word} */
function isWord(item) {
  return 'text' in item;
}

/** @param {Utterance} utterance */
function hasWords({ items }) {
  return items.some(isWord);
}

/** @param {string} text */
function withoutFirstWord(text) {
  const space = text.search(/\s/);
  return space < 0 ? '' : text.slice(space).trimStart();
}

/**
 * An utterance as a person would write it; a key that was pressed is shown as [5], a gap in the sound as […].
 * @param {Utterance} utterance
 */
export function wordsOf(utterance) {
  return utterance.items.map(written).join(' ');
}

/** @param {Item} item */
function written(item) {
  if ('text' in item) return item.text;
  return `[${'digit' in item ? item.digit : '…'}]`;
}

/**
 * Seconds as 0:07, 12:34 or 1:02:03.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, index) => (index ? String(part).padStart(2, '0') : String(part))).join(':');
}
