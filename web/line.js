/** How the line is, for as long as that is news. Pure: it is told the time. */

import { line } from './messages.js';

const NEWS_FOR = 5; // seconds; the server tells every two, but not while nothing comes through

export class LineNow {
  #now;
  #text = '';
  #toldAt = 0;

  /** @param {() => number} now Seconds, by any clock. */
  constructor(now) {
    this.#now = now;
  }

  /** @param {{mos: number, loss: number, repaired: number}} quality What the server measured. */
  tell(quality) {
    this.#text = line(quality);
    this.#toldAt = this.#now();
  }

  forget() {
    this.#text = '';
  }

  /** In words; empty where nobody knows. */
  get text() {
    return this.#now() - this.#toldAt <= NEWS_FOR ? this.#text : '';
  }
}
