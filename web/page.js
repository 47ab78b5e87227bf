/** The page: its parts are made here and joined. What each does is in a file of its own. */

import { acceptDrops, offerChoice } from './choosing.js';
import { Desk } from './desk.js';
import { byId } from './dom.js';
import { FileQueue } from './files.js';
import { Interface, memory } from './interface.js';
import { Keypad } from './keypad.js';
import { LiveText } from './livetext.js';
import { Notice } from './notice.js';
import { OffhookClient, RAW, VOICE } from './offhook.js';
import { Recordings } from './recordings.js';
import { reasonOf } from './status.js';

const MOST = 100; // recordings on the page

const token = takeKey();
const constraints = new URLSearchParams(location.search).get('processing') === 'off' ? RAW : VOICE;
const client = new OffhookClient({ token, constraints });
const queue = new FileQueue({ token, most: MOST });
const keypad = new Keypad(
  /** @type {HTMLFieldSetElement} */ (byId('keypad')),
  /** @type {HTMLButtonElement} */ (byId('dial')),
  (pressed) => client.dial(pressed),
);
const texts = new Interface(document, { storage: memory(), preferred: navigator.languages });
const notice = new Notice(texts);
const live = new LiveText(client, texts, notice);
const desk = new Desk(client, { texts, notice, keypad, takeKey: typedKey });
const shelf = byId('recordings');
const key = /** @type {HTMLInputElement} */ (byId('key'));
const languages = /** @type {HTMLSelectElement} */ (byId('language'));
/** Whose refusal has made the page ask for a key. @type {'call' | 'files'} */
let asks = 'call';

new Recordings(queue, { root: shelf, news: byId('news') }, texts);
offerChoice(/** @type {HTMLInputElement} */ (byId('file')), [byId('choose'), byId('choose-first')], take);
acceptDrops(byId('drop'), take);
client.language = texts.language;
languages.value = texts.language;
languages.addEventListener('change', () => texts.choose(/** @type {'en'} */ (languages.value)));
texts.addEventListener('change', () => (client.language = texts.language));
for (const name of ['added', 'removed']) queue.addEventListener(name, showWelcome);
queue.addEventListener('changed', ({ detail }) => askForKey(detail.upload));
client.addEventListener('transcript', showWelcome);
client.addEventListener('error', ({ detail }) => (asks = detail.code === 'unauthorized' ? 'call' : asks));
byId('keyform').addEventListener('submit', useKey);
window.addEventListener('hashchange', () => showKey(takeKey()));

/** The key of `#key=…`, taken out of the address bar so that it is neither seen nor shared. */
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get('key');
  if (given !== null) history.replaceState(null, '', location.pathname + location.search);
  return given || undefined;
}

/** The key that has been typed is used from now on, and is no longer to be read. */
function typedKey() {
  showKey(key.value.trim());
  key.value = '';
}

/** @param {string | undefined} given */
function showKey(given) {
  if (given) client.token = queue.token = given;
}

/** @param {Event} event */
function useKey(event) {
  event.preventDefault();
  if (asks === 'call') return void desk.toggle();
  typedKey();
  notice.hide();
  for (const { id, failure } of queue.uploads) {
    if (failure?.code === 'unauthorized') queue.retry(id);
  }
}

/** @param {import('./upload.js').Upload} upload */
function askForKey(upload) {
  if (upload.phase !== 'failed' || upload.failure?.code !== 'unauthorized') return;
  asks = 'files';
  notice.show((phrases) => reasonOf(upload, phrases), { askKey: true });
}

/** @param {File[]} files */
function take(files) {
  const before = shelf.childElementCount;
  const left = queue.add(files);
  if (left) notice.show((phrases) => phrases.say('files.most', { most: MOST }));
  shelf.children[before]?.scrollIntoView({ block: 'nearest' });
}

function showWelcome() {
  byId('welcome').hidden = !live.isEmpty || queue.uploads.length > 0;
}
