/** The voice of a call: the microphone that is heard, whether it is muted, and how loud it is. */

import { LevelMeter, openMicrophone, VOICE } from './microphone.js';

export class Voice {
  #options;
  #whenLost;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {LevelMeter | null} */
  #meter = null;
  #muted = false;

  /**
   * @param {Pick<import('./offhook.js').ClientOptions, 'media' | 'audio' | 'constraints'>} options
   * @param {() => void} whenLost The microphone was unplugged.
   */
  constructor(options, whenLost) {
    this.#options = options;
    this.#whenLost = whenLost;
  }

  /** What is heard; null while nothing is. */
  get track() {
    return this.#track;
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  /** 0 (silence) to 1; null while nothing is heard. */
  get level() {
    if (!this.#meter) return null;
    return this.#muted ? 0 : this.#meter.read();
  }

  /**
   * Open a microphone, which is not heard yet. Rejects with what the browser says.
   * @param {string} [deviceId] Empty: the one the browser prefers.
   */
  async open(deviceId) {
    const { media, constraints = VOICE } = this.#options;
    return openMicrophone(/** @type {MediaDevices} */ (media), constraints, deviceId);
  }

  /** @param {MediaStreamTrack} track From now on this is the voice. */
  hear(track) {
    this.#track?.stop();
    this.#track = track;
    track.enabled = !this.#muted;
    track.onended = () => this.#lost();
    const { audio } = this.#options;
    if (audio) (this.#meter ??= new LevelMeter(audio)).listen(track);
  }

  /** Let the microphone go, so that the browser's sign for it goes out. */
  silence() {
    if (this.#track) this.#track.onended = null;
    this.#track?.stop();
    this.#track = null;
    void this.#meter?.close();
    this.#meter = null;
  }

  #lost() {
    this.#track = null;
    this.#whenLost();
  }
}
