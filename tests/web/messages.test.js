import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { TABLES } from '../../web/language.js';
import { ending, inLine, line, sentence } from '../../web/messages.js';

const LANGUAGES = /** @type {import('../../web/language.js').Language[]} */ (Object.keys(TABLES));

const CODES = `microphone_refused microphone_missing microphone_busy microphone_lost microphone_failed insecure_origin
  unsupported busy drain draining too_many_requests engine_down internal slow_reader unknown_session connection_lost lost
  unreachable never_connected unauthorized forbidden_origin bad_offer bad_candidate bad_audio unreadable bad_message out_of_order too_large`;

for (const code of CODES.split(/\s+/)) {
  for (const language of LANGUAGES) {
    test(`${code} has a sentence that says what to do, in ${language}`, () => {
      const text = sentence({ code }, { language });
      assert.match(text, /\. \p{Lu}[^.]*\.$/u);
      assert.doesNotMatch(text, new RegExp(`\\(${code}\\)`));
    });
  }
}

test('every code that the server can send has a sentence', () => {
  const table = readFileSync(new URL('../../signaling/errors.py', import.meta.url), 'utf8');
  const codes = [...table.matchAll(/WireError\("(\w+)"/g)].map(([, code]) => code);
  assert.ok(codes.length > 10);
  for (const code of codes) {
    for (const about of /** @type {const} */ (['call', 'file'])) {
      for (const language of LANGUAGES) {
        assert.doesNotMatch(sentence({ code }, { about, language }), new RegExp(`\\(${code}\\)`), `${code} ${language}`);
      }
    }
  }
});

test('what is said of a file does not speak of calls and Start', () => {
  const table = readFileSync(new URL('../../signaling/errors.py', import.meta.url), 'utf8');
  const refusals = ['connection_lost', 'unreachable', ...[...table.matchAll(/WireError\("(\w+)"/g)].map(([, code]) => code)];
  const ofCalls = new Set(['slow_reader', 'unknown_session', 'never_connected', 'bad_offer', 'bad_candidate']);
  for (const code of refusals.filter((one) => !ofCalls.has(one))) {
    assert.doesNotMatch(sentence({ code }, { about: 'file' }), /\bcalls?\b|press Start/, code);
    assert.doesNotMatch(sentence({ code }, { about: 'file', language: 'fr' }), /appel|Démarrer/, code);
    assert.doesNotMatch(sentence({ code }, { about: 'file', language: 'es' }), /llamada|Empezar/, code);
  }
  assert.equal(sentence({ code: 'internal' }, { about: 'file' }), 'Something went wrong on the server. Press Try again.');
});

test('a busy server says how long the wait is', () => {
  const text = sentence({ code: 'busy', retryAfter: 4.2 }, { retrying: true });
  assert.equal(text, 'All lines are busy. A line is tried again in 5 seconds.');
  assert.match(sentence({ code: 'busy', retryAfter: 1 }, { retrying: true }), /in 1 second\.$/);
});

test('who waits in line reads where', () => {
  assert.deepEqual([1, 2, 12].map((position) => inLine(position)), ['Next in line', 'Number 2 in line', 'Number 12 in line']);
});

test('a wait is told in the language of the person', () => {
  const failure = { code: 'busy', retryAfter: 5 };
  assert.match(sentence(failure, { retrying: true, language: 'fr' }), /^Toutes les lignes .* dans 5.secondes\.$/);
  assert.match(sentence(failure, { retrying: true, language: 'es' }), /^Todas las líneas .* en 5.segundos\.$/);
  assert.equal(inLine(3, 'fr'), 'Numéro 3 dans la file');
  assert.match(ending('idle', 'es'), /Pulse Empezar/);
});

test('a lost connection says that it is coming back by itself', () => {
  assert.equal(sentence({ code: 'connection_lost' }, { retrying: true }), 'The connection was lost. Reconnecting…');
});

test('a code from a newer server is told in its own words', () => {
  assert.match(sentence({ code: 'moon_phase', message: 'The moon is wrong.' }), /^The moon is wrong\. /);
  assert.match(sentence({ code: 'moon_phase' }), /moon_phase/);
  assert.match(sentence({ code: 'toString' }), /toString/);
});

test('an ending that the person chose needs no sentence', () => {
  assert.equal(ending('finished'), '');
  assert.equal(ending('stopped'), '');
  assert.equal(ending('toString'), '');
});

test('an ending that the server chose has one', () => {
  for (const reason of ['idle', 'no_speech', 'max_session', 'closed']) assert.match(ending(reason), /\. Press Start to go on\.$/);
});

test('a line is told in words', () => {
  assert.equal(line({ mos: 4.41, loss: 0, repaired: 0 }), 'Good line');
  assert.equal(line({ mos: 4.41, loss: 0.004, repaired: 0 }), 'Good line');
  assert.equal(line({ mos: 4.4, loss: 0.05, repaired: 0.05 }), 'Good line, 5% lost and repaired');
  assert.equal(line({ mos: 4.0, loss: 0.2, repaired: 0.15 }), 'Fair line, 20% lost and mostly repaired');
  assert.equal(line({ mos: 3.4, loss: 0.1, repaired: 0 }), 'Poor line, 10% lost');
  assert.equal(line({ mos: 1, loss: 1, repaired: 0 }), 'Bad line, 100% lost');
});
