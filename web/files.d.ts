/** The public types of `files.js`. Times are seconds; times of words are seconds of the recording. */

import type { Timers } from './offhook.js';
import type { Upload } from './upload.js';

export type { Upload } from './upload.js';

export interface FileOptions {
  /** The server's address, such as `https://voice.example`. Left out: the page's own. */
  url?: string;
  /** A key, or a short-lived token made from one. */
  token?: string;
  /** Files that are sent and heard at the same time: 2 when left out. The others wait. */
  atOnce?: number;
  /** Files that the list holds at most: 100 when left out. */
  most?: number;

  /** For tests, each in place of what the browser has. */
  request?: typeof XMLHttpRequest;
  timers?: Timers;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

export interface FileEvents {
  added: CustomEvent<{ upload: Upload }>;
  /** Its phase, its progress or its words are others now. */
  changed: CustomEvent<{ upload: Upload }>;
  removed: CustomEvent<{ upload: Upload }>;
}

export class FileQueue extends EventTarget {
  constructor(options?: FileOptions);
  /** The key that the next files are sent with. */
  set token(token: string | undefined);
  /** All files, in the order in which they were added, each as it is now: an Upload never changes. */
  readonly uploads: Upload[];
  /** Take files in. How many were not taken, since the list is full. */
  add(files: Iterable<File>): number;
  /** The file itself, for a player. */
  file(id: number): File | null;
  /** Seconds until what it is doing is done, sending or hearing; null while that cannot be said. */
  left(id: number): number | null;
  cancel(id: number): void;
  /** Once more, from the start: for one that failed or was cancelled. */
  retry(id: number): void;
  /** Cancel it, and forget it. */
  remove(id: number): void;
  addEventListener<K extends keyof FileEvents>(
    type: K,
    listener: (event: FileEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
