"""What an attacker does to a call, written as attacks on the real stack.

After each the call goes on (a word said afterwards is told) or it has ended with a reason that a machine can read;
nothing is kept that was not asked for. Which test is which attack:

G1, G2, G3  test_datagrams: an empty datagram, one that is too long, DTLS in the clear; in a call and before it
G4          test_flood; test_datagrams: what a flood brings before the call is connected is not kept
G5          tests/media/test_peer: nothing is left of a hundred offers; tests/signaling/transports: of fifty
            abandoned ones, and of one that never connects
G6          tests/media/test_sdp, tests/signaling/transports/test_whip: what cannot be answered is refused with a
            sentence; test_parsers: more of them, bent by chance
G7          test_packets: one_empty_payload, twenty_empty_payloads
G8          test_packets: the_clock_leaps_back, the_clock_leaps_ahead, the_clock_is_noise, the_sender_starts_anew
G9          test_reports: a_goodbye_and_then_more, a_goodbye_and_then_another_sender, and two more
G10         test_packets: three_hundred_senders; test_reports: goodbyes_of_three_hundred_senders
G11         tests/media/test_peer: an unread call keeps two seconds
G12         test_channels: a_message_of_five_mebibytes, three_thousand_channels, a caller that acknowledges nothing
G13         test_offers: many sections of audio, five thousand candidates
G14         test_offers: no check is meant for a forbidden address, no packet comes to this machine itself
G18         test_packets: comfort_noise, a_flood_of_digits, from_opus_to_telephone_and_back,
            the_sequence_goes_back_by_fifty; tests/media/test_track: the last packets are delivered
G19         test_doors, tests/signaling/transports/test_websocket: what sockets are kept from;
            tests/signaling/test_http: slow headers and bodies
G20         test_hostile: each with its answer, in hostile.txt; test_files; tests/media/test_container: what is refused,
            what decoding may take, what a killed server leaves

What protects the call itself (DTLS, SRTP) is in test_dtls; what the parsers are given by chance, in test_parsers.
"""
