"""Offers as other software makes them, shortened where it repeats itself."""

FINGERPRINT = ":".join(["7A"] * 32)

CHROME = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS 8f0c
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 0b1a2c3d-1111-4222-8333-444455556666.local 51472 typ host generation 0 network-cost 999
a=candidate:2 1 udp 1677729535 192.0.2.33 51472 typ srflx raddr 0.0.0.0 rport 0 generation 0
a=candidate:3 1 tcp 1518280447 192.0.2.33 9 typ host tcptype active generation 0
a=end-of-candidates
a=ice-ufrag:Vk2f
a=ice-pwd:AbCdEfGhIjKlMnOpQrStUvWx
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=sendrecv
a=msid:8f0c 5d1e
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:Vk2f
a=ice-pwd:AbCdEfGhIjKlMnOpQrStUvWx
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
"""

# Firefox puts the fingerprint into the session part and orders its sections as they were added.
FIREFOX = f"""v=0
o=mozilla...THIS_IS_SDPARTA-99.0 5115930144083302970 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {FINGERPRINT}
a=group:BUNDLE 0 1
a=ice-options:trickle
a=msid-semantic:WMS *
m=application 54609 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.34
a=sendrecv
a=ice-pwd:6a9bdd2abc0d4bd1c8bb8d0b9a0b5e8c
a=ice-ufrag:1f2e3d4c
a=mid:0
a=setup:actpass
a=sctp-port:5000
a=max-message-size:1073741823
m=audio 0 UDP/TLS/RTP/SAVPF 109 9 0 8 101
c=IN IP4 0.0.0.0
a=bundle-only
a=sendonly
a=mid:1
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=rtpmap:9 G722/8000/1
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=ssrc:3735928559 cname:x
"""

# FFmpeg's WHIP muxer begins nothing itself, and OBS offers video beside it in the same way.
FFMPEG = f"""v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:9174bd39
a=ice-pwd:0123456789abcdef0123456789abcdef
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:1 cname:FFmpeg
"""

VIDEO = f"""m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=ice-ufrag:9174bd39
a=ice-pwd:0123456789abcdef0123456789abcdef
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:v
a=sendonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtpmap:97 rtx/90000
"""

# Other payload types, an order of its own, static types without a=rtpmap, and no bundle.
GSTREAMER = f"""v=0
o=- 3615077380 3615077398 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
m=audio 9 UDP/TLS/RTP/SAVPF 0 97
c=IN IP4 0.0.0.0
a=setup:actpass
a=ice-ufrag:Xz7y9pQ1rS2t
a=ice-pwd:aaaaaaaaaabbbbbbbbbbccccccccccdd
a=rtcp-mux
a=rtcp-rsize
a=sendrecv
a=rtpmap:97 OPUS/48000/2
a=mid:audio0
a=fingerprint:sha-256 {FINGERPRINT}
"""

ALL = (CHROME, FIREFOX, FFMPEG, FFMPEG.replace("BUNDLE 0", "BUNDLE 0 v") + VIDEO, GSTREAMER)
