/**
 * The language that the page is read in: the browser's, until a person chooses another, which is remembered.
 *
 * What carries `data-text` or `data-name` is written in it at once; who draws anything else hears of `change`.
 */

import { languageOf, phrasesIn } from './language.js';

/** @typedef {import('./language.js').Language} Language */
/** @typedef {import('./en.js').Key} Key */

const KEPT_AS = 'offhook.language';

export class Interface extends EventTarget {
  #document;
  #storage;

  /**
   * @param {Document} document
   * @param {{storage: Storage | null, preferred: readonly string[]}} of `storage`: null where there is none to use.
   */
  constructor(document, { storage, preferred }) {
    super();
    this.#document = document;
    this.#storage = storage;
    this.phrases = phrasesIn(languageOf([storage?.getItem(KEPT_AS), ...preferred]));
    this.#write();
  }

  get language() {
    return this.phrases.language;
  }

  /** @param {Language} language From now on, and the next time. */
  choose(language) {
    this.#storage?.setItem(KEPT_AS, language);
    this.phrases = phrasesIn(language);
    this.#write();
    this.dispatchEvent(new Event('change'));
  }

  /**
   * Write what an element says now, and in every other language that is chosen later.
   * @param {Element} element
   * @param {Key} key
   */
  text(element, key) {
    element.setAttribute('data-text', key);
    element.textContent = this.phrases.say(key);
  }

  #write() {
    this.#document.documentElement.lang = this.language;
    for (const [name, write] of Object.entries(WRITERS)) {
      for (const element of this.#document.querySelectorAll(`[${name}]`)) {
        write(element, this.phrases.say(/** @type {Key} */ (element.getAttribute(name))));
      }
    }
  }
}

/** @type {Record<string, (element: Element, text: string) => void>} */
const WRITERS = {
  'data-text': (element, text) => (element.textContent = text),
  'data-name': (element, text) => element.setAttribute('aria-label', text),
  'data-content': (element, text) => element.setAttribute('content', text),
};

/** The browser's own memory of this site; null where a person forbids it. */
export function memory() {
  try {
    return globalThis.localStorage;
  } catch {
    return null; // SecurityError: the page works without
  }
}
