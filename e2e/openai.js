// What a page does that speaks to OpenAI's Realtime API over WebRTC, in the steps of OpenAI's guide: microphone, data
// channel, one POST with an ephemeral key. Resolves to the address of the call; events are collected in window.events.
async ({ calls, key }) => {
  window.events = [];
  const connection = new RTCPeerConnection();
  const player = document.createElement("audio");
  player.autoplay = true;
  connection.ontrack = (event) => {
    player.srcObject = event.streams[0];
  };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  connection.addTrack(stream.getTracks()[0]);
  const channel = connection.createDataChannel("oai-events");
  channel.addEventListener("message", (event) => window.events.push(JSON.parse(event.data)));
  window.send = (event) => channel.send(JSON.stringify(event));
  await connection.setLocalDescription(await connection.createOffer());
  const response = await fetch(calls, {
    method: "POST",
    body: connection.localDescription.sdp,
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/sdp" },
  });
  if (!response.ok) return JSON.stringify(await response.json());
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  return response.headers.get("Location");
}
