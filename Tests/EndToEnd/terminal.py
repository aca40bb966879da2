"""martlet with standard error on a terminal, as somebody sees it who looks on."""
import os
import pty
import select
import subprocess

from harness import MARTLET, PATIENCE


def on_a_terminal(*arguments, stdin=subprocess.DEVNULL, prefix=(), out=subprocess.DEVNULL, signal_at=None):
    """Runs martlet to its end with standard error on a terminal: (exit status, what the terminal got).

    `signal_at` is a pair: when the terminal shows the text, the process gets the signal.
    """
    own, other = pty.openpty()
    with subprocess.Popen([*prefix, MARTLET, *map(str, arguments)], stdin=stdin, stdout=out, stderr=other) as process:
        os.close(other)
        text = b""
        while select.select([own], [], [], PATIENCE)[0]:
            try:
                part = os.read(own, 65536)
            except OSError:  # the other end is closed
                break
            text += part
            if signal_at and signal_at[0].encode() in text:
                process.send_signal(signal_at[1])
                signal_at = None
        status = process.wait(PATIENCE)
    os.close(own)
    return status, text.decode().replace("\r\n", "\n")
