/** The controls of a call, and what is said of it: Start, the microphone, mute, the keypad, level and figures. DOM only. */

import { byId } from './dom.js';
import { LineNow } from './line.js';
import { ending, inLine } from './offhook.js';

/** @typedef {import('./offhook.js').ClientState} ClientState */
/** @typedef {import('./offhook.js').ClientError} ClientError */
/** @typedef {import('./en.js').Key} Key */

const start = /** @type {HTMLButtonElement} */ (byId('start'));
const mute = /** @type {HTMLButtonElement} */ (byId('mute'));
const device = /** @type {HTMLSelectElement} */ (byId('device'));

export class Desk {
  #client;
  #texts;
  #notice;
  #keypad;
  #takeKey;
  #line = new LineNow(() => performance.now() / 1000);
  /** Where this call stands in the server's line; 0 where it does not. */
  #position = 0;

  /**
   * @param {import('./offhook.js').OffhookClient} client
   * @param {object} parts
   * @param {import('./interface.js').Interface} parts.texts
   * @param {import('./notice.js').Notice} parts.notice
   * @param {import('./keypad.js').Keypad} parts.keypad
   * @param {() => void} parts.takeKey A key may have been typed: the next call uses it.
   */
  constructor(client, { texts, notice, keypad, takeKey }) {
    this.#client = client;
    this.#texts = texts;
    this.#notice = notice;
    this.#keypad = keypad;
    this.#takeKey = takeKey;
    this.#listen();
    void this.#listDevices();
  }

  async toggle() {
    const client = this.#client;
    if (client.active) return client.stop();
    this.#takeKey();
    this.#notice.hide();
    await client.start({ deviceId: device.value });
    await this.#listDevices(); // a browser names them once one has been allowed
  }

  #listen() {
    const client = this.#client;
    client.addEventListener('state', ({ detail }) => this.#showState(detail.state));
    client.addEventListener('queued', ({ detail }) => this.#showStatus(detail.position));
    client.addEventListener('level', ({ detail }) => showLevel(detail.level));
    client.addEventListener('stats', ({ detail }) => this.#showFigures(detail));
    client.addEventListener('quality', ({ detail }) => this.#line.tell(detail));
    client.addEventListener('error', ({ detail }) => this.#showError(detail));
    client.addEventListener('closing', ({ detail }) => this.#showClosing(detail.in));
    client.addEventListener('ended', ({ detail }) => this.#showEnding(detail.reason));
    start.addEventListener('click', () => void this.toggle());
    mute.addEventListener('click', () => this.#toggleMute());
    device.addEventListener('change', () => void client.setDevice(device.value));
    document.addEventListener('keydown', (event) => this.#shortcut(event));
    navigator.mediaDevices?.addEventListener?.('devicechange', () => void this.#listDevices());
    this.#texts.addEventListener('change', () => this.#speak());
  }

  #speak() {
    this.#showStatus(this.#position);
    void this.#listDevices();
  }

  #toggleMute() {
    this.#client.mute(!this.#client.muted);
    mute.setAttribute('aria-pressed', String(this.#client.muted));
    this.#showStatus();
  }

  /** @param {ClientState} state */
  #showState(state) {
    const { active } = this.#client;
    document.body.dataset.state = state;
    byId('status').dataset.state = state;
    this.#label(start, active ? (state === 'finishing' ? 'call.stopping' : 'call.stop') : 'call.start');
    start.setAttribute('aria-pressed', String(active));
    mute.disabled = !active;
    this.#keypad.enable(this.#client.canDial);
    if (!active) this.#keypad.show(false);
    this.#showStatus();
    if (state === 'live') this.#notice.hide();
    else this.#line.forget();
    if (!active) showLevel(0);
  }

  /** @param {number} [position] Where the call stands in the server's line. */
  #showStatus(position = 0) {
    this.#position = position;
    const { state, muted } = this.#client;
    if (position) labelOf(byId('status')).textContent = inLine(position, this.#texts.language);
    else this.#label(byId('status'), state === 'live' && muted ? 'state.muted' : `state.${state}`);
  }

  /**
   * @param {Element} element
   * @param {Key} key
   */
  #label(element, key) {
    this.#texts.text(labelOf(element), key);
  }

  /** @param {{roundTrip: number | null, wordLatency: number | null}} figures Seconds. */
  #showFigures({ roundTrip, wordLatency }) {
    const { phrases, language } = this.#texts;
    const parts = [
      this.#line.text(language),
      roundTrip === null ? '' : phrases.say('figures.trip', { time: phrases.milliseconds(roundTrip) }),
      wordLatency === null ? '' : phrases.say('figures.words', { time: phrases.tenths(wordLatency) }),
    ];
    byId('figures').textContent = parts.filter(Boolean).join(' · ') || '\u00a0';
  }

  /** @param {ClientError} error */
  #showError({ code, say, retryAfter }) {
    this.#notice.show(({ language }) => say(language), { wait: retryAfter, askKey: code === 'unauthorized' });
  }

  /** @param {number} seconds */
  #showClosing(seconds) {
    this.#notice.show((phrases) => phrases.say('call.closing', { wait: phrases.wait(Math.round(seconds)) }));
  }

  /** @param {string} reason */
  #showEnding(reason) {
    if (ending(reason)) this.#notice.show((phrases) => ending(reason, phrases.language));
  }

  async #listDevices() {
    const found = await this.#client.devices();
    const { phrases } = this.#texts;
    const chosen = device.value;
    const choices = found.map(
      ({ deviceId, label }, index) => new Option(label || phrases.say('call.numbered', { number: index + 1 }), deviceId),
    );
    const standard = new Option(phrases.say('call.default'), '');
    device.replaceChildren(standard, ...choices.filter(({ value }) => value !== 'default'));
    device.value = found.some(({ deviceId }) => deviceId === chosen) ? chosen : '';
  }

  /** @param {KeyboardEvent} event */
  #shortcut(event) {
    const { target, key, ctrlKey, metaKey, altKey, repeat } = event;
    if (ctrlKey || metaKey || altKey || repeat) return;
    if (!(target instanceof Element) || target.closest('select, input') || this.#keypad.type(key)) return;
    if (key === ' ' && !target.closest('button, a')) {
      event.preventDefault(); // it would scroll
      void this.toggle();
    } else if (key.toLowerCase() === 'm' && !mute.disabled) {
      this.#toggleMute();
    } else if (key.toLowerCase() === 'k' && this.#client.canDial) {
      byId('dial').click();
    }
  }
}

/** @param {Element} element */
function labelOf(element) {
  return /** @type {Element} */ (element.querySelector('.label'));
}

/** @param {number} level */
function showLevel(level) {
  document.documentElement.style.setProperty('--loud', level.toFixed(3));
  byId('level').setAttribute('aria-valuenow', String(Math.round(level * 100)));
}
