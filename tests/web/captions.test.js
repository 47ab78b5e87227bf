import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { FORMATS } from '../../web/subtitles.js';

/** @typedef {[text: string, start: number, stop: number]} Word */

/** @type {{name: string, utterances: Word[][], srt: string, vtt: string}[]} */
const CASES = JSON.parse(readFileSync(new URL('captions.json', import.meta.url), 'utf8'));

for (const { name, utterances, srt, vtt } of CASES) {
  test(`as the server: ${name}`, () => {
    const segments = utterances.map((words) => ({
      start: words[0]?.[1] ?? 0,
      stop: words.at(-1)?.[2] ?? 0,
      words: words.map(([text, start, stop]) => ({ text, start, stop })),
    }));
    const recording = { name: 'talk.wav', language: null, duration: null, segments };
    assert.equal(FORMATS.srt.write(recording), srt);
    assert.equal(FORMATS.vtt.write(recording), vtt);
  });
}
