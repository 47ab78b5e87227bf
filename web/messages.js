/**
 * Every failure as a sentence that says what to do. Pure. The codes are the server's, and those that only a browser
 * can find out: the microphone, the secure origin, the lost connection.
 */

/** @typedef {import('./signaling.js').Failure} Failure */

/** What happened and, where pressing Start again is not enough, what to do. @type {Record<string, [string, string?]>} */
const SENTENCES = {
  microphone_refused: [
    'The browser did not allow the microphone.',
    'Allow it in the address bar or in the settings for this site, then press Start.',
  ],
  microphone_missing: ['No microphone was found.', 'Plug one in or switch it on, then press Start.'],
  microphone_busy: ['Another program is using the microphone.', 'Close that program, then press Start.'],
  microphone_lost: ['The microphone went away.', 'Plug it in again or choose another one, then press Start.'],
  microphone_failed: ['The microphone could not be opened.', 'Choose another one, or restart the browser.'],
  insecure_origin: [
    'Browsers give the microphone to secure pages only.',
    'Open this page with https:// or, on the computer that runs the server, as http://localhost.',
  ],
  unsupported: ['This browser cannot make calls.', 'Use a current Firefox, Chrome, Edge or Safari.'],
  busy: ['All lines are busy.'],
  drain: ['The server is restarting.'],
  draining: ['The server is about to restart.'],
  too_many_requests: ['Too many calls come from here, or with this key.', 'Wait a minute, then press Start.'],
  engine_down: ['The speech recognizer has stopped and is being restarted.'],
  internal: ['Something went wrong on the server.'],
  slow_reader: ['This browser could not keep up with the words.'],
  unknown_session: ['The server no longer knows this call; the transcript goes on in a new one.'],
  lost: ['The connection was lost.'],
  connection_lost: ['The connection was lost.', 'Check the network, then press Start.'],
  unreachable: ['The server cannot be reached.', 'Check the address and the network, then press Start.'],
  never_connected: [
    'The server answers, but sound cannot reach it: something on the way blocks UDP.',
    'Try another network, or ask the operator for a TURN server.',
  ],
  unauthorized: ['This server asks for a key, and the right one was not given.', 'Enter the key, then press Start.'],
  forbidden_origin: ['The server does not take calls from this site.', 'Ask its operator to allow this address.'],
  bad_offer: ['The server could not use what this browser offered.', 'Update the browser, then try again.'],
  bad_candidate: ['The server could not use a network address of this browser.', 'Try another network, then press Start.'],
  bad_audio: ['The server could not read the sound that was sent.', 'Reload the page.'],
  unreadable: ['This page and the server do not understand each other.', 'Reload the page.'],
  length_required: ['The server has to know beforehand how much is sent.', 'Use another browser.'],
  no_room: ['The server has no room for the file now.', 'Try again in a minute.'],
  empty: ['The file is empty.', 'Choose another one.'],
  unknown_format: ['The server does not know what kind of file this is.', 'Choose a recording, such as WAV, MP3 or Ogg.'],
  no_audio: ['There is no sound in the file.', 'Choose another one.'],
  damaged: ['The file is damaged.', 'Choose another one.'],
  too_costly: ['The file takes too much to decode.', 'Convert it to WAV or MP3 first.'],
  too_long: ['The recording is too long.', 'Cut it into shorter ones.'],
  request_timeout: ['What was sent came too slowly.', 'Try another network, then press Start.'],
  bad_message: ['This page and the server do not understand each other.', 'Reload the page.'],
  out_of_order: ['This page and the server got out of step.', 'Reload the page.'],
  too_large: ['The server found a message too large.', 'Reload the page.'],
};

/** @type {Record<string, string>} */
const ENDINGS = {
  idle: 'No sound came for a while, so the call has ended. Press Start to go on.',
  no_speech: 'Nobody has spoken for a while, so the call has ended. Press Start to go on.',
  max_session: 'The call reached the longest time the server allows. Press Start to go on.',
  closed: 'The server has ended the call. Press Start to go on.',
};

/** The least mean opinion score for each word, as ITU-T G.107 annex B has them. @type {[number, string][]} */
const LINES = [[4.03, 'Good'], [3.6, 'Fair'], [2.58, 'Poor']];
const WORST = /** @type {const} */ ([0, 'Bad']);

/**
 * What to tell the person.
 * @param {Failure} failure
 * @param {{retrying?: boolean}} [options] `retrying`: it is tried again without anybody's help.
 */
export function sentence(failure, { retrying = false } = {}) {
  const [says, remedy = 'Press Start to try again.'] = Object.hasOwn(SENTENCES, failure.code)
    ? SENTENCES[failure.code]
    : [failure.message || `The server refused the call (${failure.code}).`];
  return `${says} ${retrying ? again(failure) : remedy}`;
}

/**
 * Where a caller stands who waits for a line.
 * @param {number} position 1 for the first.
 */
export function inLine(position) {
  return position === 1 ? 'Next in line' : `Number ${position} in line`;
}

/**
 * Why a call ended, where that is worth a sentence; empty where the person ended it, or an error has said it already.
 * @param {string} reason
 */
export function ending(reason) {
  return Object.hasOwn(ENDINGS, reason) ? ENDINGS[reason] : '';
}

/**
 * How good the line is, in words: `Good line`, or `Fair line, 5 % lost and repaired`.
 * @param {{mos: number, loss: number, repaired: number}} quality What the server measured.
 */
export function line({ mos, loss, repaired }) {
  const [, word] = LINES.find(([least]) => mos >= least) ?? WORST;
  const lost = Math.round(loss * 100);
  return lost ? `${word} line, ${lost} % lost${mended(repaired / loss)}` : `${word} line`;
}

/** @param {number} part How much of what was lost is whole again. */
function mended(part) {
  if (part > 0.95) return ' and repaired';
  return part > 0.5 ? ' and mostly repaired' : '';
}

/** @param {Failure} failure */
function again({ code, retryAfter }) {
  if (retryAfter === undefined) return 'Reconnecting…';
  const seconds = Math.max(1, Math.ceil(retryAfter));
  const wait = seconds === 1 ? 'a second' : `${seconds} seconds`;
  return code === 'busy' ? `A line is tried again in ${wait}.` : `It goes on by itself in ${wait}.`;
}
