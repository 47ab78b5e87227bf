/** Registers <offhook-transcript>. Import `element.js` instead to register it under another name. */

import { OffhookTranscript } from './element.js';

customElements.define('offhook-transcript', OffhookTranscript);
