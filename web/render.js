/** A Transcript drawn as a list: an utterance an item, settled words beside the tail that may still change. */

import { element } from './dom.js';
import { phrasesIn } from './language.js';
import { clock } from './transcript.js';

/** @typedef {import('./transcript.js').Transcript} Transcript */
/** @typedef {import('./transcript.js').Utterance} Utterance */
/** @typedef {import('./language.js').Phrases} Phrases */

/**
 * What stands on the page is only ever added to, so that a long transcript stays cheap and a screen reader reads each
 * settled word once. Times and gaps are drawn by the style sheet (`data-label`): they are not part of the text.
 */
export class TranscriptView {
  #list;
  #tail = element('span', 'tail', { 'aria-hidden': 'true' });
  /** @type {{words: HTMLElement, shown: number}[]} */
  #rows = [];
  /** The settled words, in order. @type {HTMLElement[]} */
  #words = [];
  /** @type {HTMLElement | null} */
  #marked = null;
  #playable;
  #phrases;

  /**
   * @param {HTMLElement} list Where the utterances are put.
   * @param {{playable?: boolean, phrases?: Phrases}} [options] `playable`: times are buttons, and a word can be marked;
   *   whoever asks for that listens for clicks on what has a `data-start`.
   */
  constructor(list, { playable = false, phrases = phrasesIn('en') } = {}) {
    this.#list = list;
    this.#playable = playable;
    this.#phrases = phrases;
  }

  /** @param {Phrases} phrases From now on it speaks this language: what it shows has to be shown to it again. */
  speak(phrases) {
    this.#phrases = phrases;
    this.#clear();
  }

  /** @param {Pick<Transcript, 'utterances' | 'tail'>} transcript */
  show({ utterances, tail }) {
    if (utterances.length < this.#rows.length) this.#clear();
    const first = Math.max(0, this.#rows.length - 1); // those before it are closed and drawn
    for (let index = first; index < utterances.length; index += 1) this.#draw(index, utterances[index]);
    this.#showTail(tail, utterances.at(-1));
  }

  /**
   * This word is being spoken. Who could see the one before it sees this one too.
   * @param {number} index -1: none.
   */
  mark(index) {
    const [before, word] = [this.#marked, this.#words[index] ?? null];
    before?.classList.remove('spoken');
    word?.classList.add('spoken');
    this.#marked = word ?? before;
    if (word && (!before || isSeen(before)) && !isSeen(word)) word.scrollIntoView({ block: 'center' });
  }

  #clear() {
    this.#list.replaceChildren();
    this.#rows = [];
    this.#words = [];
    this.#marked = null;
  }

  /**
   * @param {number} index
   * @param {Utterance} utterance
   */
  #draw(index, { start, items }) {
    const row = (this.#rows[index] ??= this.#newRow(start));
    for (const item of items.slice(row.shown)) {
      if (row.shown) row.words.append(' ');
      row.words.append(this.#drawn(item));
      row.shown += 1;
    }
  }

  /** @param {number} start */
  #newRow(start) {
    const words = element('span', 'words', { part: 'words' });
    const time = this.#playable ? this.#newButton(start) : newTime(start);
    const row = element('li', 'utterance', { part: 'utterance' });
    const text = element('p', 'text', {});
    text.append(words);
    row.append(time, text, '\n'); // drawn nowhere; it keeps utterances apart in the text
    this.#list.append(row);
    return { words, shown: 0 };
  }

  /** @param {number} start */
  #newButton(start) {
    const label = this.#phrases.say('player.from', { at: clock(start) });
    const shown = { 'data-start': start.toFixed(3), 'data-label': clock(start) };
    return element('button', 'time', { type: 'button', 'aria-label': label, ...shown });
  }

  /** @param {import('./transcript.js').Item} item */
  #drawn(item) {
    if ('digit' in item) return key(item, this.#phrases);
    if (!('text' in item)) return gap(item, this.#phrases);
    const drawn = word(item);
    this.#words.push(drawn);
    return drawn;
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

/** @param {number} start */
function newTime(start) {
  return element('time', 'time', { datetime: `PT${start.toFixed(1)}S`, 'data-label': clock(start), part: 'time' });
}

/** @param {import('./transcript.js').Word} settled */
function word({ text, start }) {
  const span = element('span', 'word', { 'data-start': start.toFixed(3) });
  span.textContent = text;
  return span;
}

/**
 * @param {import('./transcript.js').Digit} pressed
 * @param {Phrases} phrases
 */
function key({ digit, start }, phrases) {
  const title = phrases.say('transcript.pressed');
  const cap = element('kbd', 'digit', { 'data-start': start.toFixed(3), title, part: 'digit' });
  cap.textContent = digit;
  return cap;
}

/**
 * @param {import('./transcript.js').Missed} missed
 * @param {Phrases} phrases
 */
function gap({ start, stop }, phrases) {
  const title = phrases.say('transcript.missed', { time: phrases.tenths(stop - start) });
  return element('span', 'missed', { title, 'data-label': '…' });
}

/** @param {Element} drawn Whether it stands in the middle of the window, where nothing covers it. */
function isSeen(drawn) {
  const { top, bottom } = drawn.getBoundingClientRect();
  return top > innerHeight * 0.12 && bottom < innerHeight * 0.72;
}
