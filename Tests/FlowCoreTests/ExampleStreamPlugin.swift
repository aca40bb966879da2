// banner: the first line that a TCP server says, as those of SSH, SMTP and FTP do before the client has said a word.
import IPFIX
import Wire

@testable import FlowCore

/// `--plugin banner`.
struct ServerBanner: FlowPlugin {
  static let name = "banner"
  static let summary = "the first line of a TCP server"
  static let readsStreams = true

  struct State: FlowState {
    var line = StoredBytes()
  }

  /// The longest line that is looked at, its end included.
  private static let longest = 255

  init(options: borrowing PluginOptions) {}

  @inline(__always)
  func read(
    _ state: inout State, _ stream: StreamBytes, _ packet: PacketView, _ flow: inout FlowContext<Self>
  ) -> Reading {
    // Who begins is no server with a banner; and what begins in the midst of something is no first line.
    if stream.isForward || stream.isAfterGap { return .done }
    guard let end = stream.bytes.prefix(Self.longest).firstIndex(of: 0x0A) else {
      return stream.bytes.count < Self.longest ? .incomplete() : .done
    }
    let hasReturn = end > 0 && stream.bytes[end &- 1] == 0x0D
    flow.store(stream.bytes.prefix(hasReturn ? end &- 1 : end), in: &state.line)
    return .done
  }

  @inline(__always)
  func update(_ state: inout State, _ packet: PacketView, _ flow: inout FlowContext<Self>) -> Verdict {
    .done
  }

  func finish(_ state: inout State, _ flow: inout FlowContext<Self>) -> Bool { !state.line.isEmpty }

  // MARK: Fields

  static let banner = InformationElement(.martlet, 901, "serverBanner", .string)

  func export<Writer: FieldWriter & ~Copyable>(
    _ state: State, _ flow: FinishedFlow, into writer: inout Writer
  ) {
    writer.string(Self.banner, flow.bytes(state.line).span)
  }
}
