"""What an attacker does to a call, written as attacks on the real stack.

After each the call goes on (a word said afterwards is told within three seconds) or it has ended with a reason.
"""
