/**
 * One file posted, and the answer read while it comes.
 *
 * By XMLHttpRequest, since fetch does not tell how much of a body has been sent. What happens is told as the events of
 * the table in `upload.js`; a request that was aborted tells nothing more.
 */

import { EventStream } from './sse.js';
import { parsed, refusalIn } from './told.js';

/** @typedef {import('./upload.js').Told} Told */

const SILENCE = 60_000; // milliseconds without a byte either way; the server says something every 15 s
const PART = 'file';
const EVENTS = new Set(['metadata', 'heard', 'progress', 'complete', 'error']); // the server's that the table knows

export class Post {
  #request;
  #file;
  #tell;
  #timers;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;
  #events = new EventStream();
  #read = 0;
  #moved = false;

  /**
   * @param {{url: string, file: File, token?: string, Request: typeof XMLHttpRequest}} what
   * @param {import('./offhook.js').Timers} timers
   * @param {(told: Told) => void} tell
   */
  constructor({ url, file, token, Request }, timers, tell) {
    this.#file = file;
    this.#tell = tell;
    this.#timers = timers;
    this.#request = new Request();
    this.#request.upload.onprogress = ({ loaded, total }) => this.#sent(loaded, total);
    this.#request.upload.onload = () => this.#tell({ on: 'received' });
    this.#request.onprogress = () => this.#take();
    this.#request.onload = () => this.#ended();
    this.#request.onerror = () => void this.#failed();
    this.#request.open('POST', url);
    if (token) this.#request.setRequestHeader('Authorization', `Bearer ${token}`);
    this.#request.setRequestHeader('Accept', 'text/event-stream');
    const form = new FormData();
    form.append(PART, file, file.name);
    this.#request.send(form);
    this.#alive();
  }

  /** Nobody listens any more: the server is told by the end of the connection. */
  abort() {
    this.leave();
    this.#request.abort();
  }

  /** All that matters has been told; the request ends by itself. */
  leave() {
    this.#timers.clearTimeout(this.#silence);
    this.#tell = () => {};
    this.#request.onprogress = null;
  }

  /**
   * @param {number} loaded
   * @param {number} total
   */
  #sent(loaded, total) {
    this.#alive();
    this.#moved ||= loaded > 0;
    this.#tell({ on: 'sent', part: total ? loaded / total : 0 });
  }

  /** What has come of the answer since the last time. */
  #take() {
    this.#alive();
    if (this.#request.status !== 200) return;
    const text = this.#request.responseText.slice(this.#read);
    this.#read += text.length;
    for (const { event, data } of this.#events.feed(text)) this.#hear(event, parsed(data));
  }

  /**
   * @param {string} event
   * @param {{[key: string]: any} | null} fields
   */
  #hear(event, fields) {
    if (EVENTS.has(event)) this.#tell(fields ? { ...fields, on: event } : { on: 'failed', failure: { code: 'bad_message' } });
  }

  #ended() {
    const { status, responseText } = this.#request;
    if (status === 200) {
      this.#take();
      this.#finish({ on: 'closed' });
    } else {
      const failure = refusalIn(status, responseText, this.#request.getResponseHeader('Retry-After'));
      this.#finish({ on: 'failed', failure });
    }
  }

  /** The browser does not say why: the network, the server, or a file that is no longer what was chosen. */
  async #failed() {
    this.#timers.clearTimeout(this.#silence);
    const readable = await this.#file.slice(0, 1).arrayBuffer().then(() => true, () => false);
    const lost = this.#moved ? 'connection_lost' : 'unreachable';
    this.#finish({ on: 'failed', failure: { code: readable ? lost : 'unreadable_file' } });
  }

  #alive() {
    this.#timers.clearTimeout(this.#silence);
    this.#silence = this.#timers.setTimeout(() => this.#stuck(), SILENCE);
  }

  #stuck() {
    this.#finish({ on: 'failed', failure: { code: 'connection_lost' } });
    this.#request.abort();
  }

  /** @param {Told} told The last thing that is told. */
  #finish(told) {
    const tell = this.#tell;
    this.leave();
    tell(told);
  }
}
