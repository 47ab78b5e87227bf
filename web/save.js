/** Give a text to the person as a file. */

/**
 * @param {string} text
 * @param {string} name
 * @param {string} type Its media type.
 */
export function save(text, name, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
