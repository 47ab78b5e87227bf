/**
 * A WebRTC stack that is no browser (werift) publishes packets made beforehand: `node e2e/whip.js URL PACKETS`.
 *
 * PACKETS is a file with {codec: {mimeType, clockRate, channels, payloadType}, packets: [[at, timestamp, payload]]}:
 * milliseconds, clock ticks, base64. Prints the resource's path once the call is up, and `sent` after the last packet.
 * Ends when its input does.
 */

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MediaStreamTrack, RTCPeerConnection, RTCRtpCodecParameters, RtpHeader, RtpPacket } from 'werift';

const [url, file] = process.argv.slice(2);
const { codec, packets } = JSON.parse(readFileSync(file, 'utf8'));

const connection = new RTCPeerConnection({ codecs: { audio: [new RTCRtpCodecParameters(codec)] }, iceServers: [] });
const track = new MediaStreamTrack({ kind: 'audio' });
connection.addTransceiver(track, { direction: 'sendonly' });

const connected = new Promise((resolve, reject) => {
  connection.connectionStateChange.subscribe((state) => {
    if (state === 'connected') resolve(undefined);
    if (state === 'failed') reject(new Error('the connection failed'));
  });
});
const location = await publish();
await connected;
console.log(location);
await send();
console.log('sent');
process.stdin.resume().on('end', () => void leave());

async function publish() {
  await connection.setLocalDescription(await connection.createOffer());
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/sdp' },
    body: connection.localDescription?.sdp,
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  await connection.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  return answer.headers.get('Location');
}

async function send() {
  const began = performance.now();
  for (const [number, [at, timestamp, payload]] of packets.entries()) {
    await sleep(Math.max(0, began + at - performance.now()));
    const header = new RtpHeader({
      sequenceNumber: (65_530 + number) % 65_536,
      timestamp,
      payloadType: codec.payloadType,
      marker: number === 0,
      ssrc: 1,
    });
    track.writeRtp(new RtpPacket(header, Buffer.from(payload, 'base64')));
  }
}

async function leave() {
  await fetch(new URL(location ?? '', url), { method: 'DELETE' });
  await connection.close();
  process.exit();
}
