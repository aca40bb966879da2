"""JA3 and JA4 of hellos of every length, against Python's own MD5 and SHA-256 of texts that are put together here."""

import hashlib
import random
import struct

from harness import run, write_pcap
from test_plugin_memory import packets

#: As docs/elements.md says: the units that a hello with fingerprints may have, and those of each number.
LIMIT = 468
SUITE, EXTENSION, GROUP, ALGORITHM = 4, 5, 2, 1


def words(numbers):
    return b"".join(struct.pack("!H", number) for number in numbers)


def field(size, data):
    return len(data).to_bytes(size, "big") + data


def hello(suites, others, groups, algorithms):
    """A ClientHello (RFC 8446 section 4.1.2): suites, groups (10), signature algorithms (13) and other, empty extensions."""
    extensions = b"".join(struct.pack("!HH", number, 0) for number in others)
    extensions += struct.pack("!H", 10) + field(2, field(2, words(groups)))
    extensions += struct.pack("!H", 13) + field(2, field(2, words(algorithms)))
    body = b"\3\3" + bytes(32) + field(1, b"") + field(2, words(suites)) + field(1, b"\0") + field(2, extensions)
    return b"\x16\3\1" + field(2, b"\1" + field(3, body))


def is_grease(number):
    """RFC 8701: 0x0A0A, 0x1A1A … 0xFAFA."""
    return number in range(0x0A0A, 0x10000, 0x1010)


def fingerprints(suites, others, groups, algorithms):
    suites, others, groups, algorithms = (
        [number for number in numbers if not is_grease(number)] for numbers in (suites, others, groups, algorithms))
    extensions = [*others, 10, 13]
    ja3 = ",".join(["771"] + ["-".join(map(str, numbers)) for numbers in (suites, extensions, groups)] + [""])

    def digits(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12

    def joined(numbers):
        return ",".join(f"{number:04x}" for number in numbers)

    hashed = "_".join(filter(None, [joined(sorted(extensions)), joined(algorithms)]))
    ja4 = (f"t12i{min(len(suites), 99):02}{min(len(extensions), 99):02}00_{digits(joined(sorted(suites)))}_{digits(hashed)}")
    return "0x" + hashlib.md5(ja3.encode()).hexdigest(), ja4


def test_fingerprints_are_those_that_python_makes(tmp_path):
    generator, hellos, numbers = random.Random(4), [], iter(range(65536))
    # Not those extensions that mean something else to a fingerprint.
    meaning = {0, 10, 11, 13, 16, 43, 0xFE0D}

    def some(count, ordinary):
        """Random numbers, or the next ones of all that there are, in some order."""
        if ordinary:
            found = [number for number, _ in zip(numbers, range(count))]
            generator.shuffle(found)
            return found
        return [generator.choice([generator.randrange(65536), generator.randrange(300), 0xC02F, 50000]) for _ in range(count)]

    for case in range(1800):
        # Two extensions are always there.
        left = LIMIT - 2 * EXTENSION if case % 3 == 0 else generator.randrange(LIMIT - 2 * EXTENSION + 1)
        shares = [0, *sorted(generator.randrange(left + 1) for _ in range(3)), left]
        counts = [(end - start) // units for start, end, units in zip(shares, shares[1:], (SUITE, EXTENSION, GROUP, ALGORITHM))]
        if case % 4 == 0:
            counts = [left // SUITE, 0, 0, 0]
        parts = [some(count, case % 3 == 0) for count in counts]
        parts[1] = [number for number in parts[1] if number not in meaning]
        hellos.append(parts)
    assert next(numbers, None) is None or next(numbers) > 50000
    frames = [frame for parts in hellos for frame in packets(1, hello(*parts))]
    frames = [((1700000000, number), length, data[:34] + struct.pack("!H", number + 1) + data[36:])
              for number, (_, length, data) in enumerate(frames)]
    write_pcap(tmp_path / "hellos.pcap", 1, frames)
    result = run("--plugins", "tls", "--stats", "0", "--pcap", tmp_path / "hellos.pcap", "--export", "json:-")
    found = {record["iana:sourceTransportPort"]: record for record in result.records}
    assert len(found) == len(hellos) and result.counters["fingerprint_left_out"] == 0
    for port, parts in enumerate(hellos, 1):
        got = found[port]["flowmon:tlsJa3Fingerprint"], found[port]["cesnet:tlsJa4"]
        assert got == fingerprints(*parts), parts


def test_beyond_the_limit_there_are_none(tmp_path):
    # Two extensions are always there; 114 cipher suites, 91 extensions, 229 groups and 458 algorithms are as many as may be.
    for parts, units in [([114, 0, 0, 0], 466), ([115, 0, 0, 0], 470), ([0, 91, 0, 0], 465), ([0, 92, 0, 0], 470),
                         ([0, 0, 229, 0], 468), ([0, 0, 230, 0], 470), ([0, 0, 0, 458], 468), ([0, 0, 0, 459], 469),
                         ([600, 0, 0, 0], 2410)]:
        write_pcap(tmp_path / "hello.pcap", 1, packets(1, hello(*([0x1301] * count for count in parts))))
        result = run("--plugins", "tls", "--stats", "0", "--pcap", tmp_path / "hello.pcap", "--export", "json:-")
        record, = result.records
        assert (record["flowmon:tlsJa3Fingerprint"] == "0x") == (units > LIMIT), parts
        assert result.counters["fingerprint_left_out"] == (units > LIMIT), parts
