/** The page: what the client tells goes into the document, what a person does goes to the client. DOM only. */

import { Keypad } from './keypad.js';
import { LineNow } from './line.js';
import { ending, inLine, OffhookClient, RAW, VOICE } from './offhook.js';
import { TranscriptView } from './render.js';

/** @typedef {import('./offhook.js').ClientState} ClientState */
/** @typedef {import('./offhook.js').ClientError} ClientError */

/** @type {Record<ClientState, string>} */
const STATES = {
  idle: 'Ready',
  asking: 'Waiting for the microphone',
  connecting: 'Connecting',
  live: 'Listening',
  waiting: 'Waiting for a line',
  reconnecting: 'Reconnecting',
  finishing: 'Last words',
  ended: 'Ready',
};

const NEAR_THE_END = 120; // pixels from the bottom within which new words are followed
const COPIED_FOR = 1600; // milliseconds

const start = /** @type {HTMLButtonElement} */ (byId('start'));
const mute = /** @type {HTMLButtonElement} */ (byId('mute'));
const device = /** @type {HTMLSelectElement} */ (byId('device'));
const copy = /** @type {HTMLButtonElement} */ (byId('copy'));
const key = /** @type {HTMLInputElement} */ (byId('key'));

const options = new URLSearchParams(location.search);
const client = new OffhookClient({
  token: takeKey(),
  constraints: options.get('processing') === 'off' ? RAW : VOICE,
});
const keypad = new Keypad(
  /** @type {HTMLFieldSetElement} */ (byId('keypad')),
  /** @type {HTMLButtonElement} */ (byId('dial')),
  (pressed) => client.dial(pressed),
);
const view = new TranscriptView(byId('transcript'));
const lineNow = new LineNow(() => performance.now() / 1000);

client.addEventListener('state', ({ detail }) => showState(detail.state));
client.addEventListener('queued', ({ detail }) => label(byId('status'), inLine(detail.position)));
client.addEventListener('transcript', showTranscript);
client.addEventListener('level', ({ detail }) => showLevel(detail.level));
client.addEventListener('stats', ({ detail }) => showFigures(detail));
client.addEventListener('quality', ({ detail }) => lineNow.tell(detail));
client.addEventListener('error', ({ detail }) => showError(detail));
client.addEventListener('closing', ({ detail }) => showClosing(detail.in));
client.addEventListener('ended', ({ detail }) => showEnding(detail.reason));

start.addEventListener('click', () => void toggle());
mute.addEventListener('click', toggleMute);
device.addEventListener('change', () => void client.setDevice(device.value));
copy.addEventListener('click', () => void copyText());
byId('download').addEventListener('click', saveText);
byId('clear').addEventListener('click', clearTranscript);
byId('latest').addEventListener('click', toTheEnd);
byId('keyform').addEventListener('submit', useKey);
document.addEventListener('keydown', shortcut);
document.addEventListener('scroll', showLatest, { passive: true });
window.addEventListener('hashchange', () => newKey(takeKey()));
navigator.mediaDevices?.addEventListener?.('devicechange', () => void listDevices());
void listDevices();

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** The key of `#key=…`, taken out of the address bar so that it is neither seen nor shared. */
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get('key');
  if (given !== null) history.replaceState(null, '', location.pathname + location.search);
  return given || undefined;
}

/** @param {string | undefined} given */
function newKey(given) {
  if (given) client.token = given;
}

async function toggle() {
  if (client.active) return client.stop();
  newKey(key.value.trim());
  key.value = '';
  say('');
  await client.start({ deviceId: device.value });
  await listDevices(); // a browser names them once one has been allowed
}

function toggleMute() {
  client.mute(!client.muted);
  mute.setAttribute('aria-pressed', String(client.muted));
  showStatus();
}

/** @param {ClientState} state */
function showState(state) {
  document.body.dataset.state = state;
  byId('status').dataset.state = state;
  const { active } = client;
  label(start, active ? (state === 'finishing' ? 'Stopping' : 'Stop') : 'Start');
  start.setAttribute('aria-pressed', String(active));
  mute.disabled = !active;
  keypad.enable(client.canDial);
  if (!active) keypad.show(false);
  showStatus();
  if (state === 'live') say('');
  else lineNow.forget();
  if (!active) showLevel(0);
}

function showStatus() {
  const muted = client.state === 'live' && client.muted;
  label(byId('status'), muted ? 'Muted' : STATES[client.state]);
}

/**
 * @param {Element} element
 * @param {string} text
 */
function label(element, text) {
  /** @type {Element} */ (element.querySelector('.label')).textContent = text;
}

function showTranscript() {
  const { transcript } = client;
  const follow = nearTheEnd();
  view.show(transcript);
  const empty = !transcript.utterances.length;
  byId('welcome').hidden = !empty || Boolean(transcript.tail);
  byId('tools').hidden = empty;
  if (follow) toTheEnd();
  showLatest();
}

/** @param {number} level */
function showLevel(level) {
  document.documentElement.style.setProperty('--loud', level.toFixed(3));
  byId('level').setAttribute('aria-valuenow', String(Math.round(level * 100)));
}

/** @param {{roundTrip: number | null, wordLatency: number | null}} figures Seconds. */
function showFigures({ roundTrip, wordLatency }) {
  const parts = [
    lineNow.text,
    roundTrip === null ? '' : `Round trip ${Math.round(roundTrip * 1000)} ms`,
    wordLatency === null ? '' : `Words after ${wordLatency.toFixed(1)} s`,
  ];
  byId('figures').textContent = parts.filter(Boolean).join(' · ') || '\u00a0';
}

/** @param {ClientError} error */
function showError({ code, message, retryAfter }) {
  say(message, { wait: retryAfter, askKey: code === 'unauthorized' });
}

/** @param {number} seconds */
function showClosing(seconds) {
  say(`The server will end this call in ${Math.round(seconds)} seconds. Your words stay on this page.`);
}

/** @param {string} reason */
function showEnding(reason) {
  const text = ending(reason);
  if (text) say(text);
}

/**
 * @param {string} text Empty: there is nothing to say.
 * @param {{wait?: number | null, askKey?: boolean}} [more]
 */
function say(text, { wait = null, askKey = false } = {}) {
  const notice = byId('notice');
  byId('message').textContent = text;
  byId('keyform').hidden = !askKey;
  notice.hidden = !text;
  notice.classList.remove('counting');
  if (wait === null) return;
  notice.style.setProperty('--wait', `${wait}s`);
  void notice.offsetWidth; // without a layout between them the animation would not begin anew
  notice.classList.add('counting');
}

/** @param {Event} event */
function useKey(event) {
  event.preventDefault();
  void toggle();
}

async function listDevices() {
  const found = await client.devices();
  const chosen = device.value;
  const choices = found.map(({ deviceId, label: name }, index) => new Option(name || `Microphone ${index + 1}`, deviceId));
  device.replaceChildren(new Option('Default microphone', ''), ...choices.filter(({ value }) => value !== 'default'));
  device.value = found.some(({ deviceId }) => deviceId === chosen) ? chosen : '';
}

async function copyText() {
  try {
    await navigator.clipboard.writeText(client.transcript.text());
    copy.textContent = 'Copied';
  } catch {
    say('The browser did not allow copying. Use Download, or select the text and copy it by hand.');
  }
  setTimeout(() => (copy.textContent = 'Copy'), COPIED_FOR);
}

function saveText() {
  const file = new Blob([client.transcript.text({ times: true }), '\n'], { type: 'text/plain;charset=utf-8' });
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = `transcript-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.txt`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function clearTranscript() {
  client.transcript.clear();
  showTranscript();
  start.focus();
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  const { target, key: pressed, ctrlKey, metaKey, altKey, repeat } = event;
  if (ctrlKey || metaKey || altKey || repeat) return;
  if (!(target instanceof Element) || target.closest('select, input') || keypad.type(pressed)) return;
  if (pressed === ' ' && !target.closest('button, a')) {
    event.preventDefault(); // it would scroll
    void toggle();
  } else if (pressed.toLowerCase() === 'm' && !mute.disabled) {
    toggleMute();
  } else if (pressed.toLowerCase() === 'k' && client.canDial) {
    byId('dial').click();
  }
}

function nearTheEnd() {
  const { scrollHeight, scrollTop, clientHeight } = document.documentElement;
  return scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
}

function toTheEnd() {
  window.scrollTo({ top: document.documentElement.scrollHeight });
}

function showLatest() {
  byId('latest').hidden = nearTheEnd();
}
