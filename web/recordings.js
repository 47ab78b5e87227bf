/** The recordings on the page, each with its card; and one line that tells a screen reader what has become of them. */

import { FileCard } from './filecard.js';
import { reasonOf } from './status.js';

/** @typedef {import('./files.js').FileQueue} FileQueue */
/** @typedef {import('./upload.js').Upload} Upload */
/** @typedef {import('./interface.js').Interface} Interface */

export class Recordings {
  #queue;
  #root;
  #news;
  #interface;
  /** @type {Map<number, FileCard>} */
  #cards = new Map();
  /** @type {Map<number, string>} */
  #phases = new Map();

  /**
   * @param {FileQueue} queue
   * @param {{root: HTMLElement, news: HTMLElement}} places `news`: read out to a screen reader.
   * @param {Interface} language
   */
  constructor(queue, { root, news }, language) {
    this.#queue = queue;
    this.#root = root;
    this.#news = news;
    this.#interface = language;
    queue.addEventListener('added', ({ detail }) => this.#add(detail.upload));
    queue.addEventListener('changed', ({ detail }) => this.#show(detail.upload));
    queue.addEventListener('removed', ({ detail }) => this.#remove(detail.upload.id));
    language.addEventListener('change', () => this.#speak());
    root.addEventListener('play', (event) => this.#pauseOthers(event), true); // it does not bubble
  }

  /** @param {Upload} upload */
  #add(upload) {
    const file = /** @type {File} */ (this.#queue.file(upload.id));
    const card = new FileCard(upload, file, this.#interface.phrases, (deed) => this.#do(deed, upload.id));
    this.#cards.set(upload.id, card);
    this.#phases.set(upload.id, upload.phase);
    this.#root.append(card.root);
    this.#root.hidden = false;
  }

  /** @param {Upload} upload */
  #show(upload) {
    const card = this.#cards.get(upload.id);
    card?.show(upload, this.#queue.left(upload.id));
    if (upload.segments.length === 1 && !this.#someOpen) card?.open(true); // the first words of the first of them
    if (this.#phases.get(upload.id) !== upload.phase) this.#tell(upload);
    this.#phases.set(upload.id, upload.phase);
  }

  /** @param {number} id */
  #remove(id) {
    const card = this.#cards.get(id);
    const hadFocus = card?.root.contains(document.activeElement);
    const beside = card?.root.nextElementSibling ?? card?.root.previousElementSibling;
    card?.close();
    this.#cards.delete(id);
    this.#phases.delete(id);
    this.#root.hidden = !this.#cards.size;
    if (hadFocus) /** @type {HTMLElement | null} */ (beside?.querySelector('button:not(:disabled)') ?? document.querySelector('main'))?.focus();
  }

  #speak() {
    for (const card of this.#cards.values()) card.speak(this.#interface.phrases);
    this.#news.textContent = '';
  }

  get #someOpen() {
    return [...this.#cards.values()].some((card) => card.isOpen);
  }

  /** @param {Upload} upload */
  #tell(upload) {
    const { phrases } = this.#interface;
    const { name, phase } = upload;
    if (phase === 'done') this.#news.textContent = phrases.say('file.told.done', { name });
    if (phase === 'failed') this.#news.textContent = phrases.say('file.told.failed', { name, reason: reasonOf(upload, phrases) });
  }

  /**
   * @param {import('./filecard.js').Deed} deed
   * @param {number} id
   */
  #do(deed, id) {
    if (deed === 'cancel') this.#queue.cancel(id);
    else if (deed === 'again') this.#queue.retry(id);
    else this.#queue.remove(id);
  }

  /** @param {Event} event One of them plays. */
  #pauseOthers({ target }) {
    for (const card of this.#cards.values()) {
      if (target instanceof Node && !card.root.contains(target)) card.pause();
    }
  }
}
