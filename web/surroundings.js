/** What a browser offers to the clients of this folder; each of it can be given to them instead. */

export function surroundings() {
  const { RTCPeerConnection, WebSocket, AudioContext, XMLHttpRequest, navigator, isSecureContext } = globalThis;
  return {
    url: undefined,
    rtc: RTCPeerConnection,
    socket: WebSocket,
    audio: AudioContext,
    request: XMLHttpRequest,
    media: navigator?.mediaDevices,
    secure: isSecureContext,
    fetch: (/** @type {string} */ url, /** @type {RequestInit} */ init) => globalThis.fetch(url, init),
    timers: {
      setTimeout: (/** @type {() => void} */ call, /** @type {number} */ after) => globalThis.setTimeout(call, after),
      clearTimeout: (/** @type {any} */ timer) => globalThis.clearTimeout(timer),
      setInterval: (/** @type {() => void} */ call, /** @type {number} */ every) => globalThis.setInterval(call, every),
      clearInterval: (/** @type {any} */ timer) => globalThis.clearInterval(timer),
    },
    random: Math.random,
    now: () => performance.now(),
  };
}
