/** Which word is being spoken at a moment of a recording, and which are beside it. Pure. */

/** @typedef {import('./captions.js').Spoken} Spoken */

const AFTERGLOW = 0.6; // seconds that a word stays the one that was spoken, once it is over
const EARLY = 0.03; // seconds: a player that was sent to a word may stand a little before it

/**
 * @param {Spoken[]} words In order.
 * @param {number} at Seconds.
 * @returns {number} Where the word stands; -1 where nothing is being spoken.
 */
export function spokenAt(words, at) {
  const index = lastBegun(words, at);
  return index >= 0 && at <= words[index].stop + AFTERGLOW ? index : -1;
}

/**
 * @param {Spoken[]} words
 * @param {number} at
 * @param {1 | -1} direction
 * @returns {number | null} When the word after, or before, begins; null where there is none.
 */
export function neighbour(words, at, direction) {
  return words[lastBegun(words, at) + direction]?.start ?? null;
}

/**
 * @param {Spoken[]} words
 * @param {number} at
 * @returns {number} The last word that has begun; -1 before the first.
 */
function lastBegun(words, at) {
  let [low, high] = [0, words.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle].start <= at + EARLY) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
