/**
 * <offhook-transcript src="https://voice.example" token="…">: a Start button and the words, for a page of any origin.
 * It speaks the language of the page around it (`lang`), where that is one of ours.
 *
 * Parts for styling: button, transcript, utterance, time, words, digit, tail, status, message. It passes on the events
 * of its client (`state`, `word`, `pause`, `digit`, `error`, `ended` …), which do not bubble. `src` left out: where
 * this module is from.
 */

import { languageOf, phrasesIn } from './language.js';
import { ending, inLine, OffhookClient } from './offhook.js';
import { TranscriptView } from './render.js';

const HOME = new URL('.', import.meta.url).href;
const PASSED_ON = /** @type {const} */ (
  ['state', 'queued', 'word', 'partial', 'pause', 'digit', 'transcript', 'error', 'ended']
);

const UNSAID = new Set(['idle', 'ended']); // states that the button says already

const STYLE = `
:host { display: block; font: inherit; color: inherit; --accent: #0f766e; }
:host([hidden]) { display: none; }
header { display: flex; align-items: center; gap: .75em; }
button { font: inherit; padding: .4em 1em; border: 1px solid currentColor; border-radius: 2em; background: none;
  color: inherit; cursor: pointer; }
button[aria-pressed=true] { background: var(--accent); border-color: var(--accent); color: #fff; }
button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.status { opacity: .7; font-size: .875em; }
.message { margin: .75em 0 0; }
.message:empty { display: none; }
ol { list-style: none; margin: 1em 0 0; padding: 0; max-height: var(--offhook-height, none); overflow-y: auto; }
.utterance { display: grid; grid-template-columns: 3.5em 1fr; margin: 0 0 .5em; line-height: 1.5; }
.time { opacity: .6; font-size: .8em; line-height: 1.875; font-variant-numeric: tabular-nums; }
.time::before { content: attr(data-label); }
.text { margin: 0; overflow-wrap: anywhere; }
.tail { opacity: .55; font-style: italic; }
.digit { font: inherit; font-size: .8em; padding: 0 .4em; border: 1px solid currentColor; border-radius: .3em; }
.missed::before { content: attr(data-label); opacity: .55; }
`;

export class OffhookTranscript extends HTMLElement {
  static observedAttributes = ['token'];

  #root = this.attachShadow({ mode: 'open' });
  /** @type {OffhookClient | null} */
  #client = null;
  #button = document.createElement('button');
  #status = document.createElement('span');
  #message = document.createElement('p');
  #list = document.createElement('ol');
  #view = new TranscriptView(this.#list);
  #phrases = phrasesIn('en');

  constructor() {
    super();
    const header = document.createElement('header');
    header.append(this.#button, this.#status);
    this.#root.append(header, this.#message, this.#list);
    this.#root.adoptedStyleSheets = [sheet()];
    this.#label(this.#button, 'button', { type: 'button' });
    this.#label(this.#status, 'status', { role: 'status' });
    this.#label(this.#message, 'message', { role: 'alert' });
    this.#label(this.#list, 'transcript', { 'aria-live': 'polite', lang: '' });
    this.#button.addEventListener('click', () => void this.toggle());
    this.#show('idle');
  }

  connectedCallback() {
    this.#phrases = phrasesIn(languageOf([this.closest('[lang]')?.getAttribute('lang')]));
    this.#list.setAttribute('aria-label', this.#phrases.say('transcript.name'));
    this.#view.speak(this.#phrases);
    if (this.#client) this.#client.language = this.#phrases.language;
    if (this.#client) this.#view.show(this.#client.transcript);
    this.#show(this.#client?.state ?? 'idle');
  }

  /** The client behind it, once it has been started for the first time. @returns {OffhookClient | null} */
  get client() {
    return this.#client;
  }

  /** Start when idle, stop when not. */
  async toggle() {
    const client = (this.#client ??= this.#newClient());
    await (client.active ? client.stop() : client.start());
  }

  /**
   * @param {string} _name
   * @param {string | null} _before
   * @param {string | null} value
   */
  attributeChangedCallback(_name, _before, value) {
    if (this.#client) this.#client.token = value ?? undefined;
  }

  disconnectedCallback() {
    void this.#client?.stop();
  }

  #newClient() {
    const url = this.getAttribute('src') ?? this.getAttribute('url') ?? HOME;
    const { language } = this.#phrases;
    const client = new OffhookClient({ url, token: this.getAttribute('token') ?? undefined, language });
    client.addEventListener('state', ({ detail }) => this.#show(detail.state));
    client.addEventListener('queued', ({ detail }) => (this.#status.textContent = inLine(detail.position, this.#language)));
    client.addEventListener('transcript', ({ detail }) => this.#view.show(detail.transcript));
    client.addEventListener('error', ({ detail }) => this.#say(detail.message));
    client.addEventListener('ended', ({ detail }) => this.#say(ending(detail.reason, this.#language) || this.#message.textContent));
    for (const name of PASSED_ON) client.addEventListener(name, (event) => this.#passOn(name, event));
    return client;
  }

  get #language() {
    return this.#phrases.language;
  }

  /** @param {import('./offhook.js').ClientState} state */
  #show(state) {
    const active = !UNSAID.has(state);
    this.#button.textContent = this.#phrases.say(active ? 'call.stop' : 'call.start');
    this.#button.setAttribute('aria-pressed', String(active));
    this.#status.textContent = active ? this.#phrases.say(`state.${state}`) : '';
    this.#status.dataset.state = state;
    if (state === 'asking' || state === 'live') this.#say('');
  }

  /** @param {string | null} text */
  #say(text) {
    this.#message.textContent = text;
  }

  /**
   * @param {string} name
   * @param {Event} event
   */
  #passOn(name, event) {
    this.dispatchEvent(new CustomEvent(name, { detail: /** @type {CustomEvent} */ (event).detail }));
  }

  /**
   * @param {HTMLElement} element
   * @param {string} name Its class and its part.
   * @param {Record<string, string>} attributes
   */
  #label(element, name, attributes) {
    element.className = name;
    element.setAttribute('part', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  }
}

/** A constructed sheet: allowed by a content security policy that forbids inline styles. */
function sheet() {
  const style = new CSSStyleSheet();
  style.replaceSync(STYLE);
  return style;
}
