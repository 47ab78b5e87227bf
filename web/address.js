/** The addresses of a server's doors, and what may be shown there as a key. Pure. */

const KEY = /^[A-Za-z0-9._~+/=!@$*^|-]+$/; // what a key or a token may hold; as a subprotocol it is escaped

/**
 * The signal socket's address, from the server's.
 * @param {string | undefined} url The server's address; left out, the page's own.
 */
export function signalUrl(url) {
  const address = new URL(doorUrl(url, 'v1/signal'));
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  return address.href;
}

/**
 * A door's address for plain HTTP.
 * @param {string | undefined} url The server's address; left out, the page's own.
 * @param {string} path Without a slash before it: the server may be below another's path.
 */
export function doorUrl(url, path) {
  const server = new URL(url ?? '.', globalThis.document?.baseURI);
  server.protocol = server.protocol.replace('ws', 'http');
  if (!server.pathname.endsWith('/')) server.pathname += '/';
  return new URL(path, server).href;
}

/** @param {string | undefined} token Whether it could be one; none at all could. */
export function couldBeKey(token) {
  return !token || KEY.test(token);
}
