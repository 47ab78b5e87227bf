/** A Transcript drawn as a list: an utterance an item, settled words beside the tail that may still change. */

import { clock } from './transcript.js';

/** @typedef {import('./transcript.js').Transcript} Transcript */
/** @typedef {import('./transcript.js').Utterance} Utterance */

/**
 * What stands on the page is only ever added to, so that a long transcript stays cheap and a screen reader reads each
 * settled word once. Times and gaps are drawn by the style sheet (`data-label`): they are not part of the text.
 */
export class TranscriptView {
  #list;
  #tail = element('span', 'tail', { 'aria-hidden': 'true' });
  /** @type {{words: HTMLElement, shown: number}[]} */
  #rows = [];

  /** @param {HTMLElement} list Where the utterances are put. */
  constructor(list) {
    this.#list = list;
  }

  /** @param {Transcript} transcript */
  show({ utterances, tail }) {
    if (utterances.length < this.#rows.length) this.#clear();
    const first = Math.max(0, this.#rows.length - 1); // those before it are closed and drawn
    for (let index = first; index < utterances.length; index += 1) this.#draw(index, utterances[index]);
    this.#showTail(tail, utterances.at(-1));
  }

  #clear() {
    this.#list.replaceChildren();
    this.#rows = [];
  }

  /**
   * @param {number} index
   * @param {Utterance} utterance
   */
  #draw(index, { start, items }) {
    const row = (this.#rows[index] ??= this.#newRow(start));
    for (const item of items.slice(row.shown)) {
      if (row.shown) row.words.append(' ');
      row.words.append(drawn(item));
      row.shown += 1;
    }
  }

  /** @param {number} start */
  #newRow(start) {
    const words = element('span', 'words', { part: 'words' });
    const time = element('time', 'time', { datetime: `PT${start.toFixed(1)}S`, 'data-label': clock(start), part: 'time' });
    const row = element('li', 'utterance', { part: 'utterance' });
    const text = element('p', 'text', {});
    text.append(words);
    row.append(time, text, '\n'); // drawn nowhere; it keeps utterances apart in the text
    this.#list.append(row);
    return { words, shown: 0 };
  }

  /**
   * The tail goes on from the words of an open utterance, else it stands in a row of its own.
   * @param {string} tail
   * @param {Utterance | undefined} last
   */
  #showTail(tail, last) {
    const open = last?.stop === null ? this.#rows.at(-1)?.words.parentElement : null;
    this.#tail.textContent = tail && (open ? ` ${tail}` : tail);
    this.#tail.setAttribute('part', 'tail');
    if (!tail) return this.#drop();
    if (open) return this.#place(open);
    this.#place(this.#ownRow());
  }

  #drop() {
    const row = this.#tail.closest('.utterance.pending');
    (row ?? this.#tail).remove();
  }

  /** @param {Element} text */
  #place(text) {
    if (this.#tail.parentElement === text) return;
    this.#drop();
    text.append(this.#tail);
  }

  #ownRow() {
    const before = this.#tail.closest('.utterance.pending');
    if (before && before === this.#list.lastElementChild) return /** @type {Element} */ (this.#tail.parentElement);
    const row = element('li', 'utterance pending', {});
    const text = element('p', 'text', {});
    row.append(element('span', 'time', {}), text);
    this.#list.append(row);
    return text;
  }
}

/** @param {import('./transcript.js').Item} item */
function drawn(item) {
  if ('text' in item) return word(item);
  return 'digit' in item ? key(item) : gap(item);
}

/** @param {import('./transcript.js').Word} settled */
function word({ text, start }) {
  const span = element('span', 'word', { 'data-start': start.toFixed(3) });
  span.textContent = text;
  return span;
}

/** @param {import('./transcript.js').Digit} pressed */
function key({ digit, start }) {
  const cap = element('kbd', 'digit', { 'data-start': start.toFixed(3), title: 'a key was pressed', part: 'digit' });
  cap.textContent = digit;
  return cap;
}

/** @param {import('./transcript.js').Missed} missed */
function gap({ start, stop }) {
  const seconds = (stop - start).toFixed(1);
  return element('span', 'missed', { title: `${seconds} s of sound never arrived`, 'data-label': '…' });
}

/**
 * @param {string} tag
 * @param {string} name Its class.
 * @param {Record<string, string>} attributes
 */
function element(tag, name, attributes) {
  const made = document.createElement(tag);
  made.className = name;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
