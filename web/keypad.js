/** The keypad of the page: open or closed, and what is pressed on it. DOM only. Made before the page's texts are. */

const KEYS = '123456789*0#';
/** What those are called that are no digits: texts of the page. @type {Record<string, string>} */
const NAMES = { '*': 'call.star', '#': 'call.hash' };

export class Keypad {
  #root;
  #toggle;
  #press;
  /** @type {Map<string, HTMLButtonElement>} */
  #keys;

  /**
   * @param {HTMLFieldSetElement} root Filled with the keys; hidden while closed.
   * @param {HTMLButtonElement} toggle What opens and closes it.
   * @param {(key: string) => void} press
   */
  constructor(root, toggle, press) {
    this.#root = root;
    this.#toggle = toggle;
    this.#press = press;
    this.#keys = new Map([...KEYS].map((key) => [key, this.#newKey(key)]));
    root.append(...this.#keys.values());
    toggle.addEventListener('click', () => this.show(Boolean(root.hidden)));
  }

  /** @param {boolean} open */
  show(open) {
    if (!open && this.#root.contains(document.activeElement)) this.#toggle.focus();
    this.#root.hidden = !open;
    this.#toggle.setAttribute('aria-expanded', String(open));
  }

  /** @param {boolean} usable Whether keys can be pressed; an open keypad stays open while they cannot. */
  enable(usable) {
    this.#root.disabled = this.#toggle.disabled = !usable;
  }

  /**
   * Something was typed: while it is open, its keys press it and Escape closes it.
   * @param {string} typed
   * @returns {boolean} Whether that was meant for it.
   */
  type(typed) {
    if (this.#root.hidden) return false;
    if (typed === 'Escape') this.show(false);
    else this.#keys.get(typed)?.click();
    return typed === 'Escape' || this.#keys.has(typed);
  }

  /** @param {string} key */
  #newKey(key) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = key;
    if (key in NAMES) button.setAttribute('data-name', NAMES[key]); // which the page writes in its language
    button.addEventListener('click', () => this.#pressed(key, button));
    button.addEventListener('animationend', () => button.classList.remove('pressed'));
    return button;
  }

  /**
   * @param {string} key
   * @param {HTMLButtonElement} button
   */
  #pressed(key, button) {
    button.classList.remove('pressed');
    void button.offsetWidth; // without a layout between them the animation would not begin anew
    button.classList.add('pressed');
    this.#press(key);
  }
}
