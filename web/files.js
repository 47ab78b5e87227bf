/**
 * Recordings to be written down: a few at a time are sent to the server, the others wait for their turn.
 *
 * The shell around `upload.js`: it owns the requests, the waits and the clock. A file that fails disturbs no other.
 */

import { couldBeKey, doorUrl } from './address.js';
import { Estimate } from './estimate.js';
import { Post } from './post.js';
import { surroundings } from './surroundings.js';
import { fraction, isUnderWay, newUpload, step } from './upload.js';

/** @typedef {import('./upload.js').Upload} Upload */
/** @typedef {import('./upload.js').Told} Told */
/**
 * @typedef {object} Entry
 * @property {File} file
 * @property {Upload} upload
 * @property {Estimate} estimate
 * @property {Post | null} post The request under way.
 * @property {ReturnType<typeof setTimeout> | undefined} timer
 */

const DOOR = 'api/transcribe/stream';
const AT_ONCE = 2;
const MOST = 100; // files in the list

/** @implements {Pick<import('./files.js').FileQueue, keyof import('./files.js').FileQueue>} */
export class FileQueue extends EventTarget {
  #options;
  /** @type {Map<number, Entry>} */
  #entries = new Map();
  #next = 1;
  /** How many may be under way: fewer than wanted once the server has shown that it has no places for more. */
  #places;

  /** @param {import('./files.js').FileOptions} [options] */
  constructor(options = {}) {
    super();
    this.#options = { atOnce: AT_ONCE, most: MOST, ...surroundings(), ...options };
    this.#places = this.#options.atOnce;
  }

  /** @param {string | undefined} token */
  set token(token) {
    this.#options = { ...this.#options, token };
  }

  get uploads() {
    return [...this.#entries.values()].map(({ upload }) => upload);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    const chosen = [...files];
    const room = Math.max(0, this.#options.most - this.#entries.size);
    for (const file of chosen.slice(0, room)) this.#add(file);
    this.#fill();
    return Math.max(0, chosen.length - room);
  }

  /** @param {number} id */
  file(id) {
    return this.#entries.get(id)?.file ?? null;
  }

  /** @param {number} id */
  left(id) {
    return this.#entries.get(id)?.estimate.left(this.#now()) ?? null;
  }

  /** @param {number} id */
  cancel(id) {
    this.#tell(id, { on: 'cancel' });
  }

  /** @param {number} id */
  retry(id) {
    this.#tell(id, { on: 'again' });
  }

  /** @param {number} id */
  remove(id) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#release(entry);
    this.#entries.delete(id);
    this.#dispatch('removed', entry.upload);
    this.#fill();
  }

  /** @param {File} file */
  #add(file) {
    const upload = newUpload(this.#next, file);
    this.#next += 1;
    this.#entries.set(upload.id, { file, upload, estimate: new Estimate(), post: null, timer: undefined });
    this.#dispatch('added', upload);
  }

  /**
   * @param {number} id
   * @param {Told} told
   */
  #tell(id, told) {
    const entry = this.#entries.get(id);
    if (!entry) return;
    const before = entry.upload;
    entry.upload = step(before, told);
    if (entry.upload === before) return;
    this.#measure(entry, before.phase);
    if (entry.upload.phase !== before.phase) this.#enter(entry);
    this.#dispatch('changed', entry.upload);
    this.#fill();
  }

  /**
   * @param {Entry} entry
   * @param {string} before Its phase.
   */
  #measure(entry, before) {
    const done = fraction(entry.upload);
    if (entry.upload.phase !== before) entry.estimate = new Estimate();
    if (done !== null) entry.estimate.tell(this.#now(), done);
  }

  /** @param {Entry} entry It has come into another phase. */
  #enter(entry) {
    const { phase } = entry.upload;
    if (phase === 'hearing') return;
    this.#release(entry);
    if (phase === 'sending') this.#post(entry);
    if (phase === 'pausing') this.#pause(entry);
  }

  /** @param {Entry} entry */
  #release(entry) {
    this.#options.timers.clearTimeout(entry.timer);
    if (entry.upload.phase === 'done' || entry.upload.phase === 'failed') entry.post?.leave();
    else entry.post?.abort();
    entry.post = null;
  }

  /** @param {Entry} entry */
  #post(entry) {
    const { url, token, request, timers } = this.#options;
    const { id } = entry.upload;
    if (!couldBeKey(token)) return queueMicrotask(() => this.#tell(id, { on: 'failed', failure: { code: 'unauthorized' } }));
    const what = { url: doorUrl(url, DOOR), file: entry.file, token, Request: request };
    entry.post = new Post(what, timers, (told) => this.#tell(id, told));
  }

  /**
   * The server has said when to come back. While it hears others of ours, that is not before one of them is done: a
   * file is sent whole before it is known whether there is a place for it.
   * @param {Entry} entry
   */
  #pause(entry) {
    const { id, failure } = entry.upload;
    const others = this.uploads.filter((upload) => upload.id !== id && isUnderWay(upload)).length;
    if (others) {
      this.#places = others;
      return this.#tell(id, { on: 'again' });
    }
    entry.timer = this.#options.timers.setTimeout(() => this.#tell(id, { on: 'begin' }), (failure?.retryAfter ?? 0) * 1000);
  }

  /** Those who wait begin, in their order, as long as there are places. */
  #fill() {
    const all = this.uploads;
    const busy = all.filter(isUnderWay).length;
    const free = this.#places - busy;
    const next = all.filter(({ phase }) => phase === 'waiting').slice(0, Math.max(0, free));
    if (!busy && !next.length) this.#places = this.#options.atOnce; // all is done: the next ones find out anew
    for (const { id } of next) this.#tell(id, { on: 'begin' });
  }

  #now() {
    return this.#options.now() / 1000;
  }

  /**
   * @param {string} name
   * @param {Upload} upload
   */
  #dispatch(name, upload) {
    this.dispatchEvent(new CustomEvent(name, { detail: { upload } }));
  }
}
