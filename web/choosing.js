/** Two ways for recordings onto the page: chosen by a button, or dropped anywhere. DOM only. */

/**
 * @param {HTMLInputElement} input A file input, which is not seen.
 * @param {HTMLElement[]} buttons What opens it.
 * @param {(files: File[]) => void} take
 */
export function offerChoice(input, buttons, take) {
  for (const button of buttons) button.addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    take([...(input.files ?? [])]);
    input.value = ''; // or the same file could not be chosen again
  });
}

/**
 * @param {HTMLElement} curtain Shown while files are held over the page.
 * @param {(files: File[]) => void} take
 */
export function acceptDrops(curtain, take) {
  let depth = 0; // a drag enters an element before it leaves the one around it
  const show = (/** @type {number} */ next) => {
    depth = next;
    curtain.hidden = depth <= 0;
  };
  window.addEventListener('dragenter', (event) => hasFiles(event) && show(depth + 1));
  window.addEventListener('dragleave', (event) => hasFiles(event) && show(Math.max(0, depth - 1)));
  window.addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault()); // it may be dropped here
  window.addEventListener('drop', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // the browser would open it in place of this page
    show(0);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

/** @param {DragEvent} event */
function hasFiles({ dataTransfer }) {
  return Boolean(dataTransfer?.types.includes('Files'));
}
