/** What a server says, on its socket, its channel and in its refusals, as what the tables of this folder are told. Pure. */

/** @typedef {import('./signaling.js').Failure} Failure */
/** @typedef {import('./signaling.js').Told} Told */

/** @type {Record<number, string>} */
const REFUSED = { 401: 'unauthorized', 403: 'forbidden_origin', 429: 'too_many_requests', 503: 'busy' };

/** @param {string} text @returns {{[key: string]: any} | null} Null where it is no JSON object. */
export function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === 'object' ? value : null;
  } catch {
    return null; // the callers say what that means
  }
}

/** @param {string} text @returns {import('./transcript.js').TranscriptEvent | null} Null where it is no message. */
export function messageIn(text) {
  const message = parsed(text);
  return message && typeof message.type === 'string' ? { ...message, type: message.type } : null;
}

/** @param {string} text One message of the signal socket. @returns {Told} */
export function toldBy(text) {
  const message = messageIn(text);
  if (!message) return { on: 'error', failure: { code: 'bad_message' } };
  return message.type === 'error' ? errorTold(message) : { ...message, on: message.type };
}

/** @param {{[key: string]: any}} message @returns {Told} */
export function errorTold({ code, message, retry_after: retryAfter }) {
  return { on: 'error', failure: { code, message, retryAfter } };
}

/**
 * What a plain HTTP request was refused with (RFC 9457).
 * @param {number} status
 * @param {string} body
 * @param {string | null} wait Its Retry-After.
 * @returns {Failure}
 */
export function refusalIn(status, body, wait) {
  const problem = parsed(body);
  const code = problem?.code || REFUSED[status] || (status < 500 ? 'bad_message' : 'unreachable'); // a proxy's, perhaps
  const seconds = Number(wait);
  return { code, message: problem?.detail, retryAfter: seconds > 0 ? seconds : undefined };
}

/** @param {number} status Whether a signal socket is refused with it; any other is not about the call. */
export function refusesCalls(status) {
  return status in REFUSED;
}
