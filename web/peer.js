/**
 * One RTCPeerConnection: the microphone's track out, the channel `events` back. A new path is a new Peer.
 *
 * What happens is told as the events of the table in `signaling.js`; a peer that has been closed tells nothing more.
 */

/**
 * @typedef {object} PeerListener
 * @property {(told: import('./signaling.js').Told) => void} tell
 * @property {(text: string) => void} read A message of the channel.
 */

export class Peer {
  #pc;
  #channel;
  #sender;
  #tell;
  /** Remote descriptions and candidates are applied one after the other. @type {Promise<void>} */
  #remote = Promise.resolve();

  /**
   * @param {typeof RTCPeerConnection} RTC
   * @param {RTCIceServer[]} iceServers
   * @param {MediaStreamTrack} track
   * @param {PeerListener} listener
   */
  constructor(RTC, iceServers, track, { tell, read }) {
    this.#tell = tell;
    this.#pc = new RTC({ iceServers });
    this.#sender = this.#pc.addTransceiver(track, { direction: 'sendonly' }).sender;
    this.#channel = this.#pc.createDataChannel('events');
    this.#channel.onopen = () => this.#tell({ on: 'open' });
    this.#channel.onmessage = ({ data }) => read(data);
    this.#pc.onconnectionstatechange = () => this.#tell({ on: 'peer', state: this.#pc.connectionState });
    this.#pc.onicecandidate = ({ candidate }) => this.#gathered(candidate);
  }

  /** Make the offer and tell it; candidates follow it. */
  async offer() {
    try {
      await this.#pc.setLocalDescription();
      this.#tell({ on: 'described', sdp: this.#pc.localDescription?.sdp });
    } catch (error) {
      this.#broken(error);
    }
  }

  /** @param {string} sdp The answer. Resolves when it has been applied. */
  async accept(sdp) {
    await this.#apply(() => this.#pc.setRemoteDescription({ type: 'answer', sdp }));
  }

  /** @param {RTCIceCandidateInit | null} candidate Null: there are no more. */
  add(candidate) {
    void this.#apply(() => this.#pc.addIceCandidate(candidate ?? undefined));
  }

  /**
   * @param {Record<string, unknown>} message
   * @returns {boolean} False while the channel is not open.
   */
  send(message) {
    if (this.#channel.readyState !== 'open') return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  /** @param {MediaStreamTrack} track */
  async replaceTrack(track) {
    await this.#sender.replaceTrack(track);
  }

  /** Whether the server takes keys and this browser can send them. */
  get canDial() {
    return this.#sender.dtmf?.canInsertDTMF ?? false;
  }

  /**
   * Press keys, after those that are still being pressed.
   * @param {string} tones
   * @param {number} duration Milliseconds that each is held.
   * @param {number} gap Milliseconds between two.
   * @returns {boolean} False where they cannot be sent.
   */
  dial(tones, duration, gap) {
    const { dtmf } = this.#sender;
    if (!dtmf?.canInsertDTMF) return false;
    dtmf.insertDTMF(dtmf.toneBuffer + tones, duration, gap); // which replaces what it has not come to yet
    return true;
  }

  /** @returns {Promise<number | null>} Seconds to the server and back; null while unknown. */
  async roundTrip() {
    return roundTripOf(await this.#pc.getStats());
  }

  /** Another peer is about to take over: tell nothing more of this path, and read on as long as it holds. */
  retire() {
    this.#tell = () => {};
  }

  close() {
    this.retire();
    this.#channel.onmessage = null;
    this.#pc.close();
  }

  /** @param {RTCIceCandidate | null} found */
  #gathered(found) {
    if (found && !found.candidate) return; // the end of one generation; null, the end of all, follows
    const { candidate, sdpMid, sdpMLineIndex } = found ?? {};
    this.#tell({ on: 'gathered', candidate: found && { candidate, sdpMid, sdpMLineIndex } });
  }

  /** @param {() => Promise<void>} change */
  #apply(change) {
    return (this.#remote = this.#remote.then(change).catch((error) => this.#broken(error)));
  }

  /** @param {unknown} error What the browser says of a description or candidate that it cannot use. */
  #broken(error) {
    this.#tell({ on: 'error', failure: { code: 'bad_offer', message: String(error) } });
  }
}

/**
 * The round trip of the candidate pair in use, in seconds.
 * @param {Iterable<[string, any]>} report What getStats gave.
 * @returns {number | null}
 */
export function roundTripOf(report) {
  const stats = new Map(report);
  const all = [...stats.values()];
  const transport = all.find((one) => one.type === 'transport' && one.selectedCandidatePairId);
  const pair = transport
    ? stats.get(transport.selectedCandidatePairId)
    : all.find((one) => one.type === 'candidate-pair' && (one.selected || (one.nominated && one.state === 'succeeded')));
  return pair?.currentRoundTripTime ?? null;
}
