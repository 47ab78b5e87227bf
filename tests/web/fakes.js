/** A browser without one: socket, peer connection, microphone and timers in the real ones' shape, driven by hand. */

export class FakeSocket {
  /** @type {FakeSocket[]} */
  static made = [];
  /** @type {Record<string, any>[]} */
  sent = [];
  /** @type {number | null} */
  closed = null;
  readyState = 0;
  onopen = () => {};
  onmessage = (/** @type {{data: string}} */ _event) => {};
  onclose = (/** @type {{code: number}} */ _event) => {};

  /**
   * @param {string} url
   * @param {string[]} protocols
   */
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    FakeSocket.made.push(this);
  }

  /** @param {string} text */
  send(text) {
    if (this.readyState === 0) throw new DOMException('Still in CONNECTING state.', 'InvalidStateError');
    this.sent.push(JSON.parse(text));
  }

  opens() {
    this.readyState = 1;
    this.onopen();
  }

  /** @param {number} code */
  close(code) {
    this.closed = code;
  }

  /** The server says this. @param {Record<string, any>} message */
  says(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }

  /** The server greets. @param {string} session */
  greets(session, token = `token of ${session}`) {
    this.opens();
    this.says({ type: 'ready', session, resume_token: token, ice_servers: [] });
  }
}

export class FakePeerConnection {
  /** @type {FakePeerConnection[]} */
  static made = [];
  connectionState = 'new';
  /** @type {{sdp: string} | null} */
  localDescription = null;
  /** @type {any[]} */
  remote = [];
  /** @type {any[]} */
  tracks = [];
  closed = false;
  dtmf = new FakeKeypad();
  onconnectionstatechange = () => {};
  onicecandidate = (/** @type {{candidate: any}} */ _event) => {};
  channel = new FakeChannel();

  constructor() {
    FakePeerConnection.made.push(this);
  }

  /** @param {any} track */
  addTransceiver(track) {
    this.tracks.push(track);
    const replaceTrack = async (/** @type {any} */ next) => void this.tracks.push(next);
    return { sender: { replaceTrack, dtmf: this.dtmf } };
  }

  createDataChannel() {
    return this.channel;
  }

  async setLocalDescription() {
    this.localDescription = { sdp: `offer ${FakePeerConnection.made.length}` };
  }

  /** @param {any} description */
  async setRemoteDescription(description) {
    this.remote.push(description);
  }

  /** @param {any} candidate */
  async addIceCandidate(candidate) {
    this.remote.push(candidate);
  }

  async getStats() {
    return [['p', { type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.05 }]];
  }

  close() {
    this.closed = true;
  }

  /** @param {string} state */
  becomes(state) {
    this.connectionState = state;
    this.onconnectionstatechange();
  }
}

/** An RTCDTMFSender that is still at its first key. */
class FakeKeypad {
  canInsertDTMF = true;
  toneBuffer = '';
  /** @type {number[]} */
  times = [];

  /**
   * @param {string} tones
   * @param {number[]} times Milliseconds: how long each is held, and the gap between two.
   */
  insertDTMF(tones, ...times) {
    this.toneBuffer = tones;
    this.times = times;
  }
}

class FakeChannel {
  readyState = 'connecting';
  /** @type {Record<string, any>[]} */
  sent = [];
  onopen = () => {};
  onmessage = (/** @type {{data: string}} */ _event) => {};

  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }

  opens() {
    this.readyState = 'open';
    this.onopen();
  }

  /** @param {Record<string, any>} message */
  says(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

class FakeTrack {
  enabled = true;
  stopped = false;
  onended = () => {};

  stop() {
    this.stopped = true;
  }
}

/** Microphones that are given, or refused with the error named. */
export class FakeMedia {
  /** @type {FakeTrack[]} */
  tracks = [];
  /** @type {any[]} */
  asked = [];
  refusal = '';

  /** @param {any} constraints */
  async getUserMedia(constraints) {
    this.asked.push(constraints);
    if (this.refusal) throw new DOMException('no', this.refusal);
    const track = new FakeTrack();
    this.tracks.push(track);
    return { getAudioTracks: () => [track] };
  }

  async enumerateDevices() {
    return [
      { kind: 'audioinput', deviceId: 'm1', label: 'One' },
      { kind: 'audioinput', deviceId: '', label: '' },
      { kind: 'videoinput', deviceId: 'v1', label: 'Camera' },
    ];
  }
}

/** An XMLHttpRequest whose server is the test. */
export class FakeRequest {
  /** @type {FakeRequest[]} */
  static made = [];
  status = 0;
  responseText = '';
  url = '';
  aborted = false;
  /** @type {Record<string, string>} */
  headers = {};
  /** @type {FormData | null} */
  body = null;
  /** @type {Record<string, string>} */
  answered = {};
  upload = { onprogress: (/** @type {any} */ _event) => {}, onload: () => {} };
  onload = () => {};
  onerror = () => {};
  /** @type {(() => void) | null} */
  onprogress = null;

  constructor() {
    FakeRequest.made.push(this);
  }

  /**
   * @param {string} _method
   * @param {string} url
   */
  open(_method, url) {
    this.url = url;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  /** @param {FormData} body */
  send(body) {
    this.body = body;
  }

  abort() {
    this.aborted = true;
  }

  /** @param {string} name */
  getResponseHeader(name) {
    return this.answered[name] ?? null;
  }

  /** The server says this. @param {string} event @param {Record<string, any>} fields */
  says(event, fields) {
    this.comes(`event: ${event}\r\ndata: ${JSON.stringify(fields)}\r\n\r\n`);
  }

  /** @param {string} text A piece of the answer. */
  comes(text) {
    this.status = 200;
    this.responseText += text;
    this.onprogress?.();
  }

  /** @param {number} status @param {Record<string, any>} problem @param {Record<string, string>} [headers] */
  refuses(status, problem, headers = {}) {
    this.status = status;
    this.responseText = JSON.stringify(problem);
    this.answered = headers;
    this.onload();
  }
}

/** Timers that fire when they are told to. */
export class FakeTimers {
  /** @type {{call: () => void, after: number} | null} */
  timer = null;
  /** @type {Map<number, () => void>} */
  beats = new Map();

  setTimeout = (/** @type {() => void} */ call, /** @type {number} */ after) => {
    this.timer = { call, after };
    return this.timer;
  };

  clearTimeout = (/** @type {any} */ timer) => {
    if (timer === this.timer) this.timer = null;
  };

  setInterval = (/** @type {() => void} */ call, /** @type {number} */ every) => {
    this.beats.set(every, call);
    return every;
  };

  clearInterval = (/** @type {number} */ every) => this.beats.delete(every);

  fires() {
    const due = this.timer;
    this.timer = null;
    due?.call();
  }
}

/** Let every promise that is ready go on. */
export async function settled() {
  await new Promise((resolve) => setImmediate(resolve));
}
