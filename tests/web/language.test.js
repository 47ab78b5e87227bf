import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { EN } from '../../web/en.js';
import { languageOf, phrasesIn, TABLES } from '../../web/language.js';

const WEB = new URL('../../web/', import.meta.url);
const page = readFileSync(new URL('index.html', WEB), 'utf8');
const keys = Object.keys(EN);
const others = Object.entries(TABLES).filter(([language]) => language !== 'en');

/** @param {import('../../web/language.js').Text} text */
const forms = (text) => (typeof text === 'string' ? [text] : Object.values(text));

/** @param {import('../../web/language.js').Text} text What is filled in, each name once. */
const placeholders = (text) => [...new Set(forms(text).join(' ').match(/\{\w+\}/g))].sort();

for (const [language, table] of others) {
  test(`nothing is missing in ${language}, and nothing is there that English does not have`, () => {
    assert.deepEqual(Object.keys(table).sort(), [...keys].sort());
    for (const [key, text] of Object.entries(table)) assert.ok(forms(text).every((form) => form.trim()), key);
  });

  test(`the same is filled in in ${language}`, () => {
    for (const [key, text] of Object.entries(table)) {
      assert.deepEqual(placeholders(text), placeholders(EN[/** @type {keyof typeof EN} */ (key)]), key);
    }
  });
}

test('every text is used somewhere', () => {
  const named = new Set(['error', 'remedy', 'otherwise', 'ending', 'state']); // made of a code or a state
  const sources = readdirSync(WEB).filter((name) => /\.(js|html)$/.test(name) && !/^(en|fr|es)\.js$/.test(name));
  const code = sources.map((name) => readFileSync(new URL(name, WEB), 'utf8')).join('');
  const unused = keys.filter((key) => !named.has(key.split('.')[0]) && !new RegExp(`['"\`]${key}['"\`]`).test(code));
  assert.deepEqual(unused, []);
});

test('what the page says before its script runs is the English table', () => {
  const marked = [...page.matchAll(/<(\w+)([^>]*\sdata-text="([\w.]+)"[^>]*)>([^<]*)</g)];
  assert.ok(marked.length > 10);
  for (const [, , , key, text] of marked) assert.equal(text, EN[/** @type {keyof typeof EN} */ (key)], key);
  const labelled = [...page.matchAll(/<[^>]*\sdata-name="([\w.]+)"[^>]*>/g)];
  assert.ok(labelled.length > 3);
  for (const [tag, key] of labelled) {
    assert.ok(tag.includes(`aria-label="${EN[/** @type {keyof typeof EN} */ (key)]}"`), tag);
  }
});

test('nothing on the page is said in English only', () => {
  const body = page.slice(page.indexOf('<body>')).replaceAll('&nbsp;', '');
  const bare = [...body.matchAll(/<(\w+)([^>]*)>([^<]*\p{L}[^<]*)</gu)]
    .filter(([, tag, attributes]) => !attributes.includes('data-text') && tag !== 'kbd')
    .map(([, , , text]) => text.trim());
  assert.deepEqual(bare, ['Offhook', 'English', 'Français', 'Español']);
  for (const [tag] of body.matchAll(/<[^>]*aria-label[^>]*>/g)) assert.match(tag, /data-name/);
});

test('the dearest language that there is', () => {
  assert.equal(languageOf(['de-AT', 'fr-CA', 'en']), 'fr');
  assert.equal(languageOf(['ES']), 'es');
  assert.equal(languageOf([null, undefined, 'constructor', 'es-419']), 'es');
  assert.equal(languageOf(['de', 'pt']), 'en');
  assert.equal(languageOf([]), 'en');
});

test('one and many', () => {
  const said = (/** @type {'en' | 'fr' | 'es'} */ language) =>
    [0, 1, 2].map((count) => phrasesIn(language).say('file.words', { count }));
  assert.deepEqual(said('en'), ['0 words', '1 word', '2 words']);
  assert.deepEqual(said('fr'), ['0 mot', '1 mot', '2 mots']);
  assert.deepEqual(said('es'), ['0 palabras', '1 palabra', '2 palabras']);
});

test('numbers and times are written as in each language', () => {
  const plain = (/** @type {string} */ text) => text.replaceAll(/\s/g, ' ');
  const [en, fr, es] = [phrasesIn('en'), phrasesIn('fr'), phrasesIn('es')];
  assert.equal(plain(en.say('file.words', { count: 12345 })), '12,345 words');
  assert.equal(plain(fr.say('file.words', { count: 12345 })), '12 345 mots');
  assert.equal(plain(es.say('file.words', { count: 12345 })), '12.345 palabras');
  assert.deepEqual([en, fr, es].map((phrases) => plain(phrases.percent(0.42))), ['42%', '42 %', '42 %']);
  assert.deepEqual([en, fr, es].map((phrases) => plain(phrases.wait(0.2))), ['1 second', '1 seconde', '1 segundo']);
  assert.deepEqual([en, fr].map((phrases) => plain(phrases.tenths(1.14))), ['1.1 sec', '1,1 s']);
  assert.equal(plain(fr.milliseconds(0.0505)), '51 ms');
});

test('what is left is told as coarsely as it is known', () => {
  const told = [0.2, 7.4, 23, 88, 91, 3_540, 3_700, 7_260].map((seconds) => phrasesIn('en').about(seconds));
  assert.deepEqual(told, ['1 sec', '7 sec', '25 sec', '90 sec', '2 min', '59 min', '1 hr 2 min', '2 hr 1 min']);
});

test('a language that is none of ours is English', () => {
  assert.equal(phrasesIn(/** @type {any} */ ('toString')).language, 'en');
});
