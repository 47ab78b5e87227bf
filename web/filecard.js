/** One recording on the page: how far it is, its words, its player, and what can be done with it. DOM only. */

import { element } from './dom.js';
import { Player } from './player.js';
import { TranscriptView } from './render.js';
import { save } from './save.js';
import { reasonOf, serversWords, statusOf } from './status.js';
import { FORMATS } from './subtitles.js';
import { fraction, wordsIn } from './upload.js';

/** @typedef {import('./upload.js').Upload} Upload */
/** @typedef {import('./language.js').Phrases} Phrases */
/** @typedef {import('./en.js').Key} Key */
/** @typedef {'cancel' | 'again' | 'remove'} Deed */

/** What can be done in each phase. @type {Record<import('./upload.js').Phase, Deed[]>} */
const DEEDS = {
  waiting: ['cancel'],
  sending: ['cancel'],
  hearing: ['cancel'],
  pausing: ['cancel'],
  done: ['remove'],
  failed: ['again', 'remove'],
  cancelled: ['again', 'remove'],
};
/** What the buttons say, and how they are called where only one is heard of. @type {Record<Deed, [Key, Key]>} */
const NAMES = {
  cancel: ['file.cancel', 'file.name.cancel'],
  again: ['file.again', 'file.name.again'],
  remove: ['file.remove', 'file.name.remove'],
};
const SUFFIX = /\.[^.]*$/;

export class FileCard {
  root = element('li', 'file');
  #toggle = element('button', 'name', { type: 'button', 'aria-expanded': 'false' });
  #status = element('p', 'status');
  #deeds = element('div', 'deeds');
  #progress = element('progress', '', { max: '1' });
  #glimpse = element('p', 'glimpse', { 'aria-hidden': 'true', lang: '' });
  #reason = element('p', 'reason');
  #saves = element('div', 'saves');
  #body = element('div', 'words-and-sound', { hidden: '' });
  #list = element('ol', 'lines', { lang: '' }); // nobody said that it is the page's language
  #view;
  /** @type {Player | null} */
  #player = null;
  #file;
  #phrases;
  #act;
  #upload;
  /** @type {number | null} */
  #left = null;
  /** What the buttons are for: they are made anew only when that changes, so that the focus stays on them. */
  #offered = '';

  /**
   * @param {Upload} upload
   * @param {File} file
   * @param {Phrases} phrases
   * @param {(deed: Deed) => void} act
   */
  constructor(upload, file, phrases, act) {
    this.#file = file;
    this.#phrases = phrases;
    this.#act = act;
    this.#upload = upload;
    this.#view = new TranscriptView(this.#list, { playable: true, phrases });
    this.#body.id = `file-${upload.id}`;
    this.#toggle.setAttribute('aria-controls', this.#body.id);
    this.#toggle.textContent = upload.name;
    const title = element('h2', 'title', {}, this.#toggle);
    const head = element('header', '', {}, title, this.#deeds, this.#status, this.#saves);
    this.#body.append(this.#list);
    this.root.append(head, this.#progress, this.#glimpse, this.#reason, this.#body);
    this.#toggle.addEventListener('click', () => this.open(!this.isOpen));
    this.#list.addEventListener('click', (event) => this.#clicked(event));
    this.show(upload, null);
  }

  get isOpen() {
    return !this.#body.hidden;
  }

  /** @param {boolean} wanted Whether its words and its player are seen. */
  open(wanted) {
    this.#body.hidden = !wanted;
    this.#toggle.setAttribute('aria-expanded', String(wanted));
    this.#showGlimpse();
    if (wanted) this.#showPlayer();
    else this.#player?.pause();
  }

  /**
   * @param {Upload} upload As it is now.
   * @param {number | null} left Seconds until its phase is over.
   */
  show(upload, left) {
    const before = this.#upload;
    this.#upload = upload;
    this.#left = left;
    this.root.dataset.phase = upload.phase;
    this.#showStatus();
    this.#showDeeds();
    this.#showGlimpse();
    if (upload.segments !== before.segments) this.#showWords();
    if (upload.phase === 'done' && before.phase !== 'done') this.#showWords();
  }

  /** @param {Phrases} phrases From now on it speaks this language. */
  speak(phrases) {
    this.#phrases = phrases;
    this.#offered = '';
    this.#showStatus();
    this.#showDeeds();
    this.#view.speak(phrases);
    this.#showWords();
    this.#player?.speak(phrases);
  }

  pause() {
    this.#player?.pause();
  }

  close() {
    this.#player?.close();
    this.root.remove();
  }

  #showStatus() {
    const { name, phase } = this.#upload;
    const phrases = this.#phrases;
    const [status, reason] = [statusOf(this.#upload, this.#left, phrases), reasonOf(this.#upload, phrases)];
    if (this.#status.textContent !== status) this.#status.textContent = status;
    this.#showReason(reason);
    const part = fraction(this.#upload);
    this.#progress.hidden = phase !== 'sending' && phase !== 'hearing';
    if (part === null) this.#progress.removeAttribute('value');
    else this.#progress.value = part;
    this.#progress.setAttribute('aria-label', phrases.say('file.name.progress', { name }));
    this.#progress.setAttribute('aria-valuetext', status);
    this.#toggle.title = phrases.say('file.open');
  }

  /** @param {string} reason */
  #showReason(reason) {
    const words = serversWords(this.#upload, reason);
    this.#reason.hidden = !reason;
    this.#reason.textContent = reason;
    if (!words) return;
    const quote = element('span', 'quote', {}, `${this.#phrases.say('file.says')} `);
    quote.append(element('q', '', { lang: 'en' }, words));
    this.#reason.append(' ', quote);
  }

  /** Of a closed card that is being heard: what was said last. */
  #showGlimpse() {
    const { phase, segments } = this.#upload;
    const last = phase === 'hearing' && !this.isOpen ? segments.at(-1) : undefined;
    this.#glimpse.textContent = last?.words.map(({ text }) => text).join(' ') ?? '';
  }

  #showDeeds() {
    const { phase, segments } = this.#upload;
    const hasWords = segments.length > 0;
    const saved = hasWords && DEEDS[phase].includes('remove');
    const offered = `${DEEDS[phase]} ${saved}`;
    this.#toggle.disabled = !hasWords && phase !== 'done';
    if (offered === this.#offered) return;
    this.#offered = offered;
    const hadFocus = this.#deeds.contains(document.activeElement);
    this.#deeds.replaceChildren(...DEEDS[phase].map((deed) => this.#newDeed(deed)));
    this.#saves.replaceChildren(...(saved ? this.#newSaves() : []));
    if (hadFocus) /** @type {HTMLElement | null} */ (this.#deeds.firstElementChild)?.focus();
  }

  /** @param {Deed} deed */
  #newDeed(deed) {
    const [shown, named] = NAMES[deed];
    const label = this.#phrases.say(named, { name: this.#upload.name });
    const button = element('button', `quiet ${deed}`, { type: 'button', 'aria-label': label }, this.#phrases.say(shown));
    button.addEventListener('click', () => this.#act(deed));
    return button;
  }

  #newSaves() {
    const formats = /** @type {import('./subtitles.js').Format[]} */ (Object.keys(FORMATS));
    const title = element('span', '', { 'aria-hidden': 'true' }, this.#phrases.say('file.save'));
    return [title, ...formats.map((format) => this.#newSave(format))];
  }

  /** @param {import('./subtitles.js').Format} format */
  #newSave(format) {
    const { name } = this.#upload;
    const shown = format.toUpperCase();
    const label = this.#phrases.say('file.name.save', { name, format: shown });
    const button = element('button', 'quiet save', { type: 'button', 'aria-label': label }, shown);
    button.addEventListener('click', () => this.#save(format));
    return button;
  }

  /** @param {import('./subtitles.js').Format} format */
  #save(format) {
    const { type, write } = FORMATS[format];
    save(write(this.#upload), `${this.#upload.name.replace(SUFFIX, '')}.${format}`, type);
  }

  #showWords() {
    const { segments, phase, name, language, heard, duration } = this.#upload;
    this.#list.setAttribute('aria-label', this.#phrases.say('file.name.transcript', { name }));
    this.#list.lang = language ?? '';
    this.#view.show({ utterances: segments.map(({ start, stop, words }) => ({ start, stop, items: words })), tail: '' });
    const silent = phase === 'done' && !segments.length;
    this.#list.classList.toggle('silent', silent);
    if (silent) this.#list.dataset.label = this.#phrases.say('file.silent');
    this.#player?.follow(wordsIn(this.#upload), duration ?? heard);
  }

  #showPlayer() {
    if (!this.#player) {
      this.#player = new Player(this.#file, this.#phrases, (index) => this.#view.mark(index));
      this.#body.prepend(this.#player.root);
    }
    this.#player.follow(wordsIn(this.#upload), this.#upload.duration ?? this.#upload.heard);
  }

  /** @param {Event} event Somewhere among the words: from the one that was pressed on, or from its line's time. */
  #clicked({ target }) {
    if (!(target instanceof Element) || !getSelection()?.isCollapsed) return; // words are being selected, not played
    const start = target.closest('[data-start]')?.getAttribute('data-start');
    if (start) this.#player?.playFrom(Number(start));
  }
}
