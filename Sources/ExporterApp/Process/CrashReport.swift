// What the process says when a fault kills it nevertheless: set up here, said by CCrash, which may run in a signal handler.
import CCrash
import FlowCore

/// The line, and the capture of the last burst, that a killed process leaves.
enum CrashReport {
  /// Installs the handler, before other threads exist.
  static func install() {
    martlet_crash_install(
      martlet_crash_layout(
        packet_addresses: TraceLayout.packetAddresses, packet_rest: TraceLayout.packetRest,
        packet_frame: TraceLayout.packetFrame, packet_captured: TraceLayout.packetCaptured,
        packet_network: TraceLayout.packetNetwork, record_addresses: TraceLayout.recordAddresses,
        record_rest: TraceLayout.recordRest, record_addresses6: TraceLayout.recordAddresses6))
  }

  /// Names the plugins, by slot, and the folder that captures go to.
  ///
  /// - Throws: a usage failure where `--crash-dir` names no folder that can be written to.
  static func prepare(directory: String?, plugins: [String]) throws(Failure) {
    for (slot, name) in plugins.enumerated() { martlet_crash_plugin(UInt32(slot), name) }
    guard let directory else { return }
    let status = martlet_crash_directory(directory)
    guard status == 0 else {
      throw .usage(
        "--crash-dir \(directory): \(errorText(status)): give a folder that exists and that martlet may write to"
      )
    }
  }

  /// Says what the calling thread is, in words that follow "killed on".
  static func thread(_ name: String) { martlet_crash_thread(name) }

  /// Says that the calling thread is that of an lcore.
  static func lcore(_ lcore: UInt32, _ role: String) { martlet_crash_lcore(lcore, role) }

  /// Has the calling thread get `signal` when a report begins.
  static func wake(by signal: Int32) { martlet_crash_wake(signal) }

  /// Whether a report has begun, after which the process ends.
  static var hasBegun: Bool { martlet_crash_has_begun() != 0 }

  /// Says how frames begin from now on.
  static func linkType(_ type: UInt32) { martlet_crash_link_type(type) }
}
