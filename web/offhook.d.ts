/** The public types of `offhook.js`. Times are seconds; times of words are seconds of the transcript. */

import type { Transcript, TranscriptEvent } from './transcript.js';

export { Transcript } from './transcript.js';

/** What sentences are written in. */
export type Language = 'en' | 'fr' | 'es';

/** `asking`: for the microphone. `waiting`: for a free line, or as long as the server said. */
export type ClientState = 'idle' | 'asking' | 'connecting' | 'live' | 'waiting' | 'reconnecting' | 'finishing' | 'ended';

export interface Timers {
  setTimeout(call: () => void, milliseconds: number): ReturnType<typeof setTimeout>;
  clearTimeout(timer: ReturnType<typeof setTimeout> | undefined): void;
  setInterval(call: () => void, milliseconds: number): ReturnType<typeof setInterval>;
  clearInterval(timer: ReturnType<typeof setInterval> | undefined): void;
}

export interface ClientOptions {
  /** The server's address, such as `https://voice.example`. Left out: the page's own. */
  url?: string;
  /** A key, or a short-lived token made from one. */
  token?: string;
  /** How the microphone is opened; `VOICE` when left out. */
  constraints?: MediaTrackConstraints;
  /** What errors are told in; `en` when left out. */
  language?: Language;
  /** How a lost connection is tried again: `attempts` times (20), after `first` seconds (0.5), doubling up to `most` (8). */
  reconnect?: { attempts?: number; first?: number; most?: number };

  /** For tests, each in place of what the browser has. */
  rtc?: typeof RTCPeerConnection;
  socket?: typeof WebSocket;
  media?: MediaDevices;
  audio?: typeof AudioContext;
  fetch?: (url: string, init?: RequestInit) => Promise<Response>;
  timers?: Timers;
  secure?: boolean;
  random?: () => number;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

export interface ClientError {
  code: string;
  /** A sentence, in the client's language, that says what to do. */
  message: string;
  /** The same in another language. */
  say(language: Language): string;
  /** Seconds until it is tried again by itself; null when it is not. */
  retryAfter: number | null;
  /** Whether it ends the call. */
  fatal: boolean;
}

/** Fractions are of the packets sent; times are seconds. */
export interface Quality {
  seq: number;
  /** Lost on the way, before any repair. */
  loss: number;
  /** Lost, and whole again from what later packets repeat. */
  repaired: number;
  /** Came when their place had been given up. */
  late: number;
  /** Came out of order, and in time. */
  reordered: number;
  /** Sound that was made up in place of what was lost. */
  concealed: number;
  jitter: number;
  /** Null while unknown. */
  round_trip: number | null;
  /** What people would think of the line: 1 (bad) to 4.4. */
  mos: number;
}

export interface ClientEvents {
  state: CustomEvent<{ state: ClientState }>;
  word: CustomEvent<{ text: string; start: number; latency?: number; seq: number }>;
  partial: CustomEvent<{ text: string; seq: number }>;
  pause: CustomEvent<{ at: number; seq: number }>;
  missed: CustomEvent<{ start: number; stop: number; seq: number }>;
  /** A key was pressed, by `dial` or by another telephone behind this call. */
  digit: CustomEvent<{ digit: string; at: number; duration: number; seq: number }>;
  mark: CustomEvent<{ id: number; seq: number }>;
  /** How the line was in the last two seconds, by what the server received. */
  quality: CustomEvent<Quality>;
  /** 20 times a second while the microphone is open: 0 (silence) to 1. */
  level: CustomEvent<{ level: number }>;
  /** Every 2 s while live; null while unknown. */
  stats: CustomEvent<{ roundTrip: number | null; wordLatency: number | null }>;
  /** All lines are taken: where this call stands among those who wait, 1 for the next. It may come several times. */
  queued: CustomEvent<{ position: number }>;
  /** The server will end this connection in so many seconds. */
  closing: CustomEvent<{ in: number }>;
  error: CustomEvent<ClientError>;
  /** The transcript has changed. */
  transcript: CustomEvent<{ transcript: Transcript }>;
  ended: CustomEvent<{ reason: string }>;
}

export class OffhookClient extends EventTarget {
  constructor(options?: ClientOptions);
  /** What was said so far; it outlives sessions and connections. */
  transcript: Transcript;
  readonly state: ClientState;
  readonly muted: boolean;
  /** Whether a call is under way, from asking for the microphone to the last word. */
  readonly active: boolean;
  /** The key that the next connection shows. */
  set token(token: string | undefined);
  /** What the sentences of the next errors are written in. */
  set language(language: Language);
  /** Open the microphone and call. Resolves when the calling has begun; what goes wrong is told as `error`. */
  start(options?: { deviceId?: string }): Promise<void>;
  /** No more sound: the last words come (5 s at most), then the call ends. A second call ends it at once. */
  stop(): Promise<void>;
  mute(muted: boolean): void;
  /** Say the words that are still inside the recognizer's delay. False when there is no open channel. */
  flush(): boolean;
  /** Forget what is being recognized. False when there is no open channel. */
  clear(): boolean;
  /** Ask for a `mark` event once everything said so far has been told. False when there is no open channel. */
  mark(id: number): boolean;
  /** Whether `dial` can press keys now: the call is live, the server takes them and this browser can send them. */
  readonly canDial: boolean;
  /**
   * Press keys of a telephone: 0 to 9, *, #, A to D; a comma waits 2 s. Each is held for `duration` (0.1 s), with `gap`
   * (0.07 s) between two; those that are still being pressed come first. False where keys cannot be sent now. Throws
   * the browser's InvalidCharacterError for any other character.
   */
  dial(tones: string, options?: { duration?: number; gap?: number }): boolean;
  /** The microphones there are; named only after the first permission. */
  devices(): Promise<MediaDeviceInfo[]>;
  /** Use this microphone, now and for the next calls. */
  setDevice(deviceId: string): Promise<void>;
  addEventListener<K extends keyof ClientEvents>(
    type: K,
    listener: (event: ClientEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Why a call ended, as a sentence; empty where the person ended it or an error has said it already. */
export function ending(reason: string, language?: Language): string;
/** Where a caller stands who waits for a line, in words. */
export function inLine(position: number, language?: Language): string;
/** The signal socket's address, from the server's. */
export function signalUrl(url: string | undefined): string;
/** What the browser does to a voice: echo and noise removed, level kept even. */
export const VOICE: MediaTrackConstraints;
/** The sound as it is, for tones and music. */
export const RAW: MediaTrackConstraints;

export type { TranscriptEvent };
