/** What the page says above the controls: a sentence, how long it is until it is tried again, a key that is asked for. */

import { byId } from './dom.js';

/** @typedef {import('./language.js').Phrases} Phrases */

export class Notice {
  #root = byId('notice');
  #message = byId('message');
  #form = byId('keyform');
  #texts;
  /** @type {(phrases: Phrases) => string} */
  #says = () => '';

  /** @param {import('./interface.js').Interface} texts */
  constructor(texts) {
    this.#texts = texts;
    texts.addEventListener('change', () => this.#write());
  }

  /**
   * @param {(phrases: Phrases) => string} says What there is to say, in the language asked for.
   * @param {{wait?: number | null, askKey?: boolean}} [more] `wait`: seconds until it is tried again by itself.
   */
  show(says, { wait = null, askKey = false } = {}) {
    this.#says = says;
    this.#write();
    this.#form.hidden = !askKey;
    this.#root.hidden = false;
    this.#root.classList.remove('counting');
    if (wait === null) return;
    this.#root.style.setProperty('--wait', `${wait}s`);
    void this.#root.offsetWidth; // without a layout between them the animation would not begin anew
    this.#root.classList.add('counting');
  }

  hide() {
    this.#says = () => '';
    this.#write();
    this.#form.hidden = this.#root.hidden = true;
  }

  #write() {
    this.#message.textContent = this.#says(this.#texts.phrases);
  }
}
