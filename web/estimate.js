/** How long it takes until something is done, by how fast it went lately. Pure: it is told the time. */

const WINDOW = 8; // seconds that count
const LEAST = 1; // seconds to watch before anything is said

export class Estimate {
  /** @type {{now: number, done: number}[]} */
  #seen = [];

  /**
   * @param {number} now Seconds, by any clock.
   * @param {number} done 0 to 1; less than before begins anew.
   */
  tell(now, done) {
    if (done < (this.#seen.at(-1)?.done ?? 0)) this.#seen = [];
    this.#seen.push({ now, done });
    const old = this.#seen.findLastIndex((seen) => seen.now <= now - WINDOW);
    this.#seen = this.#seen.slice(Math.max(0, old));
  }

  /**
   * @param {number} now
   * @returns {number | null} Seconds; null while that cannot be said.
   */
  left(now) {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    if (!first || !last || last.now - first.now < LEAST || last.done <= first.done) return null;
    const rate = (last.done - first.done) / (last.now - first.now);
    return Math.max(0, (1 - last.done) / rate - (now - last.now));
  }
}
