/** Server-sent events out of text as it comes, in pieces of any size. Pure. https://html.spec.whatwg.org/#parsing-an-event-stream */

/** @typedef {{event: string, data: string}} ServerEvent */

const LINE_END = /\r\n|\r|\n/;

export class EventStream {
  #rest = '';
  #event = '';
  /** @type {string[]} */
  #data = [];

  /**
   * The next piece of the stream.
   * @param {string} text
   * @returns {ServerEvent[]} What it completed. A comment is nothing; an event that is cut off never comes.
   */
  feed(text) {
    this.#rest += text;
    const held = this.#rest.endsWith('\r') ? '\r' : ''; // the line feed that belongs to it may come next
    const lines = this.#rest.slice(0, this.#rest.length - held.length).split(LINE_END);
    this.#rest = lines.pop() + held;
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line @returns {ServerEvent[]} */
  #line(line) {
    if (!line) return this.#close();
    const [, name, value] = /** @type {string[]} */ (/^([^:]*):? ?(.*)$/s.exec(line));
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
    return [];
  }

  /** @returns {ServerEvent[]} */
  #close() {
    const told = this.#data.length ? [{ event: this.#event || 'message', data: this.#data.join('\n') }] : [];
    this.#event = '';
    this.#data = [];
    return told;
  }
}
