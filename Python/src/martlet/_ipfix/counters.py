"""What a collector counts: everything that came, and by a name of its own everything that was not taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Counters of one `Collector`, over all its sessions."""

    #: Messages that were taken, and their octets with headers.
    messages: int = 0
    octets: int = 0
    #: Data records of templates, and of options templates.
    records: int = 0
    options_records: int = 0
    #: Template records that were taken: new, again, and withdrawn.
    templates: int = 0
    #: Transport sessions: connections, files, and pairs of addresses over UDP.
    sessions: int = 0
    #: Messages that break RFC 7011 or 6313; nothing of them is taken, and a connection is closed.
    malformed_messages: int = 0
    #: Messages of another version, NetFlow's among them; a connection is closed.
    not_ipfix: int = 0
    #: Messages behind a malformed one in the same connection or file: where it begins again is not known.
    messages_behind_malformed: int = 0
    #: Connections, files and datagrams that ended within a message.
    truncated: int = 0
    #: Records that the sequence says were sent and did not come: gaps, minus what came late.
    lost_records: int = 0
    #: Messages with a sequence number behind what was expected.
    out_of_order: int = 0
    #: Sequences that began anew, as after the exporter's restart.
    sequence_resets: int = 0
    #: Data sets without their template, and sets whose number RFC 7011 reserves.
    sets_without_template: int = 0
    sets_reserved: int = 0
    #: UDP: templates that were not sent again in their lifetime.
    templates_expired: int = 0
    #: Templates beyond what a session may have.
    templates_refused: int = 0
    #: UDP: withdrawals, which RFC 7011 section 8.4 forbids there.
    withdrawals_ignored: int = 0
    #: Records that give an element a type or a name (RFC 5610) that is none, or more of them than a session may have.
    types_refused: int = 0
    #: Lists of more different elements than a column's batch may have.
    lists_left_out: int = 0
    #: Values of elements that are in no column: more columns than a table may have, or none in the schema asked for.
    values_left_out: int = 0
    #: Connections beyond what a collector may have, those whose TLS handshake failed, and those without a message for too long.
    connections_refused: int = 0
    handshakes_failed: int = 0
    connections_idle: int = 0
    #: UDP: sessions that were forgotten, because of silence or for the sake of others.
    sessions_forgotten: int = 0

    def losses(self) -> dict[str, int]:
        """Those that say that something is missing, where they are not 0."""
        fine = {"messages", "octets", "records", "options_records", "templates", "sessions", "sessions_forgotten"}
        return {name: value for name, value in vars(self).items() if value and name not in fine}
