/** The microphone: opened, muted, changed for another one, closed; and how loud it is. */

/** What a browser does to the sound of a voice before it is sent. */
export const VOICE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** For tones and music: the sound as it is. */
export const RAW = { ...VOICE, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** @type {Record<string, string>} */
const FAULTS = {
  NotAllowedError: 'microphone_refused',
  SecurityError: 'microphone_refused',
  NotFoundError: 'microphone_missing',
  OverconstrainedError: 'microphone_missing',
  NotReadableError: 'microphone_busy',
  AbortError: 'microphone_busy',
};

/**
 * @param {unknown} error What getUserMedia was rejected with.
 * @returns {import('./signaling.js').Failure}
 */
export function microphoneFailure(error) {
  const name = error instanceof Error ? error.name : '';
  return { code: FAULTS[name] ?? 'microphone_failed', message: String(error) };
}

/**
 * Open a microphone.
 * @param {MediaDevices} media
 * @param {MediaTrackConstraints} constraints
 * @param {string} [deviceId] Empty: the one the browser prefers.
 */
export async function openMicrophone(media, constraints, deviceId = '') {
  const audio = deviceId ? { ...constraints, deviceId: { exact: deviceId } } : constraints;
  const stream = await media.getUserMedia({ audio });
  return stream.getAudioTracks()[0];
}

/**
 * The microphones there are. Before the first permission a browser gives them neither names nor ids.
 * @param {MediaDevices} media
 */
export async function microphones(media) {
  const devices = await media.enumerateDevices();
  return devices.filter(({ kind, deviceId }) => kind === 'audioinput' && deviceId);
}

/** How loud a track is, measured by the browser's own analyser, a window of 2048 samples at a time. */
export class LevelMeter {
  #context;
  #analyser;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  #samples;

  /** @param {typeof AudioContext} Context */
  constructor(Context) {
    this.#context = new Context();
    this.#analyser = this.#context.createAnalyser();
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  /** @param {MediaStreamTrack} track What is listened to from now on. */
  listen(track) {
    this.#source?.disconnect();
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    void this.#context.resume(); // a browser may begin it suspended
  }

  /** The loudness now, 0 (silence) to 1 (full scale). */
  read() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return levelOf(this.#samples);
  }

  async close() {
    await this.#context.close();
  }
}

/**
 * Samples to a level as an ear hears it: decibels, from -60 (0) to full scale (1).
 * @param {Float32Array} samples
 */
export function levelOf(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / (samples.length || 1);
  const decibels = 10 * Math.log10(power || 1e-12);
  return Math.min(1, Math.max(0, (decibels + 60) / 60));
}
