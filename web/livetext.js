/** The words of the call: followed while they come, copied, saved, cleared. DOM only. */

import { byId } from './dom.js';
import { TranscriptView } from './render.js';
import { save } from './save.js';

const NEAR_THE_END = 120; // pixels from the bottom within which new words are followed
const COPIED_FOR = 1600; // milliseconds

export class LiveText {
  #client;
  #texts;
  #notice;
  #view;
  #copy = byId('copy');

  /**
   * @param {import('./offhook.js').OffhookClient} client
   * @param {import('./interface.js').Interface} texts
   * @param {import('./notice.js').Notice} notice
   */
  constructor(client, texts, notice) {
    this.#client = client;
    this.#texts = texts;
    this.#notice = notice;
    this.#view = new TranscriptView(byId('transcript'), { phrases: texts.phrases });
    client.addEventListener('transcript', () => this.#show());
    texts.addEventListener('change', () => this.#speak());
    this.#copy.addEventListener('click', () => void this.#copyText());
    byId('download').addEventListener('click', () => this.#save());
    byId('clear').addEventListener('click', () => this.#clear());
    byId('latest').addEventListener('click', toTheEnd);
    document.addEventListener('scroll', () => this.#showLatest(), { passive: true });
  }

  get isEmpty() {
    const { utterances, tail } = this.#client.transcript;
    return !utterances.length && !tail;
  }

  #show() {
    const follow = nearTheEnd();
    this.#view.show(this.#client.transcript);
    byId('tools').hidden = !this.#client.transcript.utterances.length;
    if (follow) toTheEnd();
    this.#showLatest();
  }

  #speak() {
    this.#view.speak(this.#texts.phrases);
    this.#view.show(this.#client.transcript);
  }

  async #copyText() {
    try {
      await navigator.clipboard.writeText(this.#client.transcript.text());
      this.#texts.text(this.#copy, 'transcript.copied');
    } catch {
      this.#notice.show((phrases) => phrases.say('transcript.uncopied'));
    }
    setTimeout(() => this.#texts.text(this.#copy, 'transcript.copy'), COPIED_FOR);
  }

  #save() {
    const when = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
    save(`${this.#client.transcript.text({ times: true })}\n`, `transcript-${when}.txt`, 'text/plain');
  }

  #clear() {
    this.#client.transcript.clear();
    this.#client.dispatchEvent(new CustomEvent('transcript', { detail: { transcript: this.#client.transcript } }));
    byId('start').focus();
  }

  #showLatest() {
    byId('latest').hidden = this.isEmpty || nearTheEnd();
  }
}

function nearTheEnd() {
  const { scrollHeight, scrollTop, clientHeight } = document.documentElement;
  return scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
}

function toTheEnd() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}
