/** How the line is, for as long as that is news. Pure: it is told the time. */

import { line } from './messages.js';

const NEWS_FOR = 5; // seconds; the server tells every two, but not while nothing comes through

export class LineNow {
  #now;
  /** @type {{mos: number, loss: number, repaired: number} | null} */
  #quality = null;
  #toldAt = 0;

  /** @param {() => number} now Seconds, by any clock. */
  constructor(now) {
    this.#now = now;
  }

  /** @param {{mos: number, loss: number, repaired: number}} quality What the server measured. */
  tell(quality) {
    this.#quality = quality;
    this.#toldAt = this.#now();
  }

  forget() {
    this.#quality = null;
  }

  /**
   * In words; empty where nobody knows.
   * @param {import('./language.js').Language} [language]
   */
  text(language) {
    return this.#quality && this.#now() - this.#toldAt <= NEWS_FOR ? line(this.#quality, language) : '';
  }
}
