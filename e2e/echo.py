"""A server for containers: on localhost alone, says what it read up to the client's end, and ends its own direction."""

ECHO = """
import socket
with socket.create_server(("127.0.0.1", 7000)) as listener:
    while True:
        with listener.accept()[0] as peer:
            data = b""
            while piece := peer.recv(65536):
                data += piece
            peer.sendall(b"%d:" % len(data) + data[::-1])
"""
