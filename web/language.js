/** Texts, numbers and times in the language of the person who reads them. Pure. */

import { EN } from './en.js';
import { ES } from './es.js';
import { FR } from './fr.js';

/** @typedef {import('./en.js').Key} Key */
/** @typedef {import('./en.js').Text} Text */
/** @typedef {import('./en.js').Texts} Texts */
/** @typedef {'en' | 'fr' | 'es'} Language */

/** The languages there are, each by the name that its speakers give it. @type {Record<Language, string>} */
export const LANGUAGES = { en: 'English', fr: 'Français', es: 'Español' };

/** @type {Record<Language, Texts>} */
export const TABLES = { en: EN, fr: FR, es: ES };

const MEGABYTE = 1 << 20; // bytes, as the server's limit counts them
const PLACEHOLDER = /\{(\w+)\}/g;

/**
 * The first of these that is one of ours; English where none is.
 * @param {readonly (string | null | undefined)[]} wanted Language tags such as `fr-CA`, the dearest first.
 * @returns {Language}
 */
export function languageOf(wanted) {
  const found = wanted.map((tag) => (tag ?? '').toLowerCase().split('-')[0]).find((tag) => Object.hasOwn(TABLES, tag));
  return /** @type {Language} */ (found ?? 'en');
}

/** @param {Language} language English is spoken where it is none of ours. */
export function phrasesIn(language) {
  return Object.hasOwn(PHRASES, language) ? PHRASES[language] : PHRASES.en;
}

export class Phrases {
  #plural;

  /** @param {Language} language */
  constructor(language) {
    this.language = language;
    this.#plural = new Intl.PluralRules(language);
  }

  /**
   * The text, filled in; a number as this language writes it.
   * @param {Key} key
   * @param {Record<string, string | number>} [values]
   */
  say(key, values = {}) {
    return this.#form(TABLES[this.language][key], values.count).replaceAll(PLACEHOLDER, (_, name) => {
      const value = values[name];
      return typeof value === 'number' ? this.#number(value) : value;
    });
  }

  /** @param {string} key @returns {key is Key} Whether there is such a text. */
  has(key) {
    return Object.hasOwn(EN, key);
  }

  /** @param {number} part 0 to 1. */
  percent(part) {
    return this.#number(part, { style: 'percent' });
  }

  /** @param {number} bytes As megabytes, such as 3.1 MB. */
  size(bytes) {
    const megabytes = bytes / MEGABYTE;
    const digits = megabytes < 10 ? 1 : 0;
    return this.#unit(megabytes, 'megabyte', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  /** @param {number} seconds Shown as whole milliseconds. */
  milliseconds(seconds) {
    return this.#unit(Math.round(seconds * 1000), 'millisecond');
  }

  /** @param {number} seconds Shown with a tenth. */
  tenths(seconds) {
    return this.#unit(seconds, 'second', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  }

  /** @param {number} seconds How long somebody has to wait, in full words and whole seconds, one at least. */
  wait(seconds) {
    return this.#unit(Math.max(1, Math.ceil(seconds)), 'second', { unitDisplay: 'long' });
  }

  /** @param {number} seconds An estimate, as coarse as it is. */
  about(seconds) {
    if (seconds < 90) return this.#unit(Math.max(1, seconds < 20 ? Math.round(seconds) : Math.round(seconds / 5) * 5), 'second');
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return this.#unit(minutes, 'minute');
    const parts = [this.#unit(Math.floor(minutes / 60), 'hour'), this.#unit(minutes % 60, 'minute')];
    return parts.join(' ');
  }

  /**
   * @param {Text} text
   * @param {string | number | undefined} count
   */
  #form(text, count) {
    if (typeof text === 'string') return text;
    const form = this.#plural.select(Number(count));
    return (form in text && text[/** @type {'one'} */ (form)]) || text.other;
  }

  /**
   * @param {number} value
   * @param {Intl.NumberFormatOptions} [options]
   */
  #number(value, options) {
    return new Intl.NumberFormat(this.language, options).format(value);
  }

  /**
   * @param {number} value
   * @param {string} unit
   * @param {Intl.NumberFormatOptions} [options]
   */
  #unit(value, unit, options) {
    return this.#number(value, { style: 'unit', unit, unitDisplay: 'short', ...options });
  }
}

const PHRASES = { en: new Phrases('en'), fr: new Phrases('fr'), es: new Phrases('es') };
