/**
 * Plays a recording and says which of its words is being spoken. DOM only.
 *
 * It plays the file that the person chose, from their own disk: at once, without a key, and whatever the server keeps.
 */

import { drawing, element } from './dom.js';
import { neighbour, spokenAt } from './spoken.js';
import { clock } from './transcript.js';

/** @typedef {import('./captions.js').Spoken} Spoken */
/** @typedef {import('./language.js').Phrases} Phrases */

const PLAY = 'M8 5.5v13l10.5-6.500z';
const PAUSE = 'M8.500 6v12M15.500 6v12';
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

export class Player {
  root = element('div', 'player', { role: 'group' });
  #audio = element('audio', '', { preload: 'metadata' });
  #toggle = element('button', 'play', { type: 'button' });
  #slider = element('input', 'position', { type: 'range', min: '0', step: 'any', value: '0' });
  #times = element('span', 'times', { 'aria-hidden': 'true' });
  #fault = element('p', 'fault', { role: 'status', hidden: '' });
  #url;
  #name;
  #phrases;
  #mark;
  /** @type {Spoken[]} */
  #words = [];
  #length = 0;
  #marked = -1;

  /**
   * @param {File} file
   * @param {Phrases} phrases
   * @param {(index: number) => void} mark The word that is being spoken now; -1 for none.
   */
  constructor(file, phrases, mark) {
    this.#name = file.name;
    this.#phrases = phrases;
    this.#mark = mark;
    this.#url = URL.createObjectURL(file);
    this.root.append(this.#toggle, this.#slider, this.#times, this.#fault, this.#audio);
    this.#toggle.addEventListener('click', () => this.#playOrPause());
    this.#slider.addEventListener('input', () => this.seek(Number(this.#slider.value)));
    this.#slider.addEventListener('keydown', (event) => this.#step(event));
    for (const name of ['play', 'pause', 'ended']) this.#audio.addEventListener(name, () => this.#showPlaying());
    for (const name of ['timeupdate', 'seeked', 'loadedmetadata', 'durationchange']) {
      this.#audio.addEventListener(name, () => this.#showPosition());
    }
    this.#audio.addEventListener('error', () => this.#showFault());
    this.#audio.src = this.#url;
    this.speak(phrases);
  }

  get playing() {
    return !this.#audio.paused;
  }

  /**
   * The words so far, and how long the recording is as far as the server knows.
   * @param {Spoken[]} words
   * @param {number | null} length Seconds.
   */
  follow(words, length) {
    this.#words = words;
    this.#length = length ?? words.at(-1)?.stop ?? 0;
    this.#showPosition();
  }

  /** @param {number} at Seconds. */
  seek(at) {
    this.#audio.currentTime = at;
    this.#showPosition();
  }

  /** @param {number} at Seconds. */
  playFrom(at) {
    this.seek(at);
    void this.#play();
    this.#toggle.focus({ preventScroll: true }); // so that the next press of Space stops it
  }

  pause() {
    this.#audio.pause();
  }

  /** @param {Phrases} phrases From now on it speaks this language. */
  speak(phrases) {
    this.#phrases = phrases;
    this.root.setAttribute('aria-label', this.#name);
    this.#slider.setAttribute('aria-label', phrases.say('player.position', { name: this.#name }));
    this.#fault.textContent = phrases.say('player.cannot');
    this.#showPlaying();
    this.#showPosition();
  }

  close() {
    this.#audio.pause();
    this.#audio.removeAttribute('src');
    URL.revokeObjectURL(this.#url);
    this.root.remove();
  }

  /** Seconds; a recording that does not say how long it is is as long as the server heard. */
  get #duration() {
    const { duration } = this.#audio;
    return Number.isFinite(duration) ? duration : this.#length;
  }

  #playOrPause() {
    if (this.playing) this.#audio.pause();
    else void this.#play();
  }

  async #play() {
    try {
      await this.#audio.play();
    } catch {
      this.#showPlaying(); // paused again before it began, or not to be played: `error` has told
    }
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    if (event.key === ' ') {
      event.preventDefault();
      return this.#playOrPause();
    }
    if (!(event.key in STEPS) || !this.#words.length) return;
    event.preventDefault(); // a step of its own would be an arbitrary one
    const direction = /** @type {1 | -1} */ (STEPS[/** @type {'ArrowLeft'} */ (event.key)]);
    const at = neighbour(this.#words, this.#audio.currentTime, direction);
    if (at !== null) this.seek(at);
  }

  #showPlaying() {
    const playing = this.playing && !this.#audio.ended;
    this.#toggle.setAttribute('aria-label', this.#phrases.say(playing ? 'player.pause' : 'player.play'));
    this.#toggle.classList.toggle('playing', playing);
    this.#toggle.replaceChildren(drawing(playing ? PAUSE : PLAY));
    if (playing) this.#frame();
  }

  /** While it plays, the mark goes with the sound: `timeupdate` comes four times a second only. */
  #frame() {
    if (!this.playing) return;
    this.#showPosition();
    requestAnimationFrame(() => this.#frame());
  }

  #showPosition() {
    const [at, end] = [this.#audio.currentTime, this.#duration];
    const index = spokenAt(this.#words, at);
    this.#slider.max = String(end);
    this.#slider.value = String(at);
    this.#slider.style.setProperty('--at', String(end ? at / end : 0));
    this.#times.textContent = `${clock(at)} / ${clock(end)}`;
    const told = { at: clock(at), end: clock(end), word: this.#words[index]?.text ?? '…' };
    this.#slider.setAttribute('aria-valuetext', this.#phrases.say('player.at', told));
    if (index === this.#marked) return;
    this.#marked = index;
    this.#mark(index);
  }

  #showFault() {
    this.#fault.hidden = false;
    this.#toggle.disabled = this.#slider.disabled = true;
  }
}
